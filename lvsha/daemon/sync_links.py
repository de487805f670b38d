"""Notices that a connection-sync daemon talks into the void.

The kernel's daemon holds on to the interface that it was started on. When that is removed (a bond or VLAN
that is made anew, a card that is reset) and another of the same name takes its place, both roles go on
running, are listed as before, and neither send nor hear anything any more. Only the interface's number tells:
it is another one. Such a daemon is shown as one on another interface, so that a plan stops it and starts a
new one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import replace

from lvsha.model import GONE, SyncDaemon, SyncRole
from lvsha.plan import StartSync, Step


def index_of(interface: str) -> int | None:
    """The number of an interface; None where there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


class SyncLinks:
    """Which interface each role was started on."""

    def __init__(self, index: Callable[[str], int | None] = index_of) -> None:
        self._index = index
        self._known: dict[SyncRole, tuple[str, int]] = {}

    def starts(self, steps: Iterable[Step]) -> None:
        """These steps are about to be carried out."""
        for step in steps:
            if isinstance(step, StartSync):
                self._known.pop(step.daemon.role, None)

    def seen(self, daemons: frozenset[SyncDaemon]) -> frozenset[SyncDaemon]:
        """The running daemons, those of an interface that is gone marked so."""
        running = {daemon.role for daemon in daemons}
        self._known = {role: known for role, known in self._known.items() if role in running}
        return frozenset(self._judge(daemon) for daemon in daemons)

    def _judge(self, daemon: SyncDaemon) -> SyncDaemon:
        now = self._index(daemon.interface)
        if now is not None:
            known = self._known.setdefault(daemon.role, (daemon.interface, now))
            if known == (daemon.interface, now):
                return daemon
        return replace(daemon, interface=daemon.interface + GONE)
