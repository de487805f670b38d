"""Enter a network namespace from Python.

`setns` changes one thread, not the process, so a test may step into a namespace, open a socket or start a
program there, and step back: the socket and the program stay where they were made. Python has `os.setns` only
from 3.12 on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
"""include/uapi/linux/sched.h"""

DIRECTORY = Path("/run/netns")
"""Where `ip netns` keeps its names."""

_libc = ctypes.CDLL(None, use_errno=True)


def enter(name: str) -> None:
    """Move the calling thread into the network namespace of that name, for good.

    Raises OSError when there is no such namespace or the caller may not enter it.
    """
    fd = os.open(DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(fd, name)
    finally:
        os.close(fd)


@contextmanager
def entered(name: str) -> Iterator[None]:
    """The calling thread is in the namespace of that name while the block runs.

    The block must not await: another task of the same thread would find itself in the namespace.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(name)
        try:
            yield
        finally:
            _setns(home, "the thread's own namespace")
    finally:
        os.close(home)


def clear(names: Iterable[str]) -> None:
    """End every process in the namespaces of these names (SIGKILL), and wait until they are gone.

    Raises TimeoutError when they are not within ten seconds.
    """
    inodes = {(DIRECTORY / name).stat().st_ino for name in names}
    deadline = time.monotonic() + 10
    # Again until nobody is found: one may have forked while it was looked for.
    while inodes and (pidfds := [fd for pid in _inhabitants(inodes) if (fd := _kill(pid)) is not None]):
        try:
            for pidfd in pidfds:
                if not select.select([pidfd], [], [], max(deadline - time.monotonic(), 0))[0]:
                    raise TimeoutError(f"a process in one of {names} does not die")
        finally:
            for pidfd in pidfds:
                os.close(pidfd)


def _inhabitants(inodes: set[int]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "ns/net").stat().st_ino in inodes:
                found.append(int(entry.name))
    return found


def _kill(pid: int) -> int | None:
    """Kill a process and return its pidfd, or None when it has gone by itself."""
    try:
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return pidfd


def _setns(fd: int, what: str) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}", what)
