"""Tests of lvsha.daemon.doctor.vips."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from lvsha.daemon.doctor.facts import SOMEWHERE, Facts, beside
from lvsha.daemon.doctor.vips import judge
from lvsha.kernel.addresses import OURS
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Way
from lvsha.model import Family
from lvsha.speaker.messages import State
from tests.lab.facts import BACK, FRONT, bad, facts, held, pair, report, status, vrrp
from tests.lab.services import config, server, service

ALONE = config(service(server(1)))
PAIR = pair(ALONE)
OWN = held("192.0.2.1/24", FRONT)
LEASED = held("192.0.2.100/24", FRONT, mark=OURS)


def backup(**changes: object) -> Facts:
    """The node is the backup and has no virtual address."""
    return facts(PAIR, held=(OWN,), report=report(status(state=State.BACKUP, **changes)))


def test_one_director_has_the_address_or_nobody_has() -> None:
    """Without VRRP an address that is on no interface is an error with the command that adds it."""
    assert bad(judge(ALONE, facts(ALONE))) == []
    (found,) = bad(judge(ALONE, facts(ALONE, held=(OWN,))))
    assert (found.severity, found.command) == ("error", "ip address add 192.0.2.100 dev INTERFACE")


def test_an_address_of_ipv6_must_not_be_a_source() -> None:
    """Added by hand without `preferred_lft 0`, this director would speak to its servers from it."""
    vip = ip_address("2001:db8:1::100")
    six = config(replace(service(server(1)), address=vip, family=Family.IPV6))
    on = held(f"{vip}/128", FRONT)
    (found,) = bad(judge(six, facts(six, held=(on,))))
    assert found.severity == "warning"
    assert found.command == "ip address change 2001:db8:1::100/128 dev front preferred_lft 0"
    assert bad(judge(six, facts(six, held=(replace(on, flags=0x20),)))) == []


def test_master_and_backup_are_well() -> None:
    """The master has it on a lease, the backup has not and hears who does."""
    (ok,) = judge(PAIR, facts(PAIR))
    assert ok.finding == "is held by vrrp.public, on a lease of 4 s"
    (ok,) = judge(PAIR, backup(master="192.0.2.2"))
    assert ok.finding == "is held by 192.0.2.2, which advertises vrrp.public"


@pytest.mark.parametrize("state", [State.MASTER, State.BACKUP])
def test_a_permanent_address_is_never_let_go(state: State) -> None:
    """Somebody put the address there by hand: on master and backup alike it is an error."""
    spoiled = facts(PAIR, held=(OWN, held("192.0.2.100/32", FRONT)), report=report(status(state=state)))
    (found,) = bad(judge(PAIR, spoiled))
    assert (found.severity, found.command) == ("error", "ip address del 192.0.2.100/32 dev front")


def test_a_master_without_the_address() -> None:
    """The kernel refused it, or somebody keeps taking it away."""
    (found,) = bad(judge(PAIR, facts(PAIR, held=(OWN,))))
    assert (found.severity, "no interface has it" in found.finding) == ("error", True)


def test_an_address_that_nobody_in_the_pair_holds() -> None:
    """A backup that hears no master, and an instance at fault, say that nobody has it."""
    for state in (State.BACKUP, State.FAULT):
        (found,) = bad(judge(PAIR, facts(PAIR, held=(OWN,), report=report(status(state=state, master=None)))))
        assert (found.severity, "nobody holds it" in found.finding) == ("error", True)


def test_an_address_that_no_instance_holds() -> None:
    """In a pair, an address outside of VRRP stays behind: a warning if it is here, else an error."""
    other = pair(ALONE, vrrp("192.0.2.101/24"))
    moving = held("192.0.2.101/24", FRONT, mark=OURS)
    here = facts(other, held=(OWN, moving, held("192.0.2.100/24", FRONT)))
    assert [f.severity for f in bad(judge(other, here))] == ["warning"]
    assert [f.severity for f in bad(judge(other, replace(here, held=(OWN, moving))))] == ["error"]


def test_a_silent_speaker_is_not_blamed_on_the_address() -> None:
    """Without a report nothing is claimed about who holds it."""
    assert list(judge(PAIR, facts(PAIR, report=None))) == []


def test_an_address_without_a_service_is_looked_at_as_well() -> None:
    """The servers' gateway, put on a backup by hand, makes two of it."""
    both = pair(ALONE, vrrp("192.0.2.100/24", "10.0.0.254/24"))
    (found,) = bad(judge(both, facts(both, held=(OWN, LEASED, held("10.0.0.254/24", BACK)))))
    assert (found.subject, found.command) == ("address 10.0.0.254", "ip address del 10.0.0.254/24 dev back")


@pytest.mark.parametrize(
    "way",
    [
        Refusal(errno.ENETUNREACH),
        Way(FRONT, ip_address("192.0.2.254"), None, 0, local=False),
        Way(BACK, None, None, 0, local=False),
    ],
    ids=["no route", "by a router", "elsewhere"],
)
def test_an_address_in_a_network_of_its_own_needs_a_route(way: Way | Refusal) -> None:
    """No route comes with it: without one, or with one that leads elsewhere, its neighbours get no answer."""
    alien = pair(ALONE, vrrp("192.0.2.100/24", "203.0.113.10/29"))
    assert bad(judge(alien, facts(alien))) == []
    well = facts(alien)
    (found,) = bad(judge(alien, replace(well, ways={**well.ways, ip_address("203.0.113.9"): way})))
    assert (found.severity, found.command) == ("warning", "ip route add 203.0.113.8/29 dev front")


@pytest.mark.parametrize(
    ("address", "neighbour"),
    [
        ("192.0.2.100/24", "192.0.2.1"),
        ("192.0.2.1/24", "192.0.2.2"),
        ("192.0.2.0/31", "192.0.2.1"),
        ("192.0.2.1/31", "192.0.2.0"),
        ("2001:db8::1/64", "2001:db8::2"),
        ("192.0.2.1/32", None),
        ("fe80::1/64", None),
    ],
)
def test_a_neighbour_is_another_of_its_network(address: str, neighbour: str | None) -> None:
    """Where the address is a host's, or of every link, there is none."""
    assert beside(ip_interface(address)) == (None if neighbour is None else ip_address(neighbour))


def strict(name: str, out: int) -> Facts:
    """rp_filter is 1 on one interface or all, and the world is reached by another one."""
    well = facts(PAIR)
    world = Way(out, ip_address("192.0.2.254"), None, 0, local=False)
    return replace(
        well,
        ways={**well.ways, SOMEWHERE[Family.IPV4]: world},
        sysctls={**well.sysctls, f"net/ipv4/conf/{name}/rp_filter": "1"},
    )


@pytest.mark.parametrize("name", ["front", "all"])
def test_a_strict_filter_drops_clients_that_are_answered_another_way(name: str) -> None:
    """Their packets come in on front, the default route leaves by back."""
    (found,) = bad(judge(PAIR, strict(name, BACK)))
    assert (found.severity, found.command) == ("warning", "sysctl -w net/ipv4/conf/front/rp_filter=2")


def test_a_strict_filter_is_none_of_our_business_elsewhere() -> None:
    """With the way back by the same interface, or strict on another one, nothing is dropped."""
    assert bad(judge(PAIR, strict("front", FRONT))) == []
    assert bad(judge(PAIR, strict("back", BACK))) == []
