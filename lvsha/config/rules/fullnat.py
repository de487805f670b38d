"""Rules of mode fullnat: local addresses that can do their work, and that are where the service is.

A server answers to the local address it saw. The answer has to reach the director that holds the
service's address, so the two addresses move together or the connections break at a failover.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lvsha.config.problems import Finding, KeyPath, error, spell, warning
from lvsha.config.resolve import Resolved
from lvsha.config.resolve.services import Draft, LocalPlace
from lvsha.config.resolve.vrrp import Instance
from lvsha.config.settings.services import ServiceConfig
from lvsha.model import Address, Family, Mode, Protocol, family_of

_OWN = "mode fullnat sends to the servers from an address of the directors' own"
_MOVES = 'write it as { address = "10.0.1.100/24", interface = "eth1" }, and it moves with the service'


def judge(draft: Draft) -> Iterator[Finding]:
    """Everything that is wrong with the local addresses of one service by themselves."""
    modes = {place.config.mode for place in draft.places}
    path = (*draft.path, "local_addresses")
    if Mode.FULLNAT not in modes:
        if draft.local and draft.complete:
            yield error(path, "are of no use without mode fullnat", 'add mode = "fullnat", or leave them out')
        return
    if not draft.local and not draft.written.local_addresses:
        yield error(path, f"is missing: {_OWN}", _MOVES)
    yield from _able(draft)
    yield from _pool(draft)


def together(resolved: Resolved) -> Iterator[Finding]:
    """Whether local addresses are nothing else, and move with the service's, on every node."""
    yield from _own(resolved)
    for instances in resolved.instances.values():
        holders = {address: one for one in instances.values() for address in one.config.held}
        for draft in resolved.services.values():
            if any(place.config.mode is Mode.FULLNAT for place in draft.places):
                for local in draft.local:
                    yield from _moves(draft, local, holders, vrrp=bool(resolved.written.names["vrrp"]))


def _own(resolved: Resolved) -> Iterator[Finding]:
    """The guard drops what a server sends to a local address by itself."""
    services = {draft.config.address: draft.path for draft in resolved.services.values()}
    for draft in resolved.services.values():
        for local in draft.local:
            if local.address.ip in services:
                message = (
                    f"is the address of {spell(services[local.address.ip])}, which servers then cannot use"
                )
                yield warning(local.path, message, "use an address of its own")


def _able(draft: Draft) -> Iterator[Finding]:
    """What connection tracking cannot do for IPVS."""
    config = draft.config
    if config.fwmark is None and config.protocol is Protocol.SCTP:
        message = "mode fullnat is for tcp and udp: connection tracking takes up no SCTP in its midst"
        yield error((*draft.path, "protocol"), message, 'use mode = "nat", "dr" or "tun"')
    if config.one_packet:
        # The kernel's ip_vs_nfct.c says: "Never alter conntrack for OPS conns (no reply is expected)".
        message = "does not go with mode fullnat: the kernel expects no replies, and would drop them"
        yield error((*draft.path, "one_packet"), message, "leave it out")


def _pool(draft: Draft) -> Iterator[Finding]:
    servers = {place.config.address: place.path for place in draft.places}
    first: dict[Address, KeyPath] = {}
    for local in draft.local:
        address = local.address.ip
        if family_of(address) is not draft.config.family:
            kind = "IPv4" if draft.config.family is Family.IPV4 else "IPv6"
            message = f"{address} is of another family than the servers"
            yield error(local.path, message, f"use an {kind} address")
        elif address.is_unspecified or address.is_multicast or address.is_loopback:
            yield error(local.path, f"{address} is no address that a server could answer to", _MOVES)
        if address in servers:
            message = f"{address} is the address of {spell(servers[address])}"
            yield error(local.path, message, "use an address that no other machine has")
        if address in first:
            yield error(local.path, f"{address} is named twice", "keep one of the two")
        first.setdefault(address, local.path)


def _moves(
    draft: Draft, local: LocalPlace, holders: Mapping[Address, Instance], *, vrrp: bool
) -> Iterator[Finding]:
    address, service = local.address.ip, draft.config
    holder, main = holders.get(address), holders.get(service.address) if service.address else None
    if main is not None and holder is not None and not holder.moves_with(main):
        message = (
            f"{address} is held by {spell(holder.path)}, which may fail over without {spell(main.path)}, "
            f"that holds {service.address}: answers would reach the wrong director"
        )
        yield error(local.path, message, "give both instances the same group")
    elif holder is None and local.interface is not None:
        yield error(
            local.path, _nowhere(service, local), "leave the interface out, and put it there yourself"
        )
    elif holder is None and vrrp:
        message = f"{address} is held by no VRRP instance: at a failover the servers' answers would be lost"
        finding = warning if main is None else error
        yield finding(local.path, message, _MOVES)


def _nowhere(service: ServiceConfig, local: LocalPlace) -> str:
    why = (
        f"no VRRP instance holds {service.address}"
        if service.address is not None
        else "a service with a firewall mark has no address, and so no VRRP instance"
    )
    return f"{why}, so nothing would put {local.address.ip} on {local.interface}"
