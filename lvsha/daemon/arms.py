"""What modes nat and fullnat need of single interfaces (IPv4), as the machine's routes say.

What a server answers comes in on the interface that the server is reached by, and is forwarded only if that
one forwards. Where clients come in by the same interface (one-armed), the kernel would tell the server of a
shorter way, past this director (ip_rt_send_redirect() in net/ipv4/route.c): `send_redirects` must be off, on
the interface and on `all`, for either is enough (IN_DEV_TX_REDIRECTS in include/linux/inetdevice.h).

One server of each network is asked for. Where it is not certain by which interface clients come in, nothing
is set of redirects; the doctor tells what is in the way. IPv6 has no such settings: all interfaces forward or
none, and every machine that forwards sends redirects (ip6_forward() in net/ipv6/ip6_output.c).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping

from lvsha.config import Config, ServiceConfig
from lvsha.daemon.doctor.facts import Facts, per_link
from lvsha.kernel.addresses import Addresses
from lvsha.kernel.links import Links
from lvsha.kernel.routes import Routes, Way
from lvsha.model import Address, Family, Mode

PREFIX = 24
"""Servers whose addresses agree so far are taken to be reached by one way."""

Samples = Mapping[str, tuple[Address, ...]]
"""Per service, one server of each network."""


async def see(config: Config) -> Mapping[str, int]:
    """The settings of interfaces that are needed, by their names. Raises KernelError."""
    # Of a large configuration both take a moment: in a thread, nobody waits for it.
    some = await asyncio.to_thread(samples, config)
    if not some:
        return {}
    links, addresses, routes = Links.open(), Addresses.open(), Routes.open()
    with contextlib.closing(links), contextlib.closing(addresses), contextlib.closing(routes):
        facts = Facts(
            links={link.index: link for link in await links.observe()},
            held=tuple(await addresses.observe()),
            ways=await routes.find(sorted({a for each in some.values() for a in each}, key=int)),
        )
    return await asyncio.to_thread(lambda: dict(needed(config, some, facts)))


def samples(config: Config) -> Samples:
    """Servers that masquerade IPv4, one of each network for each service that has any."""
    found = {name: _sample(service) for name, service in config.services.items()}
    return {name: some for name, some in found.items() if some}


def _sample(service: ServiceConfig) -> tuple[Address, ...]:
    if service.family is not Family.IPV4:
        return ()
    servers = (s for s in (*service.servers, *service.fallback) if s.mode in (Mode.NAT, Mode.FULLNAT))
    networks = {int(s.address) >> (Family.IPV4.bits - PREFIX): s.address for s in servers}
    return tuple(networks.values())


def needed(config: Config, some: Samples, facts: Facts) -> Iterator[tuple[str, int]]:
    """Each setting and its value, for what was seen."""
    for name, addresses in some.items():
        found = [facts.ways.get(address) for address in addresses]
        behind = {_name(way.index, facts) for way in found if isinstance(way, Way) and not way.local} - {""}
        for interface in sorted(behind):
            yield per_link(interface, "forwarding"), 1
        entry = _entry(config.services[name], config, facts)
        if entry in behind:
            yield per_link("all", "send_redirects"), 0
            yield per_link(entry, "send_redirects"), 0


def _entry(service: ServiceConfig, config: Config, facts: Facts) -> str:
    """By which interface clients come in; empty where it is not certain."""
    index = facts.entry(service.address, config) if service.address is not None else None
    return _name(index, facts) if index is not None else ""


def _name(index: int, facts: Facts) -> str:
    return facts.links[index].name if index in facts.links else ""
