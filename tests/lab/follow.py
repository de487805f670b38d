"""Read the lines of a file while another machine is still writing it.

A guest shares a directory with its host and nothing else, so its reports come in a file. inotify tells when
the file has grown and a pidfd when the writer is gone; nobody polls.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from pathlib import Path
from types import TracebackType
from typing import Self

IN_MODIFY = 0x2
"""include/uapi/linux/inotify.h"""

_libc = ctypes.CDLL(None, use_errno=True)


class Lines:
    """The lines of one file, waited for. The file must exist."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self._inotify = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0 or _libc.inotify_add_watch(self._inotify, os.fsencode(path), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), f"inotify: {os.strerror(ctypes.get_errno())}", str(path))

    def take(self, pidfd: int, timeout: float) -> str | None:
        """The next whole line, or None when the process of the pidfd has ended and nothing is left.

        Raises TimeoutError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            ended = self._wait(pidfd, 0)
            self._rest += self._file.read()
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                return line.decode(errors="replace")
            if ended:
                return None
            if time.monotonic() >= deadline:
                raise TimeoutError(f"nothing new in {self._file.name} for {timeout:.0f} s")
            self._wait(pidfd, deadline - time.monotonic())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        os.close(self._inotify)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, pidfd: int, timeout: float) -> bool:
        """Wait for news; true when the process has ended."""
        ready, _, _ = select.select([self._inotify, pidfd], [], [], max(timeout, 0))
        if self._inotify in ready:
            os.read(self._inotify, 65536)
        return pidfd in ready
