"""Tests of lvsha.config.keepalived_page."""

from __future__ import annotations

from pathlib import Path

from lvsha.config.keepalived import WORDS
from lvsha.config.keepalived_page import page

PAGE = Path(__file__).parents[3] / "docs" / "keepalived.md"


def test_page_agrees() -> None:
    """`docs/keepalived.md` is what the words make."""
    assert PAGE.read_text() == page()


def test_every_word_has_a_row() -> None:
    """One for each, under one heading only."""
    rows = [line.split("`")[1] for line in page().splitlines() if line.startswith("| `")]
    assert [row.lower() for row in rows] == list(WORDS)
