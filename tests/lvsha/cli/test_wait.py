"""Waiting for the last connection."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Session
from lvsha.cli.wait import is_drained, wait_until_drained
from lvsha.overrides import Overrides
from tests.lab.control import Director, serving
from tests.lvsha.cli.conftest import Command
from tests.lvsha.cli.test_show import on_a_terminal


def command(socket: Path, *arguments: str) -> list[str]:
    """The command line of a client of that socket."""
    return [sys.executable, "-m", "lvsha.cli", "--socket", str(socket), *arguments]


def test_bar(socket: Path) -> None:
    """A person sees a bar and the number that is left."""
    text = on_a_terminal(*command(socket, "drain", "web/rs1", "--wait"))
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert "0 connections left" in plain
    assert "━" in plain
    assert "web/rs1 has no connections" in plain


def test_nothing_to_wait_for(cli: Command) -> None:
    """A server without connections is drained at once."""
    assert cli("drain", "rs6", "--wait").out == "0 connections left\nrs6 has no connections\n"


def test_is_drained(socket: Path, cli: Command) -> None:
    """Only when every server of a target is drained, it is."""
    asked = Session(str(socket), as_json=False)
    cli("drain", "web/rs1")
    assert is_drained(asked, "web/rs1")
    assert not is_drained(asked, "rs1")


def test_taken_back_meanwhile(socket: Path, director: Director, cli: Command) -> None:
    """When somebody takes the drain back, the waiting ends with status 1 and says so."""
    director.ending = 0
    cli("drain", "web/rs1")
    director.said = Overrides()
    with pytest.raises(CommandError, match="web/rs1 takes connections again") as failure:
        wait_until_drained(Session(str(socket), as_json=True), "web/rs1", None)
    assert failure.value.status is Status.FAILED


def test_daemon_goes_away(director: Director, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the daemon goes away meanwhile, it is told that the drain stays."""
    director.ending = 0
    path = tmp_path / "sock"
    asked = Session(str(path), as_json=True)
    with contextlib.ExitStack() as daemon:
        daemon.enter_context(serving(director, path))
        asked.client.post("/v1/overrides", {"target": "web/rs1", "kind": "drain"})
        monkeypatch.setattr(time, "sleep", lambda _: daemon.close())
        with pytest.raises(CommandError) as failure:
            wait_until_drained(asked, "web/rs1", None)
    assert failure.value.status is Status.UNREACHABLE
    assert failure.value.lines[-1] == "web/rs1 stays drained"


def test_interrupted(socket: Path, director: Director) -> None:
    """Control-C ends the waiting with status 130; the drain stays in force."""
    director.ending = 0
    process = subprocess.Popen(
        command(socket, "drain", "web/rs1", "--wait"), stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "42 connections left\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 130
    assert len(director.said.entries) == 1
