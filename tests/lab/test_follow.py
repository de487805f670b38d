"""Lines of a file, as they are written by a process of which only a pidfd is known."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.follow import Lines


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that runs what it is fed, beside the empty file that it is to write to."""
    (tmp_path / "file").touch()
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE, cwd=tmp_path) as process:
        yield process
        process.kill()


def tell(writer: subprocess.Popen[bytes], command: str) -> None:
    """Have the writer run a command."""
    assert writer.stdin is not None
    writer.stdin.write(f"{command}\n".encode())
    writer.stdin.flush()


def test_lines_come_whole_and_in_order(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A line is handed over when its end is written, even if it came in pieces; then comes the end."""
    pidfd = os.pidfd_open(writer.pid)
    with Lines(tmp_path / "file") as lines:
        tell(writer, "printf 'one\\ntw' >>file")
        assert lines.take(pidfd, 10) == "one"
        with pytest.raises(TimeoutError, match="nothing new"):
            lines.take(pidfd, 0.1)
        tell(writer, "printf 'o\\nthree\\n' >>file; exit")
        assert [lines.take(pidfd, 10) for _ in range(3)] == ["two", "three", None]
    os.close(pidfd)
