"""Tables for scripts and for people."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lvsha.cli import show


def on_a_terminal(*command: str, width: int = 100) -> str:
    """What a command writes when its standard output is a terminal."""
    reader, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(width), "PYTHONIOENCODING": "utf-8"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=terminal, env=environment)
    os.close(terminal)
    text = b""
    try:
        while chunk := os.read(reader, 65536):
            text += chunk
    except OSError:
        # EIO: the other side has closed.
        pass
    os.close(reader)
    process.wait(30)
    return text.decode()


def test_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe columns are as wide as their content and no line has blanks at its end."""
    show.table(("NAME", "STATE"), [("a", "up"), ("longer name", 1)], empty="none")
    assert capsys.readouterr().out == "NAME         STATE\na            up\nlonger name  1\n"


def test_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is told as a sentence."""
    show.table(("NAME",), [], empty="no services")
    assert capsys.readouterr().out == "no services\n"


def test_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    """Names with values, aligned; control characters are shown."""
    show.pairs([("a", 1), ("long", "x\ny"), ("none", "")])
    assert capsys.readouterr().out == "a     1\nlong  x\\ny\nnone\n"


def test_colours(socket: Path) -> None:
    """On a terminal the state has a colour, and the same cells stand there."""
    text = on_a_terminal(sys.executable, "-m", "lvsha.cli", "--socket", str(socket), "services")
    assert re.search(r"\x1b\[33mdegraded", text)
    assert re.search(r"\x1b\[32mok", text)
    assert "192.0.2.100:80" in re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_no_markup(tmp_path: Path) -> None:
    """On a terminal neither brackets nor escapes in a cell do anything."""
    code = (
        "from lvsha.cli.show import table;"
        "table(('A',), [('[red]x[/red] [link=http://e] \\x1b[2J \\x1b]0;t\\x07',)], empty='')"
    )
    text = on_a_terminal(sys.executable, "-c", code)
    assert "[red]x[/red] [link=http://e] \\x1b[2J \\x1b]0;t\\x07" in text
    assert "\x1b[2J" not in text
    assert "\x1b]0" not in text


def test_narrow_terminal(socket: Path) -> None:
    """On a narrow terminal cells are folded, not cut."""
    text = on_a_terminal(
        sys.executable, "-m", "lvsha.cli", "--socket", str(socket), "servers", "rs2", width=60
    )
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    letters = "".join(c for c in plain if c.isalnum())
    assert "…" not in plain
    assert "down" in letters
