"""Tests of lvsha.daemon.doctor.nat."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from lvsha.daemon.doctor.nat import judge
from lvsha.kernel.routes import Way
from lvsha.model import Family, Mode
from tests.lab.facts import BACK, FRONT, bad, facts, held, pair, vrrp
from tests.lab.services import config, server, service

CFG = config(service(server(11), server(12)))


def test_one_director_names_the_gateway() -> None:
    """Without a pair the servers' gateway is this director's own address."""
    (ok,) = judge(CFG, facts(CFG))
    assert (
        ok.finding
        == "the default gateway of rs11, rs12 must be 10.0.0.1, this director's address in 10.0.0.0/24"
    )


def test_a_pair_needs_a_gateway_that_moves() -> None:
    """Without one, an error that says which line to add."""
    cfg = pair(CFG)
    (found,) = judge(cfg, facts(cfg))
    assert found.severity == "error"
    assert "10.0.0.0/24, where rs11, rs12 are, moves with 192.0.2.100" in found.finding
    assert found.command.startswith('add "10.0.0.254/24" to [vrrp.public] excluded')


@pytest.mark.parametrize(
    "instances",
    [
        (vrrp("192.0.2.100/24", "10.0.0.100/24"),),
        (vrrp(group="front"), vrrp("10.0.0.100/24", name="inside", group="front")),
    ],
)
def test_a_gateway_moves_with_the_instance_or_its_group(instances: tuple[object, ...]) -> None:
    """Held by the same instance, or by one of the same group."""
    cfg = pair(CFG, *instances)  # type: ignore[arg-type]  # they are instances
    (ok,) = judge(cfg, facts(cfg))
    assert (ok.severity, "must be 10.0.0.100, which moves with 192.0.2.100" in ok.finding) == ("ok", True)


def test_a_gateway_that_moves_by_itself_is_none() -> None:
    """An instance outside of the group may be master on the other node."""
    cfg = pair(CFG, vrrp(), vrrp("10.0.0.100/24", name="inside"))
    assert [f.severity for f in judge(cfg, facts(cfg))] == ["error"]


def test_servers_behind_a_router() -> None:
    """Their answers may go another way: named, with the modes that do not mind."""
    well = facts(CFG)
    way = Way(BACK, ip_address("10.0.0.254"), None, 0, local=False)
    (found,) = bad(judge(CFG, replace(well, ways={**well.ways, server(12).address: way})))
    assert (found.severity, "rs12 (behind 10.0.0.254)" in found.finding) == ("warning", True)


def one_armed(all_: str, front: str) -> list[tuple[str, str]]:
    """Severity and command of what is found where servers and clients share a link."""
    cfg = config(service(server(11)))
    well = facts(cfg)
    way = Way(FRONT, None, ip_address("10.0.0.1"), 0, local=False)
    sysctls = well.sysctls | {
        "net/ipv4/conf/all/send_redirects": all_,
        "net/ipv4/conf/front/send_redirects": front,
    }
    spoiled = replace(
        well,
        ways={**well.ways, server(11).address: way},
        held=(*well.held, held("10.0.0.1/24", FRONT)),
        sysctls=sysctls,
    )
    return [(f.severity, f.command) for f in bad(judge(cfg, spoiled))]


@pytest.mark.parametrize(("all_", "front"), [("1", "0"), ("0", "1"), ("1", "1")])
def test_one_armed_nat_must_not_redirect(all_: str, front: str) -> None:
    """Either setting is enough for the kernel to send redirects; both are put right."""
    command = "sysctl -w net/ipv4/conf/all/send_redirects=0 net/ipv4/conf/front/send_redirects=0"
    assert one_armed(all_, front) == [("info", ""), ("warning", command)]


def test_one_armed_nat_without_redirects() -> None:
    """It is still worth knowing that neighbours of the servers cannot be clients."""
    assert one_armed("0", "0") == [("info", "")]


def test_one_armed_nat_of_ipv6_redirects_whatever_is_set() -> None:
    """The kernel has no setting against it: what can be done is told."""
    vip, address = ip_address("2001:db8:1::100"), ip_address("2001:db8:1::11")
    six = replace(service(replace(server(11), address=address)), family=Family.IPV6, address=vip)
    cfg = config(six)
    way = Way(FRONT, None, None, 0, local=False)
    well = replace(facts(cfg), ways={address: way}, held=(held(f"{vip}/64", FRONT),))
    redirects = [f for f in judge(cfg, well) if "redirects" in f.finding]
    assert [f.severity for f in redirects] == ["info"]
    assert "accept_redirects" in redirects[0].finding


def test_other_modes_need_no_way_back() -> None:
    """Nothing is said of a service of direct routing."""
    cfg = config(replace(service(replace(server(11), mode=Mode.DR)), mode=Mode.DR))
    assert list(judge(cfg, facts(cfg))) == []
