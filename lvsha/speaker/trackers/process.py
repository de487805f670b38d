"""A process of some name must run.

Its death is noticed at once, by a pidfd, without looking. Only while none is known is `/proc`
searched, every `interval`, in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from lvsha.speaker.spec import ProcessTracker
from lvsha.speaker.trackers.base import Tell, standing

_PROC = Path("/proc")
_COMM = 15
"""TASK_COMM_LEN without the closing zero (include/linux/sched.h)."""


async def watch(tracker: ProcessTracker, tell: Tell) -> None:
    """Follow one such process after another, for ever."""
    ok: bool | None = None
    while True:
        pid = await asyncio.to_thread(find, tracker.process)
        if ok != (pid is not None):
            ok = pid is not None
            why = f"{tracker.process} runs" if ok else f"no process is called {tracker.process}"
            tell(standing(ok, tracker.weight, why))
        if pid is None:
            await asyncio.sleep(tracker.interval)
        else:
            await _death(pid)


def find(name: str) -> int | None:
    """The process of this name: its `comm`, or the base name of its program. Zombies do not count."""
    with os.scandir(_PROC) as entries:
        pids = (int(entry.name) for entry in entries if entry.name.isdigit())
        return next((pid for pid in pids if _is(pid, name)), None)


def _is(pid: int, name: str) -> bool:
    """Whether a process has this name; one that has ended meanwhile has none."""
    directory = _PROC / str(pid)
    try:
        # "pid (comm) state ...", where comm may hold anything.
        head, _, rest = (directory / "stat").read_bytes().rpartition(b")")
        if rest.split()[0] in (b"Z", b"X"):
            return False
        if head.partition(b"(")[2] == name.encode()[:_COMM] and len(name) <= _COMM:
            return True
        program = (directory / "cmdline").read_bytes().partition(b"\0")[0]
    except (OSError, IndexError):
        return False
    return program.rpartition(b"/")[2] == name.encode()


async def _death(pid: int) -> None:
    """Wait until a process ends."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        with contextlib.suppress(OSError):
            loop.remove_reader(descriptor)
        os.close(descriptor)
