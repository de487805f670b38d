"""How fast probes may begin, where there are more of them than the processor has time for.

A loop that is asked for more than it can do falls behind, and with it everything else that this process
does: its word to the speaker, the programming of the kernel, the operator's commands. It is known by the
loop being late (`checks.lag`). From then on probes begin one after another with a gap between them, which
grows while the loop is late and shrinks, more slowly, while it is not. So each server is probed in turn as
often as the machine allows, less often than was asked; that is told (`checks.late`), and so is its end.
"""

from __future__ import annotations

LATE = 0.05
"""Seconds by which the loop is late on average that are too many."""
STEP = 0.25
"""Seconds between two changes of the gap."""
GROW, SHRINK = 1.25, 0.95
LEAST, MOST = 0.0002, 0.005
"""Seconds between two beginnings: a smaller gap is none; a thousand servers take five at the greatest."""
QUIET = 10.0
"""Seconds without a late probe until the probes are said to be on time again."""


class Pace:
    """Of one monitor."""

    def __init__(self) -> None:
        self.gap = 0.0
        """Seconds between two beginnings."""
        self.late_at: float | None = None
        """When a probe was late last; None: they are on time."""
        self._next = float("-inf")
        self._changed = float("-inf")

    def admit(self, now: float, lag: float) -> float:
        """When a probe that is due may begin; `lag` is by how many seconds the loop is late these days."""
        if now - self._changed >= STEP:
            self._changed = now
            self.gap = self._other(lag)
        self._next = max(now, self._next + self.gap)
        return self._next

    def _other(self, lag: float) -> float:
        if lag > LATE:
            return min(MOST, max(LEAST, self.gap * GROW))
        return self.gap * SHRINK if self.gap > LEAST else 0.0

    def began(self, now: float, late: float, interval: float) -> bool | None:
        """A probe has begun, so late: True, the probes are late now; False, no longer; None, no news."""
        if late > interval / 2 and self.gap:
            news = True if self.late_at is None else None
            self.late_at = now
            return news
        if self.late_at is not None and now - self.late_at > QUIET:
            self.late_at = None
            return False
        return None
