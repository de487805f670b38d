"""The last events in memory, for whoever wants to follow them.

A subscriber holds a position in the ring, not a queue of its own. One that reads slowly falls behind,
loses events and is told how many; it costs the daemon nothing and never makes it wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from lvsha.log.record import Record, record


class Journal:
    """A ring of records. Each gets `seq`, which counts up from 1 for the life of the process."""

    def __init__(self, size: int = 2000) -> None:
        self._ring: deque[Record] = deque(maxlen=size)
        self._news = asyncio.Event()
        self.last = 0
        """The number of the newest record (0: none yet)."""

    def append(self, said: Record) -> None:
        """Keep a record and wake the subscribers. A listener for `lvsha.log.listening`."""
        self.last += 1
        self._ring.append(said | {"seq": self.last})
        self._news.set()
        self._news = asyncio.Event()

    def kept(self, since: int = 0) -> list[Record]:
        """The records after number `since` that are still kept."""
        return [said for said in self._ring if said["seq"] > since]

    async def subscribe(self, since: int | None = None) -> AsyncIterator[Record]:
        """Records after number `since` (0: all that are kept; None: only those to come), without end.

        A number that lies ahead comes from a process that is gone: then all that are kept follow.
        Where records were lost, one `events.missed` with their count stands in their place.
        """
        position = self._start(since)
        while True:
            news = self._news
            while position < self.last:
                oldest = self.last - len(self._ring) + 1
                if position + 1 < oldest:
                    yield record("events.missed", {"count": oldest - 1 - position}) | {"seq": oldest - 1}
                    # Taking that one may have taken long: look again before reading the ring.
                    position = oldest - 1
                    continue
                position += 1
                yield self._ring[position - oldest]
            await news.wait()

    def _start(self, since: int | None) -> int:
        if since is None:
            return self.last
        return max(0, since) if since <= self.last else 0
