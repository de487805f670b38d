"""Tests of lvsha.__main__: `lvshad` as a person and as systemd call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    """Systemd's ExecStartPre refuses the start, and the journal has each reason with its line."""
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
