"""The tables of `[notify]`: programs that are told what becomes of an instance, a group or the director."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lvsha.config.schema.values import Duration, Name, Table, Text, span

Command = Annotated[list[Text], Field(min_length=1, max_length=64)]


class NotifyTable(Table):
    """A program that is run when a role changes: of instances, of groups, or (neither) of this director."""

    instances: list[Name] = Field(default_factory=list)
    """Names in `[vrrp]`, whose changes it is told."""
    groups: list[Name] = Field(default_factory=list)
    """Groups of instances, whose changes it is told."""
    command: Command | None = None
    """For every state: the program, by its absolute path, and its arguments, after which come TYPE NAME
    STATE PRIORITY. No shell."""
    master: Command | None = None
    """For this state, as it is written, and before `command`."""
    backup: Command | None = None
    """Likewise."""
    fault: Command | None = None
    """Likewise."""
    stop: Command | None = None
    """Likewise: it takes part no more, as when the daemon is stopped."""
    user: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """User it runs as. Default: nobody. As root only a program that none but root can change."""
    timeout: Annotated[Duration, span(0.1, 3600)] = 30.0
    """Longer is a failure: it is killed, with all that it started."""
