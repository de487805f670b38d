"""Rules of the servers of one service: ports, families, thresholds, tunnels, checks."""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.config.problems import Finding, KeyPath, error, spell
from lvsha.config.resolve.services import Draft, Place
from lvsha.model import Mode, ServerKey, TunnelFlag, TunnelKind, family_of

PORTLESS = ("ping", "script")
"""Kinds of check that need no port."""

_WHY = {
    Mode.DR: "direct routing changes only the MAC address, so a packet keeps its port",
    Mode.TUN: "a tunnel wraps the packet as it is, so it keeps its port",
}


def judge(draft: Draft) -> Iterator[Finding]:
    """Everything that is wrong with the servers of one service."""
    first: dict[ServerKey, KeyPath] = {}
    for place in draft.places:
        yield from _port(draft, place)
        yield from _family(draft, place)
        yield from _tunnel(place)
        yield from _thresholds(place)
        yield from _check(place)
        key = place.config.key
        if key in first:
            message = f"is {key}, and so is {spell(first[key])}"
            yield error(place.path, message, "keep one of the two; a weight says how much a server takes")
        first.setdefault(key, place.path)


def _port(draft: Draft, place: Place) -> Iterator[Finding]:
    service, server, path = draft.config, place.config, (*place.path, "port")
    if service.fwmark is not None:
        yield from _marked_port(draft, place)
    elif server.port == service.port:
        return
    elif server.mode in _WHY:
        message = f"is {server.port} and the service's is {service.port}, but {_WHY[server.mode]}"
        yield error(path, message, 'leave it out, or use mode = "nat" or "fullnat"')
    elif not service.port:
        # ip_vs_sched_persist() looks at the server's port only where the client asked for the service's.
        message = "a service of every port keeps the port that the client asked for"
        yield error(path, message, "leave it out")
    elif not server.port:
        yield error(path, "is 0, no port", "leave it out: the service's port is meant")


def _marked_port(draft: Draft, place: Place) -> Iterator[Finding]:
    server, path = place.config, (*place.path, "port")
    if not server.port:
        return
    if server.mode in _WHY:
        message = f"is {server.port}, but {_WHY[server.mode]}, and the mark may cover many"
        yield error(path, message, "leave it out")
    elif draft.config.persistence is not None:
        # ip_vs_sched_persist() compares with the service's port, which a mark does not have.
        message = "a persistent service with a firewall mark keeps the port that the client asked for"
        yield error(path, message, "leave it out, or take persistence out")


def _family(draft: Draft, place: Place) -> Iterator[Finding]:
    address = place.config.address
    if address.is_unspecified or address.is_multicast:
        yield error(_named(place, "address"), f"{address} is no server's address", "use a unicast address")
    if family_of(address) is draft.config.family or place.config.mode is Mode.TUN:
        return
    message = f"{address} is of another family than the service, which only a tunnel can carry"
    yield error(_named(place, "address"), message, 'use mode = "tun", or another server')


def _named(place: Place, key: str) -> KeyPath:
    return (*place.path, "server" if place.written.server is not None else key)


def _tunnel(place: Place) -> Iterator[Finding]:
    tunnel, path = place.config.tunnel, (*place.path, "tunnel")
    if place.written.tunnel is None:
        return
    if place.config.mode is not Mode.TUN:
        message = f"is of no use with mode {place.config.mode}"
        yield error(path, message, 'add mode = "tun", or take the tunnel out')
    if tunnel.kind is TunnelKind.GUE and not tunnel.port:
        yield error((*path, "port"), "is missing", "gue travels over UDP: write the port, such as 6080")
    if tunnel.kind is not TunnelKind.GUE and tunnel.port:
        name = tunnel.kind.name.lower()
        yield error((*path, "port"), f"{name} has no port; only gue travels over UDP", "leave it out")
    yield from _tunnel_checksum(tunnel.kind, tunnel.flags, path)


def _tunnel_checksum(kind: TunnelKind, flags: TunnelFlag, tunnel: KeyPath) -> Iterator[Finding]:
    path = (*tunnel, "checksum")
    if flags and kind is TunnelKind.IPIP:
        yield error(path, "ipip has no header that a checksum could stand in", "leave it out")
    if flags & TunnelFlag.REMOTE_CHECKSUM and kind is TunnelKind.GRE:
        yield error(path, "remote checksum offload is of gue only", 'use checksum = "checksum"')


def _thresholds(place: Place) -> Iterator[Finding]:
    upper, lower = place.config.upper, place.config.lower
    if lower > upper:
        message = f"{lower} is more than upper ({upper}): the kernel refuses that"
        hint = "set upper as well" if not upper else "make it smaller than upper"
        yield error((*place.path, "lower"), message, hint)


def _check(place: Place) -> Iterator[Finding]:
    check = place.config.check
    if check is None or check.kind in PORTLESS:
        return
    if check.port is None and not place.config.port:
        message = f"the {check.kind} check has no port to ask: this server has none of its own"
        yield error((*place.path, "check"), message, "give the check a port")
