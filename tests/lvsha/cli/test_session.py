"""What every command is given."""

from __future__ import annotations

import json

import pytest

from lvsha.cli.session import Duration, Session


def test_tells_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for JSON, the answer is told as it is, and not shown."""
    Session("/sock", as_json=True).tell({"ä": [1]}, lambda _: pytest.fail("shown"))
    out = capsys.readouterr().out
    assert json.loads(out) == {"ä": [1]}
    assert "ä" in out


def test_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Else it is shown."""
    Session("/sock", as_json=False).tell([1], print)
    assert capsys.readouterr().out == "[1]\n"


def test_duration_keeps_numbers() -> None:
    """A default that is a number stays what it is."""
    assert Duration().convert(10.0, None, None) == 10.0
