"""One change of a role, as a program is told of it.

The four words that follow its own arguments are keepalived's for `notify`, in its order and spelling, so
that a program written for that can be used as it is. What keepalived has no word for (the state
before, why, the node) is in the environment, and so are the four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lvsha.speaker.messages import State


class Kind(StrEnum):
    """Whose role it is."""

    INSTANCE = "INSTANCE"
    GROUP = "GROUP"
    DIRECTOR = "DIRECTOR"


STATES: Mapping[State, str] = {
    State.MASTER: "MASTER",
    State.BACKUP: "BACKUP",
    State.FAULT: "FAULT",
    State.INIT: "STOP",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """An instance or a group by its name, or the director by its node's."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Somebody stands somewhere else now."""

    subject: Subject
    state: State
    before: State | None
    """None: it is told for the first time, as after a start."""
    priority: int
    """With everything that trackers add; 0 of a director, which has none."""
    why: str
    node: str
    joined: int = 0
    """Changes before this one that came and went untold while the program ran."""

    def arguments(self) -> tuple[str, str, str, str]:
        """TYPE NAME STATE PRIORITY."""
        return self.subject.kind.value, self.subject.name, STATES[self.state], str(self.priority)

    def environment(self) -> dict[str, str]:
        """The variables, all of which are always there."""
        kind, name, state, priority = self.arguments()
        return {
            "LVSHA_TYPE": kind,
            "LVSHA_NAME": name,
            "LVSHA_STATE": state,
            "LVSHA_BEFORE": STATES[self.before] if self.before is not None else "",
            "LVSHA_PRIORITY": priority,
            # What no environment can hold does not come from here, but from whatever was seen.
            "LVSHA_WHY": self.why.replace("\0", " "),
            "LVSHA_NODE": self.node,
            "LVSHA_JOINED": str(self.joined),
        }
