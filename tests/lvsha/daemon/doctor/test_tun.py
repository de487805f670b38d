"""Tests of lvsha.daemon.doctor.tun."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon.doctor.tun import judge, overhead
from lvsha.kernel.links import Link
from lvsha.kernel.routes import Way
from lvsha.model import Mode, Protocol, Tunnel, TunnelFlag, TunnelKind
from tests.lab.facts import BACK, MAC, facts
from tests.lab.services import config, server, service

GUE = Tunnel(TunnelKind.GUE, 6080)


def site(tunnel: Tunnel = Tunnel(), protocol: Protocol = Protocol.TCP) -> Config:
    """One server behind a tunnel."""
    rs = replace(server(11), mode=Mode.TUN, tunnel=tunnel)
    return config(replace(service(rs), mode=Mode.TUN, protocol=protocol))


def found(cfg: Config, *, mtu: int = 1500, route: int = 0) -> list[FindingView]:
    """What is found when the link to the server carries so much, and the route says so."""
    well = facts(cfg)
    way = well.ways[server(11).address]
    assert isinstance(way, Way)
    links = {**well.links, BACK: Link(BACK, "back", MAC, mtu, up=True, running=True)}
    return list(
        judge(
            cfg, replace(well, links=links, ways={**well.ways, server(11).address: replace(way, mtu=route)})
        )
    )


@pytest.mark.parametrize(
    ("tunnel", "version", "octets"),
    [
        (Tunnel(), 4, 20),
        (Tunnel(), 6, 40),
        (GUE, 4, 32),
        (Tunnel(TunnelKind.GUE, 6080, TunnelFlag.CHECKSUM), 4, 32),
        (Tunnel(TunnelKind.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM), 4, 40),
        (Tunnel(TunnelKind.GRE), 4, 24),
        (Tunnel(TunnelKind.GRE, flags=TunnelFlag.CHECKSUM), 6, 48),
    ],
)
def test_what_a_tunnel_puts_before_a_packet(tunnel: Tunnel, version: int, octets: int) -> None:
    """IP 20 or 40; UDP 8 and GUE 4, its private field 8 more; GRE 4, its checksum 4 more."""
    assert overhead(tunnel, version) == octets


def test_equal_links_have_no_room() -> None:
    """1500 in and 1500 out: the numbers, and the MSS that the server must name."""
    (found_,) = found(site())
    assert found_.severity == "info"
    assert found_.finding.startswith(
        "back carries 1500 octets, ipip takes 20: 1480 are left for clients' packets, which may have 1500;"
    )
    assert found_.command == (
        "on rs11: iptables -t mangle -A OUTPUT -p tcp -s 192.0.2.100 "
        "--tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1440"
    )


def test_a_larger_link_has_room() -> None:
    """Jumbo frames to the servers, or just 32 octets more for GUE."""
    assert [f.severity for f in found(site(GUE), mtu=1532)] == ["ok"]
    assert [f.severity for f in found(site(GUE), mtu=1531)] == ["info"]


def test_a_route_may_say_less_than_the_link() -> None:
    """The route's own MTU counts where there is one."""
    (found_,) = found(site(), mtu=9000, route=1400)
    assert "--set-mss 1340" in found_.command


def test_udp_has_no_mss() -> None:
    """Nothing can be clamped; it is worth knowing all the same."""
    (info,) = found(site(protocol=Protocol.UDP))
    assert (info.severity, info.command) == ("info", "")


def test_path_mtu_discovery_that_is_off() -> None:
    """Long packets are fragmented silently then."""
    cfg = site()
    well = facts(cfg)
    last = list(judge(cfg, replace(well, sysctls={**well.sysctls, "net.ipv4.vs.pmtu_disc": "0"})))[-1]
    assert (last.severity, last.command) == ("info", "sysctl -w net.ipv4.vs.pmtu_disc=1")
