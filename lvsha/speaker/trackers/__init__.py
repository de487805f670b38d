"""What an instance depends on besides its interface: each kind watches one thing and tells how it stands.

    base.py        Standing: what a verdict means for the priority; rise and fall
    script.py      a program, run without a shell
    process.py     a process of some name
    file.py        the number in a file
    gateway.py     a neighbour that answers echo requests

Interfaces are followed by the instance itself, from what the kernel tells; services by the
director.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lvsha.speaker.spec import FileTracker, GatewayTracker, ProcessTracker, ScriptTracker, Tracker
from lvsha.speaker.trackers import file, gateway, process, script
from lvsha.speaker.trackers.base import Standing, Tell, standing

AGAIN = 5.0
"""Seconds until a tracker that failed by a fault of its own is started again."""


def start(tracker: Tracker, interface: str, tell: Tell) -> asyncio.Task[None] | None:
    """Watch what a tracker names, for ever; None where it needs no watching here."""
    match tracker:
        case ScriptTracker():
            return _task(tracker, lambda: script.watch(tracker, tell), tell)
        case ProcessTracker():
            return _task(tracker, lambda: process.watch(tracker, tell), tell)
        case FileTracker():
            return _task(tracker, lambda: file.watch(tracker, tell), tell)
        case GatewayTracker():
            return _task(tracker, lambda: gateway.watch(tracker, interface, tell), tell)
        case _:
            return None


def _task(tracker: Tracker, watch: Callable[[], Awaitable[None]], tell: Tell) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(_for_ever(tracker, watch, tell), name=tracker.name)


async def _for_ever(tracker: Tracker, watch: Callable[[], Awaitable[None]], tell: Tell) -> None:
    """A tracker that breaks counts as failed; it must not take the election with it."""
    while True:
        try:
            await watch()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the speaker goes on
            tell(standing(ok=False, weight=tracker.weight, why=f"the tracker broke: {error!r}"))
        await asyncio.sleep(AGAIN)


__all__ = ["Standing", "start"]
