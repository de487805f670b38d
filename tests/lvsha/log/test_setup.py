"""What a process writes once logging is set up, seen from outside: each test runs one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import textwrap
from typing import Any

import pytest


def run(program: str) -> list[dict[str, Any]]:
    """The lines that a program writes with `setup()` done, parsed."""
    code = "from lvsha.log import emit, setup\nsetup()\n" + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_json_lines() -> None:
    """One JSON object a line, the name before the fields, written at exit without being asked."""
    [line] = run("emit('server.down', service='web', detail='a\\nb')")
    assert list(line) == ["timestamp", "severity", "alert", "event", "service", "detail"]
    assert line["detail"] == "a\nb"


def test_libraries() -> None:
    """Warnings of libraries come out as log.library, their chatter does not."""
    lines = run(
        """
        import logging, warnings
        logging.getLogger("asyncio").warning("slow %s", "task")
        logging.getLogger("aiohttp.server").info("chatter")
        logging.getLogger("asyncssh").warning("Permission denied")
        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger("aiohttp.server").exception("unhandled")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        """
    )
    assert [(x["event"], x["logger"], x["severity"]) for x in lines[:2]] == [
        ("log.library", "asyncio", "warning"),
        ("log.library", "aiohttp.server", "error"),
    ]
    assert lines[0]["message"] == "slow task"
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert "Permission denied" not in json.dumps(lines)


def test_severity() -> None:
    """What is below the severity asked for is not written."""
    [line] = run(
        """
        from lvsha.events import Severity
        setup(severity=Severity.WARNING)
        emit("daemon.stopped", seconds=1)
        emit("log.dropped", lines=1)
        """
    )
    assert line["event"] == "log.dropped"


@pytest.mark.parametrize("banner", ["\x1b[2J\x1b[31m", "a\nb", "\x9b1m", "\u202e"])
def test_terminal(banner: str) -> None:
    """On a terminal text comes out, and what a server sent cannot steer the terminal."""
    reader, terminal = pty.openpty()
    code = (
        "from lvsha.log import emit, setup; setup(); "
        f"emit('server.down', service='web', detail='<' + {banner!r} + '>')"
    )
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], stdout=terminal, timeout=60, check=True, env=environment)
    os.close(terminal)
    text = b""
    try:
        while chunk := os.read(reader, 4096):
            text += chunk
    except OSError:
        pass
    os.close(reader)
    assert b"server.down" in text
    shown = text.decode().split("<", 1)[1].split(">")[0]
    assert shown.isprintable()
    assert shown == banner.encode("unicode_escape").decode()
