"""The command as a process: exit statuses, pipes that close, and what it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvsha import __version__
from lvsha.cli.__main__ import run
from lvsha.cli.failure import Status
from tests.lab.control import Director
from tests.lvsha.cli.conftest import Command


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lvsha.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


def test_done(socket: Path) -> None:
    """What is done is status 0, with nothing on standard error; the socket may come by environment."""
    done = process("servers", "rs6", LVSHA_SOCKET=str(socket))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("six")


def test_unreachable(tmp_path: Path) -> None:
    """A daemon that is not there is status 3, told in two lines on standard error."""
    done = process("--socket", str(tmp_path / "none"), "status")
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.splitlines()[1] == "  is lvshad running? see `systemctl status lvsha`, or say --socket"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["drain"], ["status", "--colour"], ["weight", "rs1"], ["events", "-n", "x"], ["config"]],
)
def test_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """A wrong command line is status 2, and usage is on standard error."""
    assert run(arguments) == 2
    assert "Usage: lvsha-cli" in capfd.readouterr().err


def test_help_and_version(capfd: pytest.CaptureFixture[str]) -> None:
    """Help and version are status 0."""
    assert run(["--help"]) == 0
    assert run(["drain", "-h"]) == 0
    assert "Let TARGET finish" in capfd.readouterr().out
    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"lvsha-cli {__version__}\n"


def test_reader_gone(socket: Path, director: Director) -> None:
    """A reader that has seen enough (`| head`) makes no traceback."""
    for number in range(3000):
        director.journal.append(
            {"event": "daemon.stopped", "severity": "info", "timestamp": "T", "n": number}
        )
    command = f"{sys.executable} -m lvsha.cli --socket {socket} events -n 3000 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_loads_little(socket: Path) -> None:
    """A command in a script loads click and nothing large: that is what makes it start at once."""
    code = (
        "import json, sys; from lvsha.cli.__main__ import run; "
        f"status = run(['--socket', {str(socket)!r}, 'servers']); "
        "print(json.dumps([status, sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    heavy = {
        "rich",
        "aiohttp",
        "asyncio",
        "pydantic",
        "structlog",
        "http.client",
        "lvsha.config",
        "lvsha.api",
    }
    assert heavy & set(modules) == set()


def test_daemons_own_fault(cli: Command, director: Director) -> None:
    """A fault of the daemon's own is status 1 and points to its log."""
    director.failure = ZeroDivisionError()
    done = cli("status")
    assert done.status == 1
    assert "api.failed" in done.err


def test_hostile_argument(cli: Command) -> None:
    """What was typed is told back without obeying it."""
    done = cli("drain", "rs1\x1b[2J")
    assert done.status in (Status.WRONG, Status.NO_TARGET)
    assert "\x1b" not in done.err
