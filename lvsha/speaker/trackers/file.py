"""The whole number in a file, times the weight, is added to the priority.

Anything that can write a file can so steer an election. A file that is not there, or holds no
number, counts as 0. Without a weight, any number but 0 forbids to be master.

Files are read in a thread: a file system that hangs must not hold up an advert.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from lvsha.speaker.spec import FileTracker
from lvsha.speaker.trackers.base import Standing, Tell

_LONGEST = 64


async def watch(tracker: FileTracker, tell: Tell) -> None:
    """Read the file again and again, and tell what changed, for ever."""
    before: Standing | None = None
    while True:
        now = judge(await asyncio.to_thread(read, Path(tracker.file)), tracker.weight)
        if now != before:
            tell(now)
            before = now
        await asyncio.sleep(tracker.interval)


def read(path: Path) -> int | str:
    """The number in a file, or why there is none."""
    try:
        # O_NONBLOCK: a FIFO without a writer would keep us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError as error:
        return f"{path}: {error.strerror}"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return f"{path} is not a regular file"
        return _number(path, os.read(descriptor, _LONGEST))
    except OSError as error:
        return f"{path}: {error.strerror}"
    finally:
        os.close(descriptor)


def judge(found: int | str, weight: int) -> Standing:
    """What the content means."""
    if isinstance(found, str):
        return Standing(ok=False, fault=weight == 0, why=found)
    if weight == 0:
        return Standing(ok=found == 0, fault=found != 0, why=f"the file says {found}")
    # keepalived's bounds: a weight is within -253..253.
    return Standing(weight=max(-253, min(253, found * weight)), why=f"the file says {found}")


def _number(path: Path, content: bytes) -> int | str:
    text = content.strip()
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if digits.isdigit() and len(digits) <= 9:
        return int(text)
    return 0 if not text else f"{path} holds no whole number"
