"""Tests of lvsha.daemon.doctor.ways."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lvsha.config import Config
from lvsha.daemon.doctor.facts import Facts, per_link
from lvsha.daemon.doctor.ways import judge
from lvsha.kernel.links import Link
from lvsha.kernel.neighbours import Answer, Neighbour
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Way
from lvsha.model import Mode
from tests.lab.facts import BACK, MAC, bad, facts
from tests.lab.services import config, server, service

RS = server(11).address
MODES = [Mode.NAT, Mode.DR, Mode.TUN, Mode.FULLNAT]
ROUTER = Way(BACK, ip_address("10.0.0.254"), ip_address("10.0.0.1"), 0, local=False)


def site(mode: Mode) -> Config:
    """One server of a mode."""
    return config(replace(service(replace(server(11), mode=mode)), mode=mode))


def with_way(cfg: Config, way: Way | Refusal) -> Facts:
    """All is well, and the server is reached like this."""
    well = facts(cfg)
    return replace(well, ways={**well.ways, RS: way})


@pytest.mark.parametrize("mode", MODES)
def test_a_neighbour_that_answers_is_well(mode: Mode) -> None:
    """The way is told, of every mode."""
    (ok,) = judge(site(mode), facts(site(mode)))
    assert ok.severity == "ok"
    assert "10.0.0.11" in ok.finding


@pytest.mark.parametrize("mode", MODES)
def test_no_route_is_an_error_with_the_kernels_reason(mode: Mode) -> None:
    """ENETUNREACH in words."""
    (found,) = judge(site(mode), with_way(site(mode), Refusal(errno.ENETUNREACH)))
    assert (found.severity, found.command) == ("error", "ip route get 10.0.0.11")
    assert "ENETUNREACH" in found.finding


@pytest.mark.parametrize("mode", MODES)
def test_answers_are_forwarded_from_the_interface_that_they_come_in_by(mode: Mode) -> None:
    """Forwarding may be off there alone; modes whose answers do not come back do not mind."""
    well = facts(site(mode))
    spoilt = replace(well, sysctls={**well.sysctls, per_link("back", "forwarding"): "0"})
    found = bad(judge(site(mode), spoilt))
    if mode in (Mode.DR, Mode.TUN):
        assert found == []
        return
    (one,) = found
    assert (one.severity, one.command) == ("error", "sysctl -w net/ipv4/conf/back/forwarding=1")
    off = replace(spoilt, sysctls={**spoilt.sysctls, "net.ipv4.ip_forward": "0"})
    assert bad(judge(site(mode), off)) == [], "which is told once, as a setting of its own"


def test_only_direct_routing_needs_a_neighbour() -> None:
    """Behind a router a server cannot be routed to directly; the other modes pass."""
    severities = {
        mode: [f.severity for f in judge(site(mode), with_way(site(mode), ROUTER))] for mode in MODES
    }
    assert severities == {mode: ["error" if mode is Mode.DR else "ok"] for mode in MODES}
    (found,) = judge(site(Mode.DR), with_way(site(Mode.DR), ROUTER))
    assert "10.0.0.254" in found.finding


@pytest.mark.parametrize("answer", [Answer.SILENT, Answer.ASKING])
def test_a_neighbour_that_does_not_answer(answer: Answer) -> None:
    """Silent, or still silent when patience was over: an error, whatever the mode."""
    cfg = site(Mode.DR)
    silent = {(RS, BACK): Neighbour(RS, BACK, answer)}
    (found,) = judge(cfg, facts(cfg, neighbours=silent))
    assert (found.severity, found.command) == ("error", "ip neighbour show 10.0.0.11")


def test_behind_a_router_the_router_must_answer() -> None:
    """It is the next hop that is looked at."""
    cfg = site(Mode.TUN)
    hop = ip_address("10.0.0.254")
    spoiled = replace(with_way(cfg, ROUTER), neighbours={(hop, BACK): Neighbour(hop, BACK, Answer.SILENT)})
    (found,) = judge(cfg, spoiled)
    assert found.finding.startswith("10.0.0.254 does not answer")


def test_an_interface_without_a_carrier() -> None:
    """The link is named, and nothing beyond it."""
    cfg = site(Mode.NAT)
    well = facts(cfg)
    down = {**well.links, BACK: Link(BACK, "back", MAC, 1500, up=True, running=False)}
    (found,) = judge(cfg, replace(well, links=down))
    assert (found.severity, "back has no carrier" in found.finding) == ("error", True)


def test_a_server_on_the_director_itself() -> None:
    """Worth knowing; with a tunnel it cannot work."""
    here = Way(1, None, RS, 0, local=True)
    assert [f.severity for f in judge(site(Mode.DR), with_way(site(Mode.DR), here))] == ["info"]
    assert [f.severity for f in judge(site(Mode.TUN), with_way(site(Mode.TUN), here))] == ["error"]


def test_fallback_servers_count() -> None:
    """They are needed on the day when nobody looks."""
    cfg = config(replace(service(), fallback=(server(11),)))
    (found,) = bad(judge(cfg, with_way(cfg, Refusal(errno.ENETUNREACH))))
    assert found.subject == "server web/rs11"
