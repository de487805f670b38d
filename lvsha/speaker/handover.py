"""Planned hand-overs: resign, hold back until the peer is heard as master, and say how it went.

A group is handed over when every instance of it has heard the peer. Where nobody takes over in
time the group is free again, and this node with it: better the old master than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lvsha.speaker.messages import Failover, Reply, State
from lvsha.speaker.shell import Shell

WHY = "handed over"


@dataclass(slots=True)
class _Handover:
    """One under way."""

    id: int
    timer: asyncio.TimerHandle
    begun: float
    unheard: set[str]
    """Instances that have not heard the peer yet."""


class Handovers:
    """All hand-overs under way, by the group's key."""

    def __init__(self, ended: Callable[[Shell, Reply], None]) -> None:
        """`ended` is called with the reply to the command that began it."""
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[str, _Handover] = {}

    def begin(self, shell: Shell, command: Failover) -> str:
        """Hand a group over; why that cannot be, or nothing."""
        if shell.state is not State.MASTER:
            return f"is {shell.state.value} here, not master"
        if shell.key in self._under_way:
            return "a hand-over is under way already"
        timer = self._loop.call_later(command.timeout, self._end, shell)
        self._under_way[shell.key] = _Handover(command.id, timer, self._loop.time(), set(shell.instances))
        shell.hold(WHY)
        return ""

    def heard(self, shell: Shell, instance: str) -> None:
        """An instance has heard another node as master."""
        handover = self._under_way.get(shell.key)
        if handover is not None:
            handover.unheard.discard(instance)
            if not handover.unheard:
                # Not from within the group's own turn.
                self._loop.call_soon(self._end, shell)

    def _end(self, shell: Shell) -> None:
        handover = self._under_way.pop(shell.key, None)
        if handover is None:
            return
        handover.timer.cancel()
        took = not handover.unheard
        seconds = round(self._loop.time() - handover.begun, 3)
        why = "" if took else f"no peer took over within {seconds} s"
        fields = {"peer": None if shell.peer is None else str(shell.peer), "seconds": seconds}
        self._ended(shell, Reply(id=handover.id, ok=took, why=why, fields=fields))
        shell.release(WHY)
