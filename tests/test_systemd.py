"""Tests of systemd/: systemd takes the units, and what they except from its protection is there in time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parent.parent / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, once the programs are there."""
    text = unit.read_text().replace("/opt/lvsha/bin/", f"{tmp_path}/")
    for name in ("lvshad", "lvsha-cli"):
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_may_be_written_is_there(unit: Path) -> None:
    """A file that ReadWritePaths= passes over where it is missing is made before, with full privileges."""
    lines = unit.read_text().splitlines()
    excepted = [line.removeprefix("ReadWritePaths=-") for line in lines if line.startswith("ReadWritePaths=")]
    for path in excepted:
        assert f"ExecStartPre=-+/usr/bin/touch {path}" in lines


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_nothing_that_runs_before_can_fail_the_start(unit: Path) -> None:
    """RestartPreventExitStatus= is for the main process alone: what else fails is repeated for ever."""
    before = [line for line in unit.read_text().splitlines() if line.startswith("ExecStartPre=")]
    assert [line for line in before if not line.startswith("ExecStartPre=-")] == []
