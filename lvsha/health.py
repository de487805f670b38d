"""What a run of probe results says about a server: rise and fall, nothing else.

A server goes down after `fall` failures in a row and up after `rise` successes in a row; a
result of the other kind in between starts the count again. Until the first verdict the state
is UNKNOWN: neither a promise nor an accusation. The very first result of a check decides at
once when it is a success with nothing known before (a new server should not wait `rise`
intervals to be useful), while a first failure has to be confirmed like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The verdict on a server."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict with the results that lead to the next one."""

    state: State = State.UNKNOWN
    streak: int = 0
    """How many results in a row speak against the state (UNKNOWN: how many failures)."""
    since: float = 0.0
    """When the state was entered, in the caller's seconds."""
    detail: str = ""
    """What the latest probe tried and what came back."""
    checked: float | None = None
    """When the latest result came in; None: never."""

    @property
    def settled(self) -> bool:
        """Whether there is a verdict and nothing speaks against it."""
        return self.state is not State.UNKNOWN and self.streak == 0

    def observe(self, ok: bool, detail: str, *, rise: int, fall: int, now: float) -> Health:
        """The health after one more result.

        `rise` and `fall` are at least 1. `now` is in the same seconds as `since`.
        """
        against = not ok if self.state is not State.DOWN else ok
        if self.state is State.UNKNOWN and ok:
            return Health(State.UP, 0, now, detail, now)
        if not against:
            return Health(self.state, 0, self.since, detail, now)
        streak = self.streak + 1
        if streak >= (rise if ok else fall):
            return Health(State.UP if ok else State.DOWN, 0, now, detail, now)
        return Health(self.state, streak, self.since, detail, now)
