"""Standard output, written so that a reader who stopped reading stops nobody.

Standard output may be a pipe that nobody empties, and it must not be made non-blocking: that
flag belongs to the open file, which the shell and the other processes share. So a thread of its own
writes, from a bounded queue. What does not fit is dropped and counted, and the count is said
(`log.dropped`) as soon as something can be written again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
from collections import deque

from lvsha.log.record import record

QUEUE = 10_000
"""Most lines that wait to be written: about 3 MB."""


class Output:
    """A file descriptor and the thread that writes to it; a logger to structlog."""

    def __init__(self, descriptor: int, queue: int = QUEUE) -> None:
        self._descriptor = descriptor
        self._limit = queue
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._busy = False
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log output", daemon=True)
        self._thread.start()

    def info(self, line: str) -> None:
        """Queue one line; drop it when the queue is full."""
        with self._change:
            if len(self._lines) >= self._limit or self._closed:
                self._dropped += 1
                return
            self._lines.append(line)
            self._change.notify_all()

    debug = warning = error = critical = info

    def flush(self, timeout: float = 1.0) -> bool:
        """Wait until all that is queued is written; False if it is not within `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: not self._lines and not self._busy, timeout)

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, for at most `timeout` seconds, and end the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (text := self._take()) is not None:
            # An output that is gone (a closed terminal, a pipe without reader) must not end the daemon.
            with contextlib.suppress(OSError):
                self._write(text.encode(errors="replace"))

    def _take(self) -> str | None:
        """What waits to be written; None when closed and all is written."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            self._change.wait_for(lambda: self._lines or self._dropped or self._closed)
            if not self._lines and not self._dropped:
                return None
            lines = [f"{line}\n" for line in self._lines]
            if self._dropped:
                lines.append(json.dumps(record("log.dropped", {"lines": self._dropped})) + "\n")
            self._lines.clear()
            self._dropped = 0
            self._busy = True
            return "".join(lines)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Somebody else made the open file non-blocking; this thread may wait.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
