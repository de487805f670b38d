"""Who was not listened to, told without letting strangers fill the log.

The first of a reason is told at once; those that follow are counted, and told with their count once
a minute has passed. There are few reasons, so what is remembered is bounded whoever knocks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from lvsha.log import emit
from lvsha.peer.messages import Reason

AGAIN = 60.0
"""Seconds between two events of one reason."""


class Refusals:
    """Tells of refused connections."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[Reason, float] = {}
        self._count: Counter[Reason] = Counter()

    def tell(self, reason: Reason, source: str, detail: str) -> None:
        """One more, from this address."""
        self._count[reason] += 1
        now = self._clock()
        if now - self._told.get(reason, now - AGAIN) < AGAIN:
            return
        self._told[reason] = now
        count = self._count.pop(reason)
        emit("peer.refused", source=source, reason=reason.value, detail=detail, count=count)
