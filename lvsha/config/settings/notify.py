"""Programs that are told of changes of roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Command = tuple[str, ...]
"""A program and its arguments; empty: none."""


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """What is run, for whose changes. Without instances and groups: for those of this director."""

    name: str
    instances: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    command: Command = ()
    """For every state, with what happened as further arguments."""
    master: Command = ()
    backup: Command = ()
    fault: Command = ()
    stop: Command = ()
    user: str | None = None
    """None: nobody."""
    timeout: float = 30.0
    """Seconds."""

    def commands(self) -> Iterator[tuple[str, Command]]:
        """Each command that is written, and its key."""
        for key in ("command", "master", "backup", "fault", "stop"):
            if command := getattr(self, key):
                yield key, command
