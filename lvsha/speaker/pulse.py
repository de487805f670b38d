"""Notices when this process did not run.

A machine that is paused (moved to another host, saved, starved of its processor) wakes without
having been told, and may have missed what its peers said meanwhile. So a beat is timed for every half
of the shortest interval; one that comes later than two of them may have cost adverts, and it is
for the elections to make up for that (`Group.overslept`). Who is about to believe a silence does not wait
for the beat, whose timer may be behind his own, but looks at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pulse:
    """The beat of one event loop."""

    def __init__(self, missed: Callable[[float], None]) -> None:
        """`missed` is called with the seconds that passed where two beats should have been."""
        self._missed = missed
        self._loop = asyncio.get_running_loop()
        self._period: float | None = None
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def every(self, period: float | None) -> None:
        """Beat so often from now on, in seconds; None: not at all."""
        if period == self._period:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._period, self._last = period, self._loop.time()
        if period is not None:
            self._timer = self._loop.call_later(period, self._beat, period)

    def look(self) -> None:
        """Notice now what the next beat would notice."""
        if self._period is None:
            return
        now = self._loop.time()
        gap, self._last = now - self._last, now
        if gap > 2 * self._period:
            self._missed(gap)

    def _beat(self, period: float) -> None:
        self.look()
        self._timer = self._loop.call_later(period, self._beat, period)
