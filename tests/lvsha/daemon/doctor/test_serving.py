"""Tests of lvsha.daemon.doctor.serving, and of what the other judgements make of an address on lo."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from lvsha.config import Config, IpvsConfig, NodeConfig
from lvsha.daemon.doctor import Facts, judge
from lvsha.daemon.doctor.facts import LO, per_link
from lvsha.kernel.links import Link
from lvsha.kernel.routes import Way
from lvsha.model import Family, Mode
from lvsha.speaker.directing import SETTING
from lvsha.speaker.messages import State
from tests.lab.facts import FRONT, bad, facts, held, pair, report, status, vrrp
from tests.lab.services import config, server, service

LOOPBACK = 9
VIP, OWN = ip_address("192.0.2.100"), ip_address("10.0.0.1")
HERE, THERE, PLAIN = (
    replace(server(n), address=ip_address(f"10.0.0.{n}"), mode=Mode.DR, port=80) for n in (1, 2, 11)
)
NODES = {name: NodeConfig(name, address=ip_address(f"192.0.2.{n}")) for n, name in ((1, "lb1"), (2, "lb2"))}
COMMAND = "lvsha-cli realserver setup --mode dr --vip 192.0.2.100 --director 192.0.2.1 --director 192.0.2.2"


def site(*, serve: bool = True, scheduler: str = "rr", nodes: int = 2) -> Config:
    """A pair whose service has this machine, the other director and a third one as servers."""
    web = replace(service(HERE, THERE, PLAIN), mode=Mode.DR, scheduler=scheduler)
    made = replace(config(web), nodes=dict(list(NODES.items())[:nodes]))
    return pair(replace(made, ipvs=IpvsConfig(directors_serve=serve)), vrrp("192.0.2.100/24"))


def well(cfg: Config, state: State = State.MASTER, **sysctls: str) -> Facts:
    """The machine is ready: the address is on lo, and it is still about it; a master holds it as well."""
    found = facts(cfg, report=report(status(state=state, master="192.0.2.2")))
    addresses = [one for one in found.held if state is State.MASTER or one.place.address.ip != VIP]
    still = {per_link("all", "arp_ignore"): "1", per_link("all", "arp_announce"): "2"}
    setting = {SETTING: "1" if cfg.ipvs.directors_serve and state is not State.MASTER else "0"}
    return replace(
        found,
        links={**found.links, LOOPBACK: Link(LOOPBACK, LO, b"", 65536, up=True, running=True)},
        held=(*addresses, held("192.0.2.100/32", LOOPBACK)),
        ways={**found.ways, OWN: Way(LOOPBACK, None, OWN, 0, local=True)},
        sysctls={**found.sysctls, **still, **setting, **sysctls},
    )


@pytest.mark.parametrize("state", [State.MASTER, State.BACKUP])
def test_a_director_that_serves_is_well(state: State) -> None:
    """With the address on lo, still about it, and the setting as its role is; a master holds it as well."""
    found = judge(site(), well(site(), state))
    assert [f for f in bad(found) if f.severity != "info"] == []
    said = {(f.subject, f.finding) for f in found}
    assert ("address 192.0.2.100", "is on lo, and this director keeps still about it") in said
    master = state is State.MASTER
    role = "is 0, and this node is master" if master else "is 1, and this node is not master"
    assert (SETTING, role) in said


@pytest.mark.parametrize(
    ("state", "value", "words"),
    [
        (State.MASTER, "1", "it directs nothing"),
        (State.BACKUP, "0", "it directs once more"),
        (State.FAULT, "0", "it directs once more"),
    ],
)
def test_a_setting_that_contradicts_the_role(state: State, value: str, words: str) -> None:
    """Error, with the command that writes it."""
    spoiled = replace(well(site(), state), sysctls={**well(site(), state).sysctls, SETTING: value})
    (found,) = (f for f in bad(judge(site(), spoiled)) if f.subject == SETTING)
    assert (found.severity, words in found.finding) == ("error", True)
    assert found.command == f"sysctl -w {SETTING}={'0' if state is State.MASTER else '1'}"


def test_of_a_silent_speaker_nothing_is_claimed() -> None:
    """Which role there would be is not known."""
    silent = replace(well(site()), report=None)
    assert not [f for f in judge(site(), silent) if f.subject == SETTING]


def test_an_address_that_is_not_on_lo() -> None:
    """The command says the whole of what makes this machine a server."""
    seen = well(site(), State.BACKUP)
    gone = replace(seen, held=tuple(one for one in seen.held if one.place.index != LOOPBACK))
    (found,) = (f for f in bad(judge(site(), gone)) if f.severity == "error")
    assert (found.subject, found.command) == ("address 192.0.2.100", COMMAND)
    assert "is not on lo" in found.finding


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [("arp_ignore", "0", "arp_ignore of front is 0"), ("arp_announce", "1", "arp_announce of front is 1")],
)
def test_an_address_that_would_be_told_of(setting: str, value: str, words: str) -> None:
    """The higher of `all` and the interface counts; on lo it is worse than nowhere."""
    seen = well(site(), State.BACKUP, **{per_link("all", setting): value})
    (found,) = (f for f in bad(judge(site(), seen)) if f.severity == "error")
    assert (words in found.finding, found.command) == (True, COMMAND)
    better = {**seen.sysctls, per_link("front", setting): "2"}
    assert not [f for f in judge(site(), replace(seen, sysctls=better)) if f.severity == "error"]


def test_ipv6_is_still_by_itself() -> None:
    """Neighbour discovery answers for no address of another interface."""
    vip = ip_address("2001:db8:1::100")
    web = replace(service(HERE), mode=Mode.DR, address=vip, family=Family.IPV6)
    cfg = pair(replace(config(web), ipvs=IpvsConfig(directors_serve=True)), vrrp(f"{vip}/64"))
    seen = well(cfg, State.BACKUP, **{per_link("all", "arp_ignore"): "0"})
    on_lo = replace(seen, held=(held(f"{vip}/128", LOOPBACK),))
    assert not [f for f in judge(cfg, on_lo) if f.severity == "error"]


@pytest.mark.parametrize("state", [State.MASTER, State.BACKUP])
@pytest.mark.parametrize(
    ("scheduler", "severity", "circles"),
    [("rr", "error", True), ("mh", "warning", False), ("sh", "warning", False)],
)
def test_without_the_option(state: State, scheduler: str, severity: str, circles: bool) -> None:
    """One finding, which names the option; with a hash both directors come to the same server."""
    cfg = site(serve=False, scheduler=scheduler)
    (found,) = (f for f in bad(judge(cfg, well(cfg, state))) if f.severity != "info")
    assert (found.subject, found.severity) == ("address 192.0.2.100", severity)
    assert ("in circles" in found.finding) is circles
    assert found.command == "[ipvs] directors_serve = true"


def test_a_lone_director_serves_as_it_likes() -> None:
    """Nobody directs anything to it."""
    cfg = site(serve=False, nodes=1)
    assert not [f for f in judge(cfg, well(cfg)) if f.severity in ("error", "warning")]


def test_an_address_on_lo_that_nobody_serves_here() -> None:
    """Without the option it was left by hand, as ever; with it, it may be for later."""
    cfg = site(serve=False)
    left = replace(well(cfg), ways=facts(cfg).ways)
    (found,) = (f for f in bad(judge(cfg, left)) if f.severity == "error")
    assert found.command == f"ip address del {ip_interface('192.0.2.100/32')} dev lo"
    serving = site()
    left = replace(well(serving), ways=facts(serving).ways)
    assert not [f for f in judge(serving, left) if f.severity == "error"]


def test_by_hand_on_the_wire_is_by_hand_all_the_same() -> None:
    """Only what is on lo belongs to the server."""
    seen = well(site())
    by_hand = tuple(replace(one, mark=0) if one.place.index == FRONT else one for one in seen.held)
    found = [f for f in judge(site(), replace(seen, held=by_hand)) if f.severity == "error"]
    assert [f.command for f in found] == ["ip address del 192.0.2.100/24 dev front"]
