"""Programs of the firewall, run without a shell, in bounded time and with bounded answers.

Everything passes through files in memory: no pipe can fill up, and the limit of a file's size is the
kernel's to keep. The program is started by vfork() (subprocess does that, uvloop's own processes are
forked), so that a director of many megabytes is not copied for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from lvsha.errors import KernelError

PATIENCE = 30.0
"""Seconds that one run may take. A hundred thousand elements take five."""
LONGEST = 64 * 1024 * 1024
"""Bytes that one run may answer."""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended."""

    status: int
    """The exit status; negative: the signal that ended it."""
    output: bytes
    words: str
    """What it said on its standard error, in one line."""


def find(name: str) -> str | None:
    """Where a program is; None: nowhere."""
    return shutil.which(name, path=_PATH)


async def run(argv: Sequence[str], stdin: bytes = b"", *, patience: float = PATIENCE) -> Done:
    """Run a program to its end, in a thread: a large answer takes its time to be moved.

    Raises KernelError when it cannot be started, takes longer than `patience` seconds or says too much.
    """
    job = _Job(argv)
    try:
        return await asyncio.to_thread(job.run, stdin, patience)
    finally:
        job.kill()  # who waits no longer has no use for it; one that has ended is not met


class _Job:
    """One run."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.kill()

    def run(self, stdin: bytes, patience: float) -> Done:
        """From its start to its end."""
        words = " ".join(self._argv)
        with _memory(stdin) as given, _memory() as output, _memory() as errors:
            self._process = process = self._start(given, output, errors)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                raise KernelError(f"{words} has not ended within {patience:g} s") from None
            finally:
                process.kill()
                process.wait()
            if max(os.fstat(file.fileno()).st_size for file in (output, errors)) >= LONGEST:
                raise KernelError(f"{words} said more than {LONGEST} bytes")
            return Done(process.returncode, _content(output), _line(_content(errors)))

    def _start(self, stdin: BinaryIO, output: BinaryIO, errors: BinaryIO) -> subprocess.Popen[bytes]:
        environment = {"PATH": _PATH, "LC_ALL": "C"}
        try:
            process = subprocess.Popen(self._argv, stdin=stdin, stdout=output, stderr=errors, env=environment)
        except OSError as error:
            raise KernelError(f"{self._argv[0]} cannot be started: {error}") from error
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LONGEST, LONGEST))
        return process


@contextlib.contextmanager
def _memory(content: bytes = b"") -> Iterator[BinaryIO]:
    with os.fdopen(os.memfd_create("lvsha", os.MFD_CLOEXEC), "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield file


def _content(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), LONGEST, 0)


def _line(words: bytes) -> str:
    lines = [line.strip() for line in words.decode(errors="replace").splitlines()]
    # nft underlines what it does not like, in a line of its own.
    return " ".join(line for line in lines if line.strip("^~"))[:500]
