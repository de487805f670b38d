"""Programs that are run for their exit status."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lvsha.speaker.spec import ScriptTracker
from lvsha.speaker.trackers import script
from lvsha.speaker.trackers.base import Standing


def tracker(*command: str, **settings: Any) -> ScriptTracker:
    """A tracker of that program."""
    return ScriptTracker(name="script", command=command, **settings)


async def test_status_and_words_are_told() -> None:
    """Success is status 0; a failure says how it ended and the first line of what the program said."""
    good = await script.run(tracker("/bin/true"))
    bad = await script.run(tracker("/bin/sh", "-c", "echo no disk; echo more >&2; exit 3"))
    assert (good.ok, good.detail) == (True, "ended with 0")
    assert (bad.ok, bad.detail) == (False, "ended with 3: no disk")


async def test_a_program_that_does_not_end_is_killed_with_its_children() -> None:
    """After its time the whole session is gone."""
    begin = time.monotonic()
    result = await script.run(tracker("/bin/sh", "-c", "sleep 77.5 & sleep 77.5", timeout=0.2))
    assert (result.ok, result.detail) == (False, "did not end within 0.2 s")
    assert time.monotonic() - begin < 2
    await asyncio.sleep(0.1)
    assert "77.5" not in _commands()


async def test_a_talkative_program_neither_blocks_nor_fills_the_memory() -> None:
    """More output than a pipe holds is read and thrown away."""
    result = await script.run(
        tracker("/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; exit 1", timeout=5)
    )
    assert len(result.detail) < 300


async def test_it_is_an_ordinary_process_of_nobody() -> None:
    """Another user, no inherited environment, an ordinary scheduling policy, killable for memory."""
    os.environ["LVSHA_SECRET"] = "x"
    try:
        result = await script.run(
            tracker(
                "/bin/sh",
                "-c",
                'sleep 0.1; echo $(id -un) "[$LVSHA_SECRET]" $(cat /proc/self/oom_score_adj); exit 1',
            )
        )
    finally:
        del os.environ["LVSHA_SECRET"]
    assert result.detail == "ended with 1: nobody [] 0"


async def test_what_cannot_be_run_fails_by_name() -> None:
    """A program that is not there and a user that is not known are told."""
    assert "could not be started" in (await script.run(tracker("/none/such"))).detail
    assert (await script.run(tracker("/bin/true", user="nosuch"))).detail == "there is no user nosuch"


async def test_root_runs_only_what_root_owns(tmp_path: Path) -> None:
    """A program that somebody else could replace is not run as root."""
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o775)
    assert "can be changed by others" in (await script.run(tracker(str(program), user="root"))).detail
    assert (await script.run(tracker("/bin/true", user="root"))).ok


async def test_changes_are_told_once(follow: Any, tmp_path: Path) -> None:
    """Two failures in a row make one verdict, and so does the first success after them."""
    flag = tmp_path / "flag"
    settings = {"user": "root", "interval": 0.02, "fall": 2, "weight": -5}
    told = follow(tracker("/usr/bin/test", "!", "-e", str(flag), **settings))
    assert await told.get() == Standing(ok=True, why="ended with 0")
    flag.touch()
    assert await told.get() == Standing(ok=False, weight=-5, why="ended with 1")
    flag.unlink()
    assert (await told.get()).ok
    assert told.empty()


def _commands() -> str:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return "\n".join(lines)


def test_danger_is_in_the_path_too(tmp_path: Path) -> None:
    """A directory above that others may write to is as bad as the file."""
    if os.geteuid() != 0:
        pytest.fail("the tests run as root")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    program = inner / "check"
    program.touch(0o755)
    (tmp_path / "a").chmod(0o775)
    assert str(tmp_path / "a") in script.unsafe(program)
    (tmp_path / "a").chmod(0o755)
    assert script.unsafe(program) == ""
