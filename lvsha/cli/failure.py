"""What can go wrong, and the exit status that tells a script which it was.

0   done
1   the daemon could not do it, or what was asked about is not well
2   the command line or the configuration is wrong
3   the daemon cannot be reached
4   the target names nothing, or too much
5   what was waited for did not come about in time
130 interrupted
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from lvsha.errors import LvshaError


class Status(IntEnum):
    """Exit status."""

    DONE = 0
    FAILED = 1
    WRONG = 2
    UNREACHABLE = 3
    NO_TARGET = 4
    TIMED_OUT = 5
    INTERRUPTED = 130


class CommandError(LvshaError):
    """The command has failed; `lines` go on after the message, such as what to do."""

    def __init__(self, status: Status, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.lines = tuple(line for line in lines if line)
