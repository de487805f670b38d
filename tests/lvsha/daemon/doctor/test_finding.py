"""Tests of lvsha.daemon.doctor.finding."""

from __future__ import annotations

import pytest

from lvsha.daemon.doctor.finding import listed, sysctl


@pytest.mark.parametrize(
    ("count", "words"), [(0, ""), (1, "0"), (5, "0, 1, 2, 3, 4"), (9, "0, 1, 2, 3, 4 and 4 more")]
)
def test_a_long_list_is_cut(count: int, words: str) -> None:
    """Five are named, the rest is counted."""
    assert listed(range(count)) == words


def test_a_command_for_several_settings() -> None:
    """One word each to a shell."""
    assert sysctl(("a.b", 1), ("a/c", "0 1")) == "sysctl -w a.b=1 a/c='0 1'"
