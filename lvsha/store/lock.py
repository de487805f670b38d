"""One process of a kind in a directory: a lock that ends with its owner, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


def take(path: Path) -> IO[bytes] | None:
    """The lock, for as long as it is kept open; None while another process has it. Raises OSError."""
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
