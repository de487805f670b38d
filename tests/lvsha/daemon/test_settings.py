"""Tests of lvsha.daemon.settings: which settings a configuration needs, and how they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

import pytest

from lvsha.config import Config, IpvsConfig, Passage, SyncConfig, VipConfig, VrrpConfig
from lvsha.daemon.ledger import LINGER
from lvsha.daemon.memory import Memory
from lvsha.daemon.settings import ACCEPT_REDIRECTS, FORWARDING, FULLNAT_UDP, Settings, wanted
from lvsha.log import listening
from lvsha.model import Family, Method, Mode, Protocol, Server, ServerKey, Timeouts
from lvsha.speaker.directing import SETTING
from tests.lab.network import Network, Node
from tests.lab.services import config, server, service

NAT = service(server(1))
DR = service(replace(server(1), mode=Mode.DR))
DR = replace(DR, mode=Mode.DR)
VRRP = VrrpConfig(
    "public", "front", 51, 3, Family.IPV4, 100, 1.0, (VipConfig(ip_interface("192.0.2.100/24"), "front"),)
)


def ipvs(cfg: Config) -> dict[str, str | int]:
    """The wanted settings of IPVS, by their short names."""
    prefix = "net.ipv4.vs."
    return {n.removeprefix(prefix): v for n, v in wanted(cfg).items() if n.startswith(prefix)}


def test_nothing_is_wanted_for_nothing() -> None:
    """A pure VRRP pair touches no setting."""
    assert wanted(config()) == {}


def test_only_nat_needs_forwarding() -> None:
    """Direct routing leaves forwarding alone: what a server sends does not come through here."""
    assert wanted(config(NAT))[FORWARDING[Family.IPV4]] == 1
    assert FORWARDING[Family.IPV4] not in wanted(config(DR))
    six = replace(NAT, family=Family.IPV6)
    assert FORWARDING[Family.IPV6] in wanted(config(six))


def test_fullnat_needs_connection_tracking_that_forgives() -> None:
    """Only that mode: connections are taken up in their midst, and beyond the window that was known."""
    fullnat = service(replace(server(1), mode=Mode.FULLNAT))
    forgiving = ("nf_conntrack_tcp_loose", "nf_conntrack_tcp_be_liberal")
    for name in forgiving:
        assert wanted(config(fullnat))[f"net.netfilter.{name}"] == 1
        assert f"net.netfilter.{name}" not in wanted(config(NAT))
    assert wanted(config(fullnat))[FORWARDING[Family.IPV4]] == 1


def test_connection_tracking_remembers_udp_of_fullnat_as_long_as_ipvs() -> None:
    """Its own 30 and 120 s are less than IPVS's 300; a mark may be UDP too. TCP needs nothing of it."""
    fullnat = service(replace(server(1), mode=Mode.FULLNAT))
    udp = replace(fullnat, protocol=Protocol.UDP)
    names = ("net.netfilter.nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_udp_timeout_stream")
    for name in names:
        assert wanted(config(udp))[name] == 300
        assert wanted(replace(config(udp), ipvs=IpvsConfig(timeouts=Timeouts(udp=900))))[name] == 900
        assert wanted(config(replace(fullnat, fwmark=7)))[name] == 300
        assert name not in wanted(config(fullnat))
        assert name not in wanted(config(replace(NAT, protocol=Protocol.UDP)))


def test_one_server_of_another_mode_counts() -> None:
    """A NAT server in a service of direct routing needs forwarding too."""
    mixed = replace(DR, servers=(*DR.servers, server(2)))
    assert wanted(config(mixed))[FORWARDING[Family.IPV4]] == 1


def test_sync_has_its_defaults_only_where_it_runs() -> None:
    """Connections are told of at once and again every ten seconds, if they are told of at all."""
    assert "sync_threshold" not in ipvs(config(NAT))
    synced = ipvs(replace(config(NAT), sync=SyncConfig("back")))
    assert (synced["sync_threshold"], synced["sync_refresh_period"]) == ("0 1", 10)


def test_both_roles_of_sync_direct_unless_the_directors_are_servers() -> None:
    """`backup_only` is 0 beside sync, whatever was left there; where directors serve, it is the speaker's."""
    synced = replace(config(DR), sync=SyncConfig("back"))
    assert ipvs(synced)["backup_only"] == 0
    assert "backup_only" not in ipvs(config(DR))
    assert "backup_only" not in ipvs(replace(synced, ipvs=IpvsConfig(directors_serve=True)))


def test_the_operator_has_the_last_word() -> None:
    """What `[ipvs] sysctl` says replaces a default."""
    chosen = IpvsConfig(sysctl={"sync_threshold": "3 50", "expire_nodest_conn": 0, "drop_entry": 1})
    found = ipvs(replace(config(NAT), sync=SyncConfig("back"), ipvs=chosen))
    assert (found["sync_threshold"], found["expire_nodest_conn"], found["drop_entry"]) == ("3 50", 0, 1)


def test_a_hashing_pair_takes_strangers_in() -> None:
    """Only where every TCP service hashes does a connection nobody told of find its server again."""
    hashing = replace(NAT, scheduler="mh")
    pair = {"vrrp": {"public": VRRP}}
    assert ipvs(replace(config(hashing), **pair))["sloppy_tcp"] == 1
    assert "sloppy_tcp" not in ipvs(config(hashing))
    both = config(hashing, replace(NAT, name="other", port=81))
    assert "sloppy_tcp" not in ipvs(replace(both, **pair))


@pytest.fixture
def lb1() -> Iterator[Node]:
    """A node with settings of its own."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.node("lb1", front=1)
    with net:
        yield net["lb1"]


@pytest.mark.net
def test_what_is_right_is_not_written_and_drift_is(lb1: Node, tmp_path: Path) -> None:
    """The first look writes and tells; the next is silent, until somebody else has been there."""
    said: list[dict[str, Any]] = []
    settings, cfg = Settings(Memory(tmp_path)), config(NAT)
    lb1.sysctl("net.ipv4.ip_forward", 0)
    with lb1.entered(), listening(said.append):
        settings.apply(cfg)
        settings.apply(cfg)
        lb1.sysctl("net.ipv4.ip_forward", 0)
        settings.apply(cfg)
    changed = [(e["name"], e["before"], e["after"]) for e in said if e["event"] == "sysctl.changed"]
    assert changed == [("net.ipv4.ip_forward", "0", "1")] * 2
    assert lb1.sysctl("net.ipv4.ip_forward") == "1"


@pytest.mark.net
def test_forwarding_of_ipv6_costs_nobody_a_router(lb1: Node, tmp_path: Path) -> None:
    """Who listened to routers goes on listening, as do interfaces to come; who did not stays as it was."""
    said: list[dict[str, Any]] = []
    names = [f"net.ipv6.conf.{each}.accept_ra" for each in ("front", "lo", "default")]
    for name, value in zip(names, (1, 0, 1), strict=True):
        lb1.sysctl(name, value)
    with lb1.entered(), listening(said.append):
        Settings(Memory(tmp_path)).apply(config(replace(NAT, family=Family.IPV6)))
    assert [lb1.sysctl(name) for name in names] == ["2", "0", "2"]
    changed = [e["name"] for e in said if e["event"] == "sysctl.changed"]
    assert changed.index("net/ipv6/conf/front/accept_ra") < changed.index(FORWARDING[Family.IPV6])
    lb1.sysctl(names[0], 1)
    with lb1.entered():
        Settings(Memory(tmp_path)).apply(config(replace(NAT, family=Family.IPV6)))
    assert lb1.sysctl(names[0]) == "1", "whose forwarding it was already decides for itself"


@pytest.mark.net
def test_a_setting_that_cannot_be_written_is_told_once(lb1: Node, tmp_path: Path) -> None:
    """A name that the kernel does not know stops no other setting and is no alert every half minute."""
    said: list[dict[str, Any]] = []
    cfg = replace(config(NAT), ipvs=IpvsConfig(sysctl={"no_such_thing": 1}))
    settings = Settings(Memory(tmp_path))
    lb1.sysctl("net.ipv4.ip_forward", 0)
    with lb1.entered(), listening(said.append):
        settings.apply(cfg)
        settings.apply(cfg)
    failed = [e["name"] for e in said if e["event"] == "sysctl.failed"]
    assert failed.count("net.ipv4.vs.no_such_thing") == 1
    assert lb1.sysctl("net.ipv4.ip_forward") == "1"


class Time:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.mark.net
def test_what_nothing_needs_any_more_goes_back(lb1: Node, tmp_path: Path) -> None:
    """Once connections had the time to end, over a restart too, and with all that forwarding had changed."""
    said: list[dict[str, Any]] = []
    names = ("net.ipv4.ip_forward", ACCEPT_REDIRECTS, "net.ipv4.conf.front.forwarding")
    lb1.sysctl(names[0], 0)
    lb1.sysctl(names[1], 0)
    lb1.sysctl(names[2], 1)
    with lb1.entered(), listening(said.append):
        Settings(Memory(tmp_path)).apply(config(NAT))
        assert [lb1.sysctl(name) for name in names] == ["1", "0", "1"]
        clock = Time()
        settings = Settings(Memory(tmp_path), clock=clock)
        settings.apply(config(DR))
        clock.now = LINGER - 1
        settings.apply(config(DR))
        assert lb1.sysctl(names[0]) == "1"
        clock.now = LINGER
        settings.apply(config(DR))
    assert [lb1.sysctl(name) for name in names] == ["0", "0", "1"]
    restored = [(e["name"], e["before"], e["after"]) for e in said if e["event"] == "sysctl.restored"]
    assert restored[0] == (names[0], "1", "0")
    assert settings.changed == ()
    assert Memory(tmp_path).sysctls().entries == ()


@pytest.mark.net
def test_a_need_that_comes_back_in_time_starts_the_wait_anew(lb1: Node, tmp_path: Path) -> None:
    """A reload by mistake and one that mends it leave the setting as it is."""
    clock = Time()
    lb1.sysctl("net.ipv4.ip_forward", 0)
    with lb1.entered():
        settings = Settings(Memory(tmp_path), clock=clock)
        for clock.now, cfg in ((0.0, NAT), (1.0, DR), (2.0, NAT), (LINGER, DR), (LINGER + 10, DR)):
            settings.apply(config(cfg))
    assert lb1.sysctl("net.ipv4.ip_forward") == "1"


@pytest.mark.net
def test_routers_are_listened_to_as_before(lb1: Node, tmp_path: Path) -> None:
    """What was changed so that forwarding costs no router goes back with it."""
    clock, name = Time(), "net.ipv6.conf.front.accept_ra"
    lb1.sysctl(FORWARDING[Family.IPV6], 0)
    lb1.sysctl(name, 1)
    with lb1.entered():
        settings = Settings(Memory(tmp_path), clock=clock)
        settings.apply(config(replace(NAT, family=Family.IPV6)))
        assert lb1.sysctl(name) == "2"
        for clock.now in (1.0, LINGER + 1):
            settings.apply(config(DR))
    assert (lb1.sysctl(FORWARDING[Family.IPV6]), lb1.sysctl(name)) == ("0", "1")


@pytest.mark.net
def test_somebody_who_stops_forwarding_changes_nothing_of_what_was_there(lb1: Node, tmp_path: Path) -> None:
    """The kernel accepts redirects then, which an operator had forbidden: that comes back all the same."""
    clock = Time()
    lb1.sysctl("net.ipv4.ip_forward", 0)
    lb1.sysctl(ACCEPT_REDIRECTS, 0)
    with lb1.entered():
        settings = Settings(Memory(tmp_path), clock=clock)
        settings.apply(config(NAT))
        lb1.sysctl("net.ipv4.ip_forward", 0)
        assert lb1.sysctl(ACCEPT_REDIRECTS) == "1"
        for clock.now, cfg in ((1.0, NAT), (2.0, DR), (LINGER + 2, DR)):
            settings.apply(config(cfg))
    assert (lb1.sysctl("net.ipv4.ip_forward"), lb1.sysctl(ACCEPT_REDIRECTS)) == ("0", "0")


@pytest.mark.net
def test_own_addresses_are_accepted_while_checks_need_it(lb1: Node, tmp_path: Path) -> None:
    """Only checks that go the clients' way to a server of mode dr or tun do, of IPv4."""
    clock, name = Time(), "net.ipv4.conf.front.accept_local"
    key = ServerKey(ip_address("10.0.0.11"), 80)
    way = Passage(1, Family.IPV4, ip_address("192.0.2.100"), 80, key, Server(Method.ROUTE, 1))
    checked = config(replace(DR, servers=(replace(server(1), mode=Mode.DR, passage=way),)))
    with lb1.entered():
        settings = Settings(Memory(tmp_path), clock=clock)
        settings.accept_local("front")
        for clock.now in (0.0, 2 * LINGER):
            settings.apply(checked)
        assert lb1.sysctl(name) == "1"
        for clock.now in (3 * LINGER, 4 * LINGER):
            settings.apply(config(DR))
    assert lb1.sysctl(name) == "0"


@pytest.mark.ipvs
def test_what_the_speaker_writes_goes_nowhere(lb1: Node, tmp_path: Path) -> None:
    """Where directors have become servers, what was there before is not put back over it."""
    clock, synced = Time(), replace(config(DR), sync=SyncConfig("back"))
    lb1.sysctl(SETTING, 1)
    with lb1.entered():
        settings = Settings(Memory(tmp_path), clock=clock)
        settings.apply(synced)
        assert lb1.sysctl(SETTING) == "0"
        for clock.now in (0.0, 2 * LINGER):
            settings.apply(replace(synced, ipvs=IpvsConfig(directors_serve=True)))
    assert lb1.sysctl(SETTING) == "0"


@pytest.mark.net
def test_who_remembers_udp_for_longer_may(lb1: Node, tmp_path: Path) -> None:
    """A timeout of connection tracking that is longer than IPVS's stays; a shorter one is raised."""
    fullnat = service(replace(server(1), mode=Mode.FULLNAT))
    short, long = (Path("/proc/sys") / name.replace(".", "/") for name in FULLNAT_UDP)
    with lb1.entered():
        short.write_text("60")
        long.write_text("900")
        Settings(Memory(tmp_path)).apply(config(replace(fullnat, protocol=Protocol.UDP)))
        assert (short.read_text(), long.read_text()) == ("300\n", "900\n")
