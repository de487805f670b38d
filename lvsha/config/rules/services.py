"""Rules of one service's own settings, and of services beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lvsha.config.problems import Finding, KeyPath, error, spell, warning
from lvsha.config.resolve.services import Draft, Place
from lvsha.config.settings.services import FLAGS, ServiceConfig
from lvsha.model import Family, Protocol, ServiceKey

_HASHING = ("sh", "mh")
"""The schedulers that look at flags."""


def judge(draft: Draft) -> Iterator[Finding]:
    """Everything that is wrong with the settings of one service."""
    yield from _address(draft)
    yield from _flags(draft)
    yield from _one_packet(draft)
    yield from _persistence(draft)
    yield from _servers(draft)


def keys(drafts: Iterable[Draft]) -> Iterator[Finding]:
    """The kernel finds a service by its key, so a key belongs to one service."""
    first: dict[ServiceKey, KeyPath] = {}
    for draft in drafts:
        key = draft.config.key
        if key in first:
            message = f"is {key}, and so is {spell(first[key])}"
            yield error(draft.path, message, "give one of them another address, port or mark")
        first.setdefault(key, draft.path)


def _address(draft: Draft) -> Iterator[Finding]:
    address, path = draft.config.address, (*draft.path, "address")
    if address is None:
        return
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        what = "a multicast" if address.is_multicast else "a loopback" if address.is_loopback else "no"
        yield error(path, f"{address} is {what} address, which no client can reach", "use a unicast address")
    if not draft.config.port and draft.config.persistence is None:
        message = "is 0, every port, which IPVS schedules for persistent services only"
        yield error(
            (*draft.path, "port"), message, "add persistence, or use a firewall mark for a set of ports"
        )


def _flags(draft: Draft) -> Iterator[Finding]:
    config, bits = draft.config, 0
    for index, flag in enumerate(config.flags):
        path = (*draft.path, "flags", index)
        owner = flag.partition("-")[0]
        if owner in _HASHING and owner != config.scheduler:
            hint = f'use scheduler = "{owner}", or leave the flag out'
            yield error(path, f"{flag} is a flag of the scheduler {owner}, not of {config.scheduler}", hint)
        elif config.scheduler not in _HASHING:
            yield error(path, f"the scheduler {config.scheduler} looks at no flags", "leave the flag out")
        if FLAGS[flag] & bits:
            yield error(path, f"{flag} sets a bit that another flag here has set", "keep one of the two")
        bits |= FLAGS[flag]


def _one_packet(draft: Draft) -> Iterator[Finding]:
    config = draft.config
    if config.one_packet and config.fwmark is None and config.protocol is not Protocol.UDP:
        name = config.protocol.name
        message = f"is for UDP: {name} packets of one connection must go to one server"
        yield error((*draft.path, "one_packet"), message, "leave it out")


def _persistence(draft: Draft) -> Iterator[Finding]:
    wanted, path = draft.written.persistence, (*draft.path, "persistence")
    if wanted is None:
        return
    yield from _netmask(draft.config, draft, path)
    if wanted.engine == "sip" and draft.config.fwmark is None and draft.config.protocol is not Protocol.UDP:
        message = "sip reads UDP only: every packet of another protocol would be dropped"
        yield error((*path, "engine"), message, 'use protocol = "udp", or leave the engine out')
    if draft.config.one_packet and wanted.engine is None:
        message = "with one_packet all packets of a client go to one server all the same"
        yield warning(path, message, 'leave one of the two out, or use engine = "sip"')


def _netmask(config: ServiceConfig, draft: Draft, persistence: KeyPath) -> Iterator[Finding]:
    mask = draft.written.persistence.netmask if draft.written.persistence else None
    path = (*persistence, "netmask")
    if mask is None:
        return
    if config.family is Family.IPV6 and mask.dotted:
        yield error(path, "is a mask of IPv4, but the service is IPv6", "write a prefix length such as 64")
    elif mask.prefix > config.family.bits:
        yield error(path, f"{mask.prefix} is more than an IPv4 address has bits", "write 1 to 32")


def _servers(draft: Draft) -> Iterator[Finding]:
    config = draft.config
    if not draft.written.servers and not config.servers and draft.complete:
        yield warning(draft.path, "has no servers", f"add [[{spell((*draft.path, 'servers'))}]]")
    elif draft.complete and config.floor > len(config.servers):
        count = len(config.servers)
        yield error(
            (*draft.path, "floor"), f"is {config.floor}, but there are only {count} servers", "lower it"
        )
    if config.servers and not any(_asked(draft, place) for place in draft.servers):
        message = "has no health check: its servers stay in service whatever happens to them"
        hint = 'add check = { kind = "tcp" }, or check = "none" if that is meant'
        yield warning(draft.path, message, hint)


def _asked(draft: Draft, place: Place) -> bool:
    """Whether the file says anything about a check of this server, be it that there is none."""
    written = (draft.written.check, place.written.check)
    return place.config.check is not None or any(check is not None for check in written)
