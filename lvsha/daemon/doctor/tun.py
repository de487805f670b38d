"""Mode tun: what a wrapped packet gains in length, and whether the way has room for it.

Only clients' packets are wrapped; a server answers its client directly. So what has to be smaller is what
clients send, and they go by the MSS that the server names in its SYN-ACK, which does not pass here: the
server has to name a smaller one. Without that every full packet has to be refused with an ICMP message, and
a client that does not hear those hangs.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import info, ok
from lvsha.kernel.routes import Way
from lvsha.model import Family, Mode, Protocol, Tunnel, TunnelFlag, TunnelKind

_IP = {4: 20, 6: 40}
_TCP = 20
_ETHERNET = 1500
_UDP = 8
_GUE = 4
_GUE_REMOTE = 8
"""The private field with the remote checksum: GUE_LEN_PRIV and GUE_PLEN_REMCSUM of include/net/gue.h."""
_GRE = 4
_GRE_CHECKSUM = 4


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about room in tunnels."""
    servers = [
        (service, server)
        for service in config.services.values()
        for server in (*service.servers, *service.fallback)
        if server.mode is Mode.TUN
    ]
    for service, server in servers:
        yield from _room(service, server, config, facts)
    if servers and facts.number("net.ipv4.vs.pmtu_disc") == 0:
        words = "is 0: packets that are too long for a tunnel are fragmented, and their senders are not told"
        yield info("net.ipv4.vs.pmtu_disc", words, "sysctl -w net.ipv4.vs.pmtu_disc=1")


def overhead(tunnel: Tunnel, version: int) -> int:
    """Octets that a tunnel puts before a packet; `version` is that of the server's address."""
    outer = _IP[version]
    match tunnel.kind:
        case TunnelKind.IPIP:
            return outer
        case TunnelKind.GUE:
            remote = bool(tunnel.flags & TunnelFlag.REMOTE_CHECKSUM)
            return outer + _UDP + _GUE + (_GUE_REMOTE if remote else 0)
        case TunnelKind.GRE:
            checksum = bool(tunnel.flags & TunnelFlag.CHECKSUM)
            return outer + _GRE + (_GRE_CHECKSUM if checksum else 0)


def _room(
    service: ServiceConfig, server: ServerConfig, config: Config, facts: Facts
) -> Iterator[FindingView]:
    way = facts.ways.get(server.address)
    entry = facts.entry(service.address, config) if service.address is not None else None
    if not isinstance(way, Way) or way.local or way.index not in facts.links:
        return
    subject, link = f"server {service.name}/{server.name}", facts.links[way.index]
    mtu, takes = way.mtu or link.mtu, overhead(server.tunnel, server.address.version)
    come = facts.links[entry].mtu if entry is not None and entry in facts.links else _ETHERNET
    room = mtu - takes
    sums = f"{link.name} carries {mtu} octets, {server.tunnel.kind.name.lower()} takes {takes}"
    if room >= come:
        yield ok(subject, f"{sums}: clients' packets of up to {come} fit")
        return
    most = room - _IP[6 if service.family is Family.IPV6 else 4] - _TCP
    words = f"{sums}: {room} are left for clients' packets, which may have {come}"
    if service.fwmark is None and service.protocol is not Protocol.TCP:
        yield info(subject, f"{words}; longer datagrams are refused with an ICMP message, or lost")
        return
    # No warning: it works where ICMP passes, and whether the server clamps is not to be seen from here.
    words += "; a client learns that by ICMP, or from the MSS if the server names a smaller one"
    yield info(subject, words, f"on {server.name}: {_clamp(service, most)}")


def _clamp(service: ServiceConfig, mss: int) -> str:
    """What makes a server name a smaller MSS; clients go by it."""
    program = "ip6tables" if service.family is Family.IPV6 else "iptables"
    source = f" -s {service.address}" if service.address is not None else ""
    return f"{program} -t mangle -A OUTPUT -p tcp{source} --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}"
