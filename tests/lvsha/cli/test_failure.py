"""What can go wrong."""

from __future__ import annotations

import re
from pathlib import Path

from lvsha.cli.failure import CommandError, Status

DOCS = (Path(__file__).parents[3] / "docs/cli.md").read_text()


def test_statuses_are_documented() -> None:
    """docs/cli.md has the exit statuses that there are."""
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", DOCS, re.MULTILINE)}
    assert told == {int(status) for status in Status}


def test_empty_lines_are_left_out() -> None:
    """A hint that is empty makes no empty line."""
    error = CommandError(Status.FAILED, "no", ["", "do this"])
    assert (str(error), error.lines) == ("no", ("do this",))
