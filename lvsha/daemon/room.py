"""What mode fullnat can run out of, counted before it does: ports of local addresses, room in conntrack.

A local address has one port for each connection to one server's port: 1024 to 65535, for a client's
own port is kept, or one of those taken (nf_nat_l4proto_unique_tuple(), net/netfilter/nf_nat_core.c).
Which address a connection has can be worked out from the client's, so IPVS's own table is counted, on
both directors alike: the standby knows what it would have to carry. A count of a million connections
takes seconds of a thread's time; the pause after it is fifty times as long as it took.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from lvsha.api.views import PortsView, RoomView
from lvsha.config import Config
from lvsha.desired import source_nats
from lvsha.errors import KernelError
from lvsha.kernel.ipvs.connections import Connection, connections
from lvsha.kernel.sourcenat.located import located
from lvsha.kernel.sourcenat.pool import Share
from lvsha.kernel.sysctl import SysctlError, read
from lvsha.log import emit
from lvsha.model import Address, Protocol, SourceNat

PORTS = 65536 - 1024
"""Connections that one local address carries to one server's port."""
FULL, EASED = 0.8, 0.7
"""Fractions at which it is said, and below which it may be said again."""
PERIOD = 30.0
"""Seconds between two counts, at least."""
PATIENCE = 50.0
"""A count takes at most this part of the time."""
_ENTRIES, _MOST = (f"net.netfilter.nf_conntrack_{what}" for what in ("count", "max"))


class Use(NamedTuple):
    """Where a port of a local address is used up: at most `PORTS` times each."""

    local: Address
    protocol: Protocol
    server: Address
    port: int
    """The server's."""


def tracked() -> tuple[int, int] | None:
    """Entries of connection tracking in this namespace, and how many there may be; None: unknown."""
    try:
        return int(read(_ENTRIES)), int(read(_MOST))
    except (SysctlError, ValueError):
        return None


class Room:
    """Counts for ever; `used` is for whoever asks.

    `share`: see `Rules`; `found`: the connections that IPVS has, read in a thread; `room`: entries of
    connection tracking, and how many there may be; `collisions`: how many ports had to be changed, and how
    many of those connections are alive.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        share: Callable[[], Share],
        found: Callable[[], Iterable[Connection]] = connections,
        room: Callable[[], tuple[int, int] | None] = tracked,
        collisions: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self.used: Counter[Use] = Counter()
        """Ports in use as of the latest count."""
        self._config = config
        self._share = share
        self._found = found
        self._room = room
        self._collisions = collisions
        self._said: set[Use | str] = set()

    async def run(self) -> None:
        """Count, say what is filling, pause, for ever."""
        while True:
            begun = time.monotonic()
            await self.look()
            await asyncio.sleep(max(PERIOD, PATIENCE * (time.monotonic() - begun)))

    def view(self) -> RoomView | None:
        """The latest count, for whoever asks; None without the mode."""
        if not source_nats(self._config()):
            return None
        ports = tuple(
            PortsView(str(u.local), u.protocol.name.lower(), str(u.server), u.port, number)
            for u, number in self.used.items()
        )
        tracked, limit = self._room() or (None, None)
        return RoomView(ports, PORTS, tracked, limit, *self._collisions())

    async def look(self) -> None:
        """Count once."""
        entries = source_nats(self._config())
        self.used = Counter()
        if not entries:
            return
        share = self._share()
        try:
            self.used = await asyncio.to_thread(lambda: count(self._found(), entries, share))
        except KernelError as error:
            emit("connections.lost", error=str(error))
        for use, number in self.used.items():
            if self._filling(use, number, PORTS):
                fields = {"local": use.local, "address": use.server, "port": use.port}
                emit("localports.filling", **fields, used=number, limit=PORTS)
        self._said.intersection_update({*self.used, _MOST})
        if (room := self._room()) is not None and self._filling(_MOST, *room):
            emit("conntrack.filling", used=room[0], limit=room[1])

    def _filling(self, what: Use | str, used: int, limit: int) -> bool:
        """Whether it has to be said now."""
        if used < EASED * limit:
            self._said.discard(what)
        if used < FULL * limit or what in self._said:
            return False
        self._said.add(what)
        return True


def count(found: Iterable[Connection], entries: Iterable[SourceNat], share: Share) -> Counter[Use]:
    """The ports that connections use, those that are closing included: their ports are taken still."""
    return Counter(
        Use(local, one.protocol, one.server, one.server_port) for one, local in located(found, entries, share)
    )
