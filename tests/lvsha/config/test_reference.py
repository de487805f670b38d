"""Tests of `lvsha.config.reference`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lvsha.config.reference import MARK, reference, rewrite
from tests.lab.desk import Desk

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"
OWN = DOCUMENT.read_text().partition(MARK)[0]


def test_the_document_is_up_to_date() -> None:
    """What docs/configuration.md says of every key is what the models say."""
    written = DOCUMENT.read_text()
    assert written == OWN + reference(), "run: python -m lvsha.config.reference docs/configuration.md"


def test_rewriting_keeps_what_is_above(tmp_path: Path) -> None:
    """The words above the mark are a person's."""
    path = tmp_path / "x.md"
    path.write_text(f"# Mine\n\n{MARK}\nold\n")
    rewrite(path)
    assert path.read_text() == "# Mine\n\n" + reference()


@pytest.mark.parametrize("key", ["netmask", "vrid", "json_path", "banner_only", "server_name", "at_least"])
def test_keys_of_all_kinds_of_tables(key: str) -> None:
    """Services, instances, checks, settings within checks and trackers are there."""
    assert f"\n| `{key}` |" in reference()


def test_values_and_defaults() -> None:
    """Durations are written as one would write them, ranges and words as they are."""
    text = reference()
    assert '| `interval` | duration | `"2s"` |' in text
    assert "| `vrid` | 1 to 255 | **required** |" in text
    assert '| `on_failure` | `"remove"` `"quiesce"` | `"remove"` |' in text
    assert "| `realtime` | `true` `false` | `true` |" in text


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", OWN, re.DOTALL))
def test_examples(desk: Desk, example: str) -> None:
    """What the document shows as TOML can be used."""
    assert desk.report(example, "lb1").errors == ()
