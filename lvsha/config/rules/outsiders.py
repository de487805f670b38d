"""Rules of who belongs to the pair: addresses of its nodes, addresses that it moves, and all others.

A node's own address stays with it: as a virtual one the other node would have it while this one still
needs it. A witness and a gateway are asked about the world outside: one that the pair itself answers for
falls silent with the master, and keeps the other node from taking over just when it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lvsha.config.problems import Finding, error, spell
from lvsha.config.resolve import Resolved
from lvsha.config.resolve.vrrp import Instance
from lvsha.config.settings.vrrp import TrackGateway
from lvsha.model import Address


def judge(resolved: Resolved) -> Iterator[Finding]:
    """Everything about the addresses of the pair."""
    own = _own(resolved)
    for instances in resolved.instances.values():
        inside = {a: f"is held by {spell(i.path)}" for i in instances.values() for a in i.config.held}
        inside |= {address: f"is node {node}" for address, node in own.items()}
        for instance in instances.values():
            yield from _held(instance, own)
            yield from _asked(instance, inside)


def _own(resolved: Resolved) -> dict[Address, str]:
    """The nodes' own addresses, and whose each is."""
    found: dict[Address, str] = {}
    for name, entry in resolved.written.nodes.items():
        special = (table.address for table in entry.vrrp.values())
        found |= {address: name for address in (entry.address, *special) if address is not None}
    return found


def _held(instance: Instance, own: Mapping[Address, str]) -> Iterator[Finding]:
    for path, vip in instance.vips():
        node = own.get(vip.address.ip)
        if node is not None:
            message = f"{vip.address.ip} is node {node}'s own address, and would be taken from it"
            yield error(path, message, "use another address: a virtual one is the master's only")


def _asked(instance: Instance, inside: Mapping[Address, str]) -> Iterator[Finding]:
    witness = instance.config.witness
    if witness is not None and witness in inside:
        message = f"{witness} {inside[witness]}: when that is gone nobody would take over"
        yield error((*instance.path, "witness"), message, "name somebody outside of the pair, as the router")
    for index, track in enumerate(instance.config.track):
        if isinstance(track, TrackGateway) and track.gateway in inside:
            message = f"{track.gateway} {inside[track.gateway]}, which tells nothing about the way out"
            path = (*instance.path, "track", index, "gateway")
            yield error(path, message, "name somebody outside of the pair, as the router")
