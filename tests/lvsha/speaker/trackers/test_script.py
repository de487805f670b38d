"""Programs that are run for their exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lvsha.speaker.spec import ScriptTracker
from lvsha.speaker.trackers.base import Standing


def tracker(*command: str, **settings: Any) -> ScriptTracker:
    """A tracker of that program."""
    return ScriptTracker(name="script", command=command, **settings)


async def test_changes_are_told_once(follow: Any, tmp_path: Path) -> None:
    """Two failures in a row make one verdict, and so does the first success after them."""
    flag = tmp_path / "flag"
    settings = {"user": "root", "interval": 0.02, "fall": 2, "weight": -5}
    told = follow(tracker("/usr/bin/test", "!", "-e", str(flag), **settings))
    assert await told.get() == Standing(ok=True, why="ended with 0")
    flag.touch()
    assert await told.get() == Standing(ok=False, weight=-5, why="ended with 1")
    flag.unlink()
    assert (await told.get()).ok
    assert told.empty()
