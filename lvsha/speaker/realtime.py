"""What a process must be so that nothing on its machine makes an advert late.

Its memory is locked, it is scheduled before ordinary processes, it is the last to be killed for
want of memory, and Python's garbage collector does not run when it likes. None of this is
needed to work: what the machine does not grant is told, and the speaker goes on without.

The priority is every thread's. An ordinary one, on a machine that is busy, would be put aside for
as long as that pleases while it has the interpreter, and the event loop would wait for it; and a
virtual address waits for the thread that speaks with the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PRIORITY = 10
"""Of SCHED_FIFO's 1..99: above everything ordinary, below what keeps the kernel going."""

_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4
_SWITCH_INTERVAL = 0.0005
"""How long a thread (netlink, files) may keep the interpreter from the event loop."""


def lock_memory() -> str:
    """Keep all pages in memory, those to come too; why that was not possible, or nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    # On fault: a thread's stack of 8 MiB is locked as it is used, not as it is reserved.
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return ""
    return f"memory is not locked: {os.strerror(ctypes.get_errno())}"


def schedule() -> str:
    """Ask for SCHED_FIFO, which children do not inherit; why that was not possible, or nothing."""
    try:
        _be(os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, PRIORITY)
    except OSError as error:
        return f"no real-time priority: {error.strerror}"
    return ""


def unschedule() -> None:
    """Be an ordinary process again."""
    with contextlib.suppress(OSError):
        _be(os.SCHED_OTHER, 0)


def _be(policy: int, priority: int) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))


def threads() -> ThreadPoolExecutor:
    """Threads to come that are scheduled as the process is when they begin: they inherit nothing."""
    return ThreadPoolExecutor(thread_name_prefix="speaker", initializer=_join)


def _join() -> None:
    process = os.getpid()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.sched_getscheduler(process), os.sched_getparam(process))


def protect() -> None:
    """Be the last that the kernel kills when memory runs out, where that is allowed."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-1000")


def calm() -> None:
    """No garbage collection but when `collect` is called, and short turns for threads."""
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(_SWITCH_INTERVAL)


def collect() -> None:
    """The young objects only, which is quick; to be called when nothing is due."""
    gc.collect(1)
