"""What has happened, and what happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lvsha.cli.commands.events import text
from tests.lvsha.cli.conftest import Command


def test_past(cli: Command) -> None:
    """The last events, one a line."""
    for reason in ("one", "two", "three"):
        cli("drain", "rs1", "--reason", reason)
    lines = cli("events", "-n", "2").out.splitlines()
    assert [("two" in lines[0]), ("three" in lines[1]), len(lines)] == [True, True, 2]
    assert cli("events", "-n", "0").out == ""
    assert len(cli("events").out.splitlines()) == 3


def test_since(cli: Command) -> None:
    """All after a number, whatever --last says."""
    for reason in ("one", "two", "three"):
        cli("drain", "rs1", "--reason", reason)
    lines = cli("--json", "events", "--since", "1", "-n", "1").out.splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["two", "three"]


def test_filters(cli: Command) -> None:
    """Only alerts, or only from a severity on."""
    cli("drain", "rs1")
    cli("hold", "public", "--force")
    assert cli("events", "--alerts").out == ""
    [line] = cli("--json", "events", "--severity", "warning").out.splitlines()
    assert json.loads(line)["event"] == "vrrp.held"


def test_follow(cli: Command, socket: Path) -> None:
    """With -f events come as they happen, each at once though the output is a pipe."""
    cli("drain", "rs1", "--reason", "before")
    command = [sys.executable, "-m", "lvsha.cli", "--socket", str(socket), "--json", "events", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["reason"] == "before"
        cli("drain", "rs1", "--reason", "after")
        assert json.loads(follower.stdout.readline())["reason"] == "after"
        follower.terminate()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            {"severity": "error", "alert": True, "event": "server.down", "server": "rs1", "seq": 4},
            "T error!    server.down server=rs1",
        ),
        (
            {"severity": "info", "alert": False, "event": "reload.done", "changed": ["a b"], "by": "x, y"},
            'T info      reload.done changed=["a b"] by="x, y"',
        ),
        (
            {"severity": "info", "alert": False, "event": "server.up", "detail": 'a="1" \x1b[2J', "port": 80},
            'T info      server.up detail="a=\\"1\\" \\u001b[2J" port=80',
        ),
    ],
)
def test_line(event: dict[str, object], line: str) -> None:
    """An event as text: an alert has a mark, a value that could be taken for two is quoted."""
    assert text({"timestamp": "T", **event}) == line
