"""Firewall marks for the checks that go the clients' way.

A packet that bears a mark is directed by the mark's service before any other, so a mark with one server
behind it leads a probe to that server as a client's packet would be led: masqueraded, routed or wrapped.

Both directors of a pair must give a server the same mark, for the connections of probes are told to the
other one too, and a reload that changes other servers must not move it. So it follows from what it leads
to, by a hash; of two that fall on one mark, the later takes the next that is free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lvsha.config.resolve.services import Draft, Place
from lvsha.config.settings.services import METHODS, Passage, ServerConfig, ServiceConfig
from lvsha.model import Family, Mode, Server, ServerKey

MARKS = 65536


@dataclass(frozen=True, slots=True)
class Lead:
    """Where a mark leads."""

    family: Family
    key: ServerKey
    server: Server

    @property
    def text(self) -> str:
        """All of it in words that stay the same from release to release."""
        server, tunnel = self.server, self.server.tunnel
        parts = (
            self.family.name,
            self.key,
            server.method.name,
            tunnel.kind.name,
            tunnel.port,
            int(tunnel.flags),
        )
        return " ".join(map(str, parts))


def lay(drafts: Mapping[str, Draft], base: int) -> dict[str, Draft]:
    """The same services, their servers with passages where their checks ask for them."""
    leads = {
        lead for d in drafts.values() for p in d.places if (lead := _lead(d.config, p.config)) is not None
    }
    marks = allot(leads, base)
    return {name: _with_passages(draft, marks) for name, draft in drafts.items()} if marks else dict(drafts)


def allot(leads: Iterable[Lead], base: int) -> dict[Lead, int]:
    """A mark for each."""
    marks: dict[Lead, int] = {}
    taken: set[int] = set()
    for lead in sorted(leads, key=lambda one: one.text):
        slot = int.from_bytes(hashlib.sha256(lead.text.encode()).digest()[:2], "big")
        while slot in taken and len(taken) < MARKS:
            slot = (slot + 1) % MARKS
        taken.add(slot)
        marks[lead] = base + slot
    return marks


def _lead(service: ServiceConfig, server: ServerConfig) -> Lead | None:
    """Where the probes of a server are to be led; None where they go straight there, or cannot be led."""
    check = server.check
    if check is None or check.through != "vip" or server.mode is Mode.FULLNAT:
        return None
    port = check.port or server.port if server.mode is Mode.NAT else server.port
    key = ServerKey(server.address, port)
    return Lead(service.family, key, Server(METHODS[server.mode], 1, tunnel=server.tunnel))


def _with_passages(draft: Draft, marks: Mapping[Lead, int]) -> Draft:
    servers = tuple(_place(draft.config, place, marks) for place in draft.servers)
    fallback = tuple(_place(draft.config, place, marks) for place in draft.fallback)
    config = replace(
        draft.config,
        servers=tuple(place.config for place in servers),
        fallback=tuple(place.config for place in fallback),
    )
    return replace(draft, config=config, servers=servers, fallback=fallback)


def _place(service: ServiceConfig, place: Place, marks: Mapping[Lead, int]) -> Place:
    server, lead = place.config, _lead(service, place.config)
    if lead is None or server.check is None:
        return place
    address, port = server.check.address or service.address, server.check.port or service.port
    if address is None or not port:
        return place  # a rule says so
    passage = Passage(marks[lead], lead.family, address, port, lead.key, lead.server)
    return replace(place, config=replace(server, passage=passage))
