"""How a tracked thing stands, and what that means for the instance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tracker adds to the priority, or that it forbids to be master."""

    ok: bool = True
    weight: int = 0
    fault: bool = False
    why: str = ""


Tell = Callable[[Standing], None]


def standing(ok: bool, weight: int, why: str) -> Standing:
    """A verdict as keepalived counts it.

    A positive weight is added while all is well, a negative one while it is not; without a weight
    a failure forbids to be master.
    """
    if weight == 0:
        return Standing(ok=ok, fault=not ok, why=why)
    counts = ok if weight > 0 else not ok
    return Standing(ok=ok, weight=weight if counts else 0, why=why)


class Streak:
    """A verdict that changes only after so many equal results; the first result counts at once."""

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self._row = 0
        self.ok: bool | None = None

    def observe(self, ok: bool) -> bool:
        """The verdict after one more result."""
        if self.ok is None or ok == self.ok:
            self.ok, self._row = ok, 0
            return ok
        self._row += 1
        if self._row >= (self._rise if ok else self._fall):
            self.ok, self._row = ok, 0
        return self.ok
