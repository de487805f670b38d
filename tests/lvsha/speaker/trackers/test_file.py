"""Numbers in files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lvsha.speaker.spec import FileTracker
from lvsha.speaker.trackers.base import Standing
from lvsha.speaker.trackers.file import judge, read


@pytest.mark.parametrize(
    ("content", "found"),
    [("5", 5), ("-5\n", -5), ("+7", 7), ("", 0), (" \n", 0), ("5 6", None), ("x", None), ("9" * 10, None)],
)
def test_only_a_number_counts(tmp_path: Path, content: str, found: int | None) -> None:
    """A whole number with or without a sign; nothing at all is 0; anything else is told."""
    path = tmp_path / "n"
    path.write_text(content)
    assert read(path) == (f"{path} holds no whole number" if found is None else found)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    """A FIFO does not hold us, a directory is no number, a missing file is 0."""
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in str(read(tmp_path / "fifo"))
    assert "not a regular file" in str(read(tmp_path))
    assert read(tmp_path / "none") == 0


def test_what_numbers_mean() -> None:
    """Times the weight, within what keepalived allows; without a weight anything but 0 forbids."""
    assert judge(3, -10).weight == -30
    assert judge(1000, 10).weight == 253
    assert judge(0, 0) == Standing(why="the file says 0")
    assert judge(1, 0).fault
    assert judge("unreadable", 0).fault
    assert judge("unreadable", 5) == Standing(ok=False, why="unreadable")


async def test_a_change_is_told(follow: Any, tmp_path: Path) -> None:
    """What is written counts soon, and is told once."""
    path = tmp_path / "n"
    told = follow(FileTracker(name="f", file=str(path), interval=0.02, weight=2))
    assert (await told.get()).weight == 0
    path.write_text("21")
    assert (await told.get()).weight == 42
    path.unlink()
    assert (await told.get()).weight == 0
