"""Watches drained servers until their last connection has ended, and says so.

An operator who drained a server wants one thing next: to know when it may be worked on. The
kernel tells of no such moment, so the drained servers' services are read every second for as
long as a drained server still has connections, and not at all otherwise.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from lvsha.daemon.director import Director
from lvsha.daemon.reconciler import Reconciler
from lvsha.errors import KernelError
from lvsha.log import emit
from lvsha.model import ServerKey, ServiceKey
from lvsha.overrides import Kind

PERIOD = 1.0
LATER = 10.0
"""Seconds until a kernel that did not answer is asked again; the reconciler has told of it."""


@dataclass(frozen=True, slots=True)
class Drained:
    """One server of one service that an operator drained."""

    service: str
    server: str
    key: ServiceKey
    place: ServerKey
    since: float
    """Seconds since the epoch."""


class Drains:
    """The drained servers that still have connections."""

    def __init__(self, director: Director, reconciler: Reconciler) -> None:
        self._director = director
        self._reconciler = reconciler
        self._finished: set[Drained] = set()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            drained = self._drained()
            self._finished &= drained
            if drained - self._finished:
                try:
                    await self._look(drained - self._finished)
                    await asyncio.sleep(PERIOD)
                except KernelError:
                    await asyncio.sleep(LATER)
            else:
                await self._director.overrides_changed()

    async def _look(self, open_: set[Drained]) -> None:
        await self._reconciler.looked({d.key for d in open_})
        services = self._reconciler.observed.services
        for d in open_:
            there = services.get(d.key)
            state = there.servers.get(d.place) if there else None
            if state is None or (state.server.weight == 0 and state.connections == 0):
                self._finished.add(d)
                emit(
                    "drain.finished",
                    service=d.service,
                    server=d.server,
                    address=d.place.address,
                    port=d.place.port,
                    seconds=max(0.0, round(time.time() - d.since, 1)),
                )

    def _drained(self) -> set[Drained]:
        return {
            Drained(service.name, server.name, service.key, server.key, o.since)
            for o in self._director.overrides.entries
            if o.kind is Kind.DRAIN
            for service, server in self._director.servers_of(o)
        }
