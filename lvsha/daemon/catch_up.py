"""A node that comes back takes nothing from a living master before it knows the master's connections.

The kernel has no way to ask for them. The master tells of a connection again when there is traffic on it,
at most every `sync_refresh_period`, and what it tells is collected for up to two seconds more
(net/netfilter/ipvs/ip_vs_sync.c). So a node that has just begun to listen knows all connections with traffic
after one such period and a little, and never one without traffic.

Whether it knows enough is judged by counting the established ones, here and, over the channel between the
directors, there. Closed ones are not counted: they linger for minutes, are not told of any more, and nobody
misses them. Nor are those that were here when the waiting began and were not told of since: a node that was
cut off, and not rebooted, may have as many as its peer, and all of them have long ended. For a period all of
them are in doubt, then the table itself shows which. Where the peer does not say, a count that has stopped
growing must do.

Those of UDP are counted by nobody. IPVS keeps each for five minutes after its last packet, so most of them
are one question and its answer, long over: a count of them says nothing. Where there may be some, a whole
period is waited for, in which all that are in use are told of.

Nothing else waits: without a master this node takes over at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from lvsha import model
from lvsha.config import Config
from lvsha.daemon import settings
from lvsha.daemon.untouched import Untouched, unseen
from lvsha.errors import KernelError
from lvsha.log import emit
from lvsha.model import Observed, Role
from lvsha.peer.link import Count

SHARE = 0.95
"""Of the peer's connections, which are enough: the rest may have no traffic."""
GROWTH = 1.02
"""Less than so much growth in a period counts as none."""
FLUSH = 3.0
"""Seconds for which the kernel collects what it tells: IPVS_SYNC_FLUSH_TIME and IPVS_SYNC_CHECK_PERIOD."""
LOOK = 0.5
"""Seconds between two counts, ..."""
COST = 5
"""... or so many times as long as one takes."""
_PERIOD = 10.0


class Census(Protocol):
    """How many connections the peers know."""

    def ask_census(self) -> None:
        """Ask them."""

    @property
    def connections(self) -> int | None:
        """What they said; None: nothing yet."""


@dataclass(frozen=True, slots=True)
class End:
    """The waiting is over."""

    enough: bool
    why: str


class Progress:
    """The counts of one node since it began to listen. Times are seconds of any clock.

    `old` connections were known when it began. `uncounted`: there may be others, which are not counted.
    """

    def __init__(
        self, begun: float, *, limit: float, period: float, old: int, uncounted: bool = False
    ) -> None:
        self._begun = begun
        self._old = old
        self._uncounted = uncounted
        self._limit = limit
        self._period = period
        self._counts: list[tuple[float, int]] = []

    def judge(self, known: int, there: int | None, now: float, silent: int | None = None) -> End | None:
        """Take one count, here and there; whether the waiting is over.

        `silent`: how many of the old ones were not told of since; None: all of them, maybe.
        """
        self._counts.append((now, known))
        # Within a period everything with traffic is told of.
        over = now - self._begun >= self._period
        heard = known - (self._old if silent is None else silent)
        if there is not None and heard >= SHARE * there and (over or not self._uncounted):
            return End(enough=True, why=f"knows {known} of the peer's {there} connections")
        if there is None and self._settled(known, now):
            return End(enough=True, why=f"knows {known} connections, and no more in {self._period:g} s")
        if now - self._begun >= self._limit:
            rest = (
                f", and {silent} of {known} connections are from before, not told of since" if silent else ""
            )
            return End(enough=False, why=f"{self._limit:g} s have passed{rest}")
        return None

    def _settled(self, known: int, now: float) -> bool:
        before = [count for at, count in self._counts if at <= now - self._period]
        return bool(before) and known <= GROWTH * before[-1]


class CatchUp:
    """Waits for the peers' connections."""

    def __init__(
        self,
        config: Callable[[], Config],
        count: Count,
        census: Census,
        role: Callable[[], Role],
        untouched: Untouched = unseen,
    ) -> None:
        self._config = config
        self._count = count
        self._census = census
        self._role = role
        self._untouched = untouched
        self._doubtful = 0
        """Connections that were here when the waiting began, while nobody knows yet which of them live."""

    @property
    def due(self) -> bool:
        """Whether there is anything to wait for."""
        config = self._config()
        return config.sync is not None and config.sync.catch_up > 0 and bool(config.vrrp)

    async def told(self) -> int | None:
        """How many connections a peer is told are known here: none that may have ended long ago."""
        known = await self._count()
        if known is None or self._role() is Role.MASTER:
            return known
        return max(0, known - self._doubtful)

    async def run(self) -> None:
        """Return when this node may take over from a living master."""
        config, clock = self._config(), asyncio.get_running_loop().time
        limit = config.sync.catch_up if config.sync is not None else 0.0
        begun = clock()
        old = known = await self._count() or 0
        progress = Progress(begun, limit=limit, period=period(config), old=old, uncounted=uncounted(config))
        self._doubtful = old
        took = clock() - begun
        emit("sync.catching_up", connections=known, seconds=limit)
        while True:
            self._census.ask_census()
            await asyncio.sleep(max(LOOK, COST * took))
            before = clock()
            known = await self._count() or 0
            silent = None
            if clock() - begun >= period(config):
                self._doubtful = 0
                silent = min(known, await self._untouched(clock() - begun)) if old else 0
            took = clock() - before
            there = self._census.connections
            end = progress.judge(known, there, clock(), silent)
            if self._role() is Role.MASTER:
                end = End(enough=True, why="this node is master already")
            if end is not None:
                break
        self._doubtful = 0
        emit(
            "sync.caught_up" if end.enough else "sync.behind",
            connections=known,
            peer_connections=there,
            seconds=round(clock() - begun, 1),
            why=end.why,
        )


def uncounted(config: Config) -> bool:
    """Whether there may be connections of UDP; what a firewall mark lets in nobody knows."""
    return any(
        service.fwmark is not None or (service.protocol is model.Protocol.UDP and not service.one_packet)
        for service in config.services.values()
    )


def established(config: Config, observed: Observed) -> int:
    """The established connections of the configured services."""
    services = (observed.services.get(service.key) for service in config.services.values())
    return sum(state.active for there in services if there is not None for state in there.servers.values())


def counter(config: Callable[[], Config], see: Callable[[], Awaitable[Observed]]) -> Count:
    """Counts by a look at the kernel."""

    async def count() -> int | None:
        try:
            return established(config(), await see())
        except KernelError:
            return None

    return count


def period(config: Config) -> float:
    """Seconds in which every connection with traffic is told of once."""
    value = str(settings.wanted(config).get("net.ipv4.vs.sync_refresh_period", ""))
    return (float(value) if value.isdigit() and int(value) else _PERIOD) + FLUSH
