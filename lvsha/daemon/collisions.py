"""Mode fullnat: connections that had to be given another port, carried over to the other director.

Of two clients with the same port, one local address and one server, the second is given a port that the
kernel finds by chance. Connection sync does not tell of it, and it cannot be worked out. So a director that
makes such a connection tells its peers, and they make the same entry in connection tracking, while nothing
passes over it there yet. At a failover it is there for the first packet, whoever sends it.

    heard of ──▶ a candidate ──▶ known: established, told to the peers
                     └── not within `SETTLE`: forgotten, as the first packets of a flood are
    told by a peer, of an address that another node holds ──▶ an entry here
    no longer told for `GRACE` ──▶ removed here

Every director tells what it has, made by traffic or as a peer told it, for one that is started anew has
forgotten everything and asks its own kernel about all that it is told. Who holds an address believes its
own kernel alone: an entry of a connection that has ended there is looked for every `CHECK` seconds, and
told no more. IPVS does the rest: when its entry of a connection ends, it removes that of connection tracking.

All of it is bounded: a flood of clients with one port makes the kernel drop news, not the director slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from lvsha.config import Config
from lvsha.desired import source_nats
from lvsha.errors import KernelError
from lvsha.kernel import collisions as kernel
from lvsha.log import emit
from lvsha.model import Address, Collision
from lvsha.speaker.messages import RoleChange, State

PERIOD = 1.0
"""Seconds between two looks: connection sync takes two to tell of a connection."""
CHECK = 10.0
"""Seconds between two looks whether known ones are alive."""
SETTLE = 10.0
"""Seconds in which a new one must be established. UDP is when it has been used for two."""
GRACE = 15.0
"""Seconds for which one is kept that is no longer told: longer than a director that was started anew takes to
know its own again."""
AGAIN = 30.0
"""Seconds until connection tracking is tried again after an error."""
MOST = 4096
"""That are followed: at a rate of one in a hundred, those of 400,000 connections."""
NEWS = 1024
"""New ones that are taken at one look."""


class Entries(Protocol):
    """Connection tracking, as far as ports were changed: `lvsha.kernel.collisions.Collisions`."""

    def arrived(self, most: int) -> list[Collision]:
        """New ones since the last time."""

    async def alive(self, asked: Collection[Collision]) -> set[Collision]:
        """Those that are there and established."""

    async def install(self, wanted: Collection[Collision]) -> set[Collision]:
        """Make entries; those that are there now."""

    async def remove(self, doomed: Iterable[Collision]) -> None:
        """Remove entries."""


class Collisions:
    """Follows them for ever.

    `elsewhere`: the addresses that another node may hold now. `told`: what peers have, None where no peer is
    heard. `changed` is called when `known` has changed.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        elsewhere: Callable[[], Collection[Address]],
        told: Callable[[], frozenset[Collision] | None],
        changed: Callable[[], None],
    ) -> None:
        self.known: frozenset[Collision] = frozenset()
        """Those that connection tracking had here at the latest look."""
        self.seen = 0
        """How many were made by traffic since the start."""
        self._config = config
        self._elsewhere = elsewhere
        self._told = told
        self._changed = changed
        self._candidates: dict[Collision, float] = {}
        """With the time until which they may become established."""
        self._kept: dict[Collision, float] = {}
        """What is here on a peer's word, with the time when that was last heard."""
        self._due = 0.0

    async def run(self) -> None:
        """Look while the mode is in use, for ever."""
        clock, error = asyncio.get_running_loop().time, ""
        while True:
            try:
                if self._pool():
                    with contextlib.closing(kernel.Collisions.open()) as entries:
                        await self._follow(entries, clock)
                self._forget()
                await asyncio.sleep(PERIOD)
            except KernelError as failure:
                if error != (error := str(failure)):
                    emit("collisions.lost", error=error)
                await asyncio.sleep(AGAIN)

    async def _follow(self, entries: Entries, clock: Callable[[], float]) -> None:
        while self._pool():
            await self.look(entries, clock())
            await asyncio.sleep(PERIOD)

    async def look(self, entries: Entries, now: float) -> None:
        """Look once. Raises KernelError."""
        pool = self._pool()
        self._hear(entries.arrived(NEWS), pool, now)
        told, away = self._told(), self._elsewhere()
        ours = frozenset(one for one in told or () if one.local in pool)
        wanted = {one for one in ours if one.address in away}
        known = await self._see(entries, ours, wanted, now)
        known = known | await entries.install(wanted - known)
        gone = self._let_go(wanted, away, now, heard=told is not None)
        await entries.remove(gone & known)
        self._know(known - gone)

    def _hear(self, arrived: Iterable[Collision], pool: Collection[Address], now: float) -> None:
        for one in arrived:
            # What was made here on a peer's word is news to the kernel, too.
            if one.local in pool and one not in self._kept:
                self.seen += 1
                if len(self._candidates) < MOST:
                    self._candidates[one] = now + SETTLE

    async def _see(
        self, entries: Entries, told: Collection[Collision], wanted: Collection[Collision], now: float
    ) -> AbstractSet[Collision]:
        """What connection tracking has now, as far as it has to be asked."""
        asked = {*self._candidates, *wanted} - self.known
        if now >= self._due:
            self._due = now + CHECK
            asked |= self.known | {*told}
        alive = await entries.alive(asked)
        self._candidates = {
            one: until for one, until in self._candidates.items() if one not in alive and now < until
        }
        return (self.known - asked) | alive

    def _let_go(
        self, wanted: Collection[Collision], away: Collection[Address], now: float, *, heard: bool
    ) -> set[Collision]:
        """What is here on a word that nobody says any more; what has become this node's own is not."""
        kept = self._kept if heard else dict.fromkeys(self._kept, now)
        kept |= dict.fromkeys(wanted, now)
        gone = {one for one, at in kept.items() if now - at > GRACE}
        self._kept = {one: at for one, at in kept.items() if one not in gone and one.address in away}
        return {one for one in gone if one.address in away}

    def _know(self, known: Collection[Collision]) -> None:
        # Those that were known before have the first claim.
        now = frozenset(itertools.islice((*(self.known & {*known}), *({*known} - self.known)), MOST))
        if now != self.known:
            self.known = now
            self._changed()

    def _forget(self) -> None:
        self._candidates, self._kept = {}, {}
        self._know(())

    def _pool(self) -> Collection[Address]:
        return {address for entry in source_nats(self._config()) for address in entry.addresses}


def elsewhere(config: Config, roles: Mapping[str, RoleChange]) -> frozenset[Address]:
    """The addresses of the instances in which this node is backup."""
    backups = {name for name, role in roles.items() if role.state is State.BACKUP}
    held = (vrrp.held for name, vrrp in config.vrrp.items() if name in backups)
    return frozenset().union(*held)
