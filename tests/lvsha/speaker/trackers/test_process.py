"""Processes that must run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lvsha.speaker.spec import ProcessTracker
from lvsha.speaker.trackers.base import Standing
from lvsha.speaker.trackers.process import find


@contextmanager
def running(program: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of that program."""
    process = subprocess.Popen([program, "60"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def copied(directory: Path, name: str) -> Path:
    """`sleep` under another name."""
    shutil.copy("/bin/sleep", directory / name)
    return directory / name


async def test_its_end_and_its_return_are_told(follow: Any, tmp_path: Path) -> None:
    """Death is told at once, a new process after the next look."""
    program = copied(tmp_path, "lvshatrack")
    told = follow(ProcessTracker(name="p", process="lvshatrack", interval=0.05, weight=-7))
    assert await told.get() == Standing(ok=False, weight=-7, why="no process is called lvshatrack")
    with running(program):
        assert await told.get() == Standing(ok=True, why="lvshatrack runs")
    assert not (await told.get()).ok


def test_a_long_name_is_found_by_its_program(tmp_path: Path) -> None:
    """The kernel keeps 15 letters of a name; the program's path has them all."""
    name = "lvsha-with-a-long-name"
    with running(copied(tmp_path, name)) as process:
        assert find(name) == process.pid
        assert find(name[:15]) == process.pid
        assert find(name + "r") is None


def test_a_zombie_does_not_run(tmp_path: Path) -> None:
    """A process that has ended and was not buried yet is no process."""
    process = subprocess.Popen([copied(tmp_path, "lvshazombie"), "0"])
    assert process.stdout is None
    while find("lvshazombie") is not None:
        pass
    assert Path(f"/proc/{process.pid}").exists()
    process.wait()
