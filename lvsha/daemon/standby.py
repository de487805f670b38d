"""What the other director knows of the established connections: shown, and asked before a planned failover.

A master that hands over to a director that was just rebooted, or that sync does not reach, breaks every
connection, and the hand-over itself succeeds. So the peer is asked over `[peer]` how many it knows, and
where it lacks too many, as `catch_up` judges it, nothing is handed over unless an operator insists. It is
asked more than once: the kernel collects what it tells for some seconds, and a few young connections may be
all there are.

Without `[peer]` nobody can be asked, and that is said. Without `[sync]` there is nothing to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from lvsha.api.views import SyncView
from lvsha.config import Config
from lvsha.daemon.catch_up import FLUSH, LOOK, SHARE, period
from lvsha.daemon.peers import Peers
from lvsha.errors import UnavailableError
from lvsha.peer.link import Count

GLANCE = 1.0
"""Seconds that a peer may take to answer for `status`, ..."""
ANSWER = 3.0
"""... and before a failover."""
FORCE = "--force hands over all the same"


class Standby:
    """Compares this director's connections with its peers'."""

    def __init__(self, config: Callable[[], Config], count: Count, peers: Peers) -> None:
        self._config = config
        self._count = count
        self._peers = peers

    async def view(self) -> SyncView | None:
        """How many each knows; None without `[sync]`."""
        return None if self._config().sync is None else await self._look(GLANCE)

    async def permit(self, *, force: bool) -> str:
        """What the peers know, in words, or "" without `[sync]`.

        Raises UnavailableError where they lack connections, or do not say; not with `force`.
        """
        config = self._config()
        if config.sync is None:
            return ""
        if config.peer is None:
            return "whether the other director knows the connections is unknown without [peer]"
        seen = await self._enough(0.0 if force else FLUSH + 1)
        if not force and (why := lacking(seen, period(config))):
            raise UnavailableError(why)
        return "; ".join(_knows(name, count, seen.here) for name, count in seen.peers.items())

    async def _enough(self, patience: float) -> SyncView:
        """The latest counts, once there are enough or the patience has ended."""
        clock = asyncio.get_running_loop().time
        end = clock() + patience
        while True:
            seen = await self._look(ANSWER)
            if clock() >= end or not _short(seen):
                return seen
            await asyncio.sleep(LOOK)

    async def _look(self, within: float) -> SyncView:
        here = await self._count()
        return SyncView(here, dict(await self._peers.census(within)))


def lacking(seen: SyncView, within: float) -> str:
    """Why nothing should be handed over; "" where nothing speaks against it.

    `within`: seconds in which the kernel tells of every connection with traffic.
    """
    short = _short(seen)
    if not short:
        return ""
    (name, count), *_ = short.items()
    if count is None:
        return f"{_knows(name, count, seen.here)}: see `lvsha-cli status`; {FORCE}"
    wait = f"wait (those with traffic are told again within {within:g} s)"
    return f"{_knows(name, count, seen.here)}: {wait}; {FORCE}"


def _short(seen: SyncView) -> Mapping[str, int | None]:
    """The peers that lack connections; any of them may be the one that takes over."""
    least = SHARE * (seen.here or 0)
    return {name: n for name, n in seen.peers.items() if (n or 0) < least}


def _knows(name: str, count: int | None, here: int | None) -> str:
    of = "an unknown number of" if here is None else here
    if count is None:
        return f"{name} does not say how many of {of} established connections it knows"
    return f"{name} knows {count} of {of} established connections"
