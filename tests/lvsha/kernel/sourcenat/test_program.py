"""Tests of lvsha.kernel.sourcenat.program."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import program


async def test_what_goes_in_comes_out() -> None:
    """A megabyte through a program, unchanged: no pipe fills up."""
    text = bytes(range(256)) * 4096
    done = await program.run(["cat"], text)
    assert (done.status, done.output, done.words) == (0, text, "")


async def test_a_failure_tells_its_status_and_words() -> None:
    """Words on standard error are one line, without the marks under them."""
    done = await program.run(
        ["sh", "-c", "echo 'Error: no'; printf 'first\\n^^^^^\\n second\\n' >&2; exit 3"]
    )
    assert (done.status, done.output, done.words) == (3, b"Error: no\n", "first second")


async def test_input_that_is_not_read_is_no_trouble() -> None:
    """A program may end without having read a word."""
    assert (await program.run(["true"], bytes(1_000_000))).status == 0


async def test_one_that_does_not_end_is_ended() -> None:
    """Patience is limited, and the error says whose it was."""
    begun = time.monotonic()
    with pytest.raises(KernelError, match=r"sleep 60 has not ended within 0\.2 s"):
        await program.run(["sleep", "60"], patience=0.2)
    assert time.monotonic() - begun < 10


async def test_one_that_says_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless answer stops at the limit, long before patience does."""
    monkeypatch.setattr(program, "LONGEST", 100_000)
    with pytest.raises(KernelError, match="yes said more than 100000 bytes"):
        await program.run(["yes"])


async def test_one_that_is_not_there() -> None:
    """The error names the program."""
    assert program.find("no-such-program") is None
    with pytest.raises(KernelError, match="no-such-program cannot be started"):
        await program.run(["no-such-program"])


async def test_nobody_waits_any_longer(tmp_path: Path) -> None:
    """When the task that waits is cancelled, the program ends with it."""
    started = tmp_path / "started"
    script = f"touch {started}; exec sleep 60"
    task = asyncio.create_task(program.run(["sh", "-c", script]))
    async with asyncio.timeout(10):
        while not started.exists():  # noqa: ASYNC110 - a file in another process tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The thread that held it is free again.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert time.monotonic() - begun < 10


async def test_no_shell_and_no_strange_environment() -> None:
    """Arguments arrive as they are, and words are those of the C locale."""
    done = await program.run(["printenv"])
    assert sorted(line.partition(b"=")[0] for line in done.output.splitlines()) == [b"LC_ALL", b"PATH"]
    assert (await program.run(["echo", "$HOME; true"])).output == b"$HOME; true\n"
