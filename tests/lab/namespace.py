"""Enter a network namespace from Python.

`setns` changes one thread, not the process, so a test may step into a namespace, open a socket or start a
program there, and step back: the socket and the program stay where they were made. Python has `os.setns` only
from 3.12 on.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
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


def _setns(fd: int, what: str) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}", what)
