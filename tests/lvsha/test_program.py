"""Tests of lvsha.program: how a program of the operator's is run."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lvsha.program import Program, run, unsafe


def what(*command: str, **settings: Any) -> Program:
    """That program, with ten seconds to end."""
    return Program(**{"command": command, "timeout": 10.0} | settings)


async def test_status_and_words_are_told() -> None:
    """Success is status 0; a failure says how it ended and the first line of what the program said."""
    good = await run(what("/bin/true"))
    bad = await run(what("/bin/sh", "-c", "echo no disk; echo more >&2; exit 3"))
    assert (good.ok, good.detail) == (True, "ended with 0")
    assert (bad.ok, bad.detail) == (False, "ended with 3: no disk")


async def test_a_program_that_does_not_end_is_killed_with_its_children() -> None:
    """After its time the whole session is gone."""
    begin = time.monotonic()
    result = await run(what("/bin/sh", "-c", "sleep 77.5 & sleep 77.5", timeout=0.2))
    assert (result.ok, result.detail) == (False, "did not end within 0.2 s")
    assert time.monotonic() - begin < 2
    async with asyncio.timeout(5):
        while "77.5" in _commands():  # noqa: ASYNC110 - the kernel is read, not asked
            await asyncio.sleep(0.01)


@contextmanager
def hanging(program: Path) -> Iterator[None]:
    """A program whose file cannot be opened while this lasts, as on a file system that does not answer."""
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    descriptor = os.open(program, os.O_RDONLY)
    try:
        # Who opens it waits for us (fcntl(2), "Leases"); the signal that says so is one that nobody minds.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(descriptor)


async def test_a_program_on_a_file_system_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """The event loop goes on; nobody waits longer than for any program, and no second one hangs there."""
    program = tmp_path / "program"
    with hanging(program):
        begin = time.monotonic()
        late = await run(what(str(program), timeout=0.3, user="root"))
        again = await run(what(str(program), timeout=0.3, user="root"))
        assert time.monotonic() - begin < 2
    assert late.detail == f"{program} could not be started within 0.3 s"
    assert again.detail == f"{program} is still to be started: its file system does not answer"
    async with asyncio.timeout(5):
        while not (await run(what(str(program), user="root"))).ok:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_one_program_may_be_started_twice_at_once() -> None:
    """Two instances may track the same one."""
    results = await asyncio.gather(*(run(what("/bin/true")) for _ in range(20)))
    assert all(result.ok for result in results)


async def test_a_talkative_program_neither_blocks_nor_fills_the_memory() -> None:
    """More output than a pipe holds is read and thrown away."""
    result = await run(what("/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; exit 1", timeout=5))
    assert len(result.detail) < 300


async def test_it_is_an_ordinary_process_of_nobody() -> None:
    """Another user, no inherited environment, no precedence over others, killable for memory."""
    os.environ["LVSHA_SECRET"] = "x"
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -10)
    try:
        result = await run(
            what(
                "/bin/sh",
                "-c",
                'sleep 0.1; echo $(id -un) "[$LVSHA_SECRET]" $(cat /proc/self/oom_score_adj) $(nice); exit 1',
            )
        )
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
        del os.environ["LVSHA_SECRET"]
    assert result.detail == "ended with 1: nobody [] 0 0"


async def test_what_cannot_be_run_fails_by_name() -> None:
    """A program that is not there and a user that is not known are told."""
    assert "could not be started" in (await run(what("/none/such"))).detail
    assert (await run(what("/bin/true", user="nosuch"))).detail == "there is no user nosuch"


async def test_root_runs_only_what_root_owns(tmp_path: Path) -> None:
    """A program that somebody else could replace is not run as root."""
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o775)
    assert "can be changed by others" in (await run(what(str(program), user="root"))).detail
    assert (await run(what("/bin/true", user="root"))).ok


async def test_variables_are_handed_down_beside_a_plain_environment() -> None:
    """What the caller gives is there, and so are PATH and LANG, and nothing else."""
    result = await run(what("/bin/sh", "-c", "env | sort | tr '\\n' ' '; exit 1", environment={"WHY": "a b"}))
    names = {word.partition("=")[0] for word in result.detail.split(": ", 1)[1].split() if "=" in word}
    assert "WHY=a b" in result.detail
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"LANG", "PATH", "WHY"}


async def test_a_command_that_no_kernel_takes_is_a_failure() -> None:
    """A zero in an argument or a variable is told as what cannot be started."""
    assert "could not be started" in (await run(what("/bin/true", "a\0b"))).detail
    assert "could not be started" in (await run(what("/bin/true", environment={"A": "\0"}))).detail


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
    assert str(tmp_path / "a") in unsafe(program)
    (tmp_path / "a").chmod(0o755)
    assert unsafe(program) == ""
