"""Tests of lvsha.__main__: `lvshad` as a person and as systemd call it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from lvsha import __main__ as command

GOOD = """[services.web]
address = "192.0.2.100"
port = 80
servers = [{ address = "10.0.0.1" }]
check = "none"
"""


def lvshad(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lvshad` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lvsha", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_version_is_told() -> None:
    """A person who asks gets an answer."""
    assert lvshad("--version").stdout.startswith("lvshad ")


def test_a_good_configuration_passes_the_check(tmp_path: Path) -> None:
    """Nothing is printed and the status is 0."""
    (tmp_path / "lvsha.toml").write_text(GOOD)
    result = lvshad("--check", "--config", str(tmp_path / "lvsha.toml"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_every_problem_is_printed_and_the_status_is_2(tmp_path: Path) -> None:
    """Who asks before a reload is told each reason with its line."""
    (tmp_path / "lvsha.toml").write_text(GOOD.replace("80", "800000").replace("10.0.0.1", "10.0.0.999"))
    result = lvshad("--check", "--config", str(tmp_path / "lvsha.toml"))
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2
    assert "lvsha.toml:3" in result.stderr


def test_a_daemon_with_a_broken_configuration_ends_with_2(tmp_path: Path) -> None:
    """The parent does not try again what cannot succeed; the log holds each problem."""
    (tmp_path / "lvsha.toml").write_text("[services.web]\n")
    result = lvshad("--config", str(tmp_path / "lvsha.toml"), "--log", "json")
    assert result.returncode == 2
    assert '"config.problem"' in result.stdout


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The commonest mistake has the plainest message."""
    result = lvshad("--check", "--config", str(tmp_path / "nothing.toml"))
    assert result.returncode == 2
    assert "nothing.toml" in result.stderr


@contextmanager
def piped() -> Iterator[int]:
    """Standard output as a small pipe; its reading end."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as output, redirect_stdout(output):
        yield reading


def test_the_parents_words_are_lines_of_the_log() -> None:
    """One JSON object, with what the catalogue says of the event."""
    with piped() as pipe:
        command._log("process.hung", process="speaker", pid=7, seconds=5.0)
        said = json.loads(os.read(pipe, 4096))
    assert (said["event"], said["alert"], said["process"]) == ("process.hung", True, "speaker")


def test_an_output_that_nobody_reads_does_not_stop_the_parent() -> None:
    """A log that hangs must not keep the parent from its children: what does not fit is dropped."""
    with piped() as pipe:
        for _ in range(200):
            command._log("process.started", process="director", pid=7)
        assert 0 < len(os.read(pipe, 65536)) <= 4096


def test_an_output_that_is_gone_does_not_end_the_parent() -> None:
    """A journal that was restarted is no reason to let go of the addresses."""
    with piped() as pipe, Path(os.devnull).open("rb") as null:
        os.dup2(null.fileno(), pipe)
        command._log("process.started", process="director", pid=7)
