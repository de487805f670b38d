"""How late the event loop is: time that a probe did not have.

A machine that is busy with something else does not read a server's answer when it comes, and a deadline
that counts this against the server calls a good one dead, and a thousand of them at once. So while
probes run, a beat is timed; where it comes late, so came everything, and a probe that began before is
given as long again (`patience`). What was waiting to be read is read by then, since the loop looks at its
sockets between any two of its timers. A deadline is put off `MOST` times its own length at most: by then a
judgement is due, whatever it is worth.

`recent` is for whoever makes the work: a loop that cannot keep up is not helped by more of it.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

PERIOD = 0.02
"""Seconds between two beats."""
SLACK = 0.005
"""Seconds by which a beat may be late without anything being lost."""
MOST = 5
_WEIGHT = 0.2
"""Of the newest beat in `recent`: a loop that is on time again has forgotten it after half a second."""


class Lag:
    """Of one loop. It counts while it is entered, by any number of probes."""

    def __init__(self) -> None:
        self.lost = 0.0
        """Seconds by which beats have been late, all together."""
        self.recent = 0.0
        """Seconds by which the latest beats were late, on average."""
        self.loop = asyncio.get_running_loop()
        self._last = self.loop.time()
        self._users = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._users += 1
        if self._timer is None:
            now = self.loop.time()
            # Nobody kept the loop busy meanwhile, as if beats had come on time.
            self.recent *= (1 - _WEIGHT) ** ((now - self._last) / PERIOD)
            self._last = now
            self._timer = self.loop.call_later(PERIOD, self._beat)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if late := self._late():
                self._note(late)

    def look(self) -> float:
        """What is lost until now: the next beat may be behind the caller's own timer."""
        return self.lost + self._late()

    def _beat(self) -> None:
        self._note(self._late())
        self._timer = self.loop.call_later(PERIOD, self._beat)

    def _note(self, late: float) -> None:
        self.lost += late
        self.recent += _WEIGHT * (late - self.recent)
        self._last = self.loop.time()

    def _late(self) -> float:
        late = self.loop.time() - self._last - PERIOD
        return late if late > SLACK else 0.0


_lag: Lag | None = None


def lag() -> Lag:
    """That of the running loop."""
    global _lag
    if _lag is None or _lag.loop is not asyncio.get_running_loop():
        _lag = Lag()
    return _lag


class patience:  # noqa: N801 - as asyncio.timeout
    """`async with`: TimeoutError after so many seconds in which the loop was there to notice an answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lag = lag()
        self._before = 0.0
        self._granted = 0.0
        self._deadline = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return self._deadline.expired()

    @property
    def granted(self) -> float:
        """Seconds that were added."""
        return self._granted

    async def __aenter__(self) -> Self:
        self._lag.__enter__()
        await self._deadline.__aenter__()
        self._before = self._lag.look()
        self._began = self._lag.loop.time()
        self._timer = self._lag.loop.call_at(self._began + self._seconds, self._due)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._lag.__exit__(kind, error, traceback)
        await self._deadline.__aexit__(kind, error, traceback)

    def _due(self) -> None:
        lost = min(self._lag.look() - self._before, MOST * self._seconds)
        if lost > self._granted:
            self._granted = lost
            self._timer = self._lag.loop.call_at(self._began + self._seconds + lost, self._due)
        else:
            self._deadline.reschedule(self._lag.loop.time())
