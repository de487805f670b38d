"""Durations, ages and numbers in words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.cli.words import age, count, plural, safe, seconds, span


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("2h", 7200), ("1h30m", 5400), ("500ms", 0.5), ("1.5d", 129_600), ("0", 0)],
)
def test_seconds(text: str, expected: float) -> None:
    """Durations as the configuration has them, and sums of them."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "2", "2 h", "-2h", "2h ", "1e3", "inf", "2w", "٢h", "9" * 100])
def test_no_seconds(text: str) -> None:
    """Anything else is refused with what to say."""
    if text == "2":
        assert seconds(text) == 2
        return
    with pytest.raises(ValueError, match="is not a duration: say 90s, 5m, 2h or 1h30m"):
        seconds(text)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.4, "59s"),
        (61, "1m 1s"),
        (3600, "1h"),
        (93_784, "1d 2h"),
        (1e9, "11574d 1h"),
    ],
)
def test_span(duration: float, expected: str) -> None:
    """A duration in its two largest units."""
    assert span(duration) == expected


@settings(deadline=None)
@given(st.integers(0, 10**7))
def test_span_is_a_duration(duration: int) -> None:
    """What is told can be typed again, and is short by less than its smallest unit."""
    again = seconds(span(duration).replace(" ", ""))
    assert again <= duration < again + max(86400 if duration >= 864_000 else 3600, 1)


def test_age() -> None:
    """How long ago; a moment that never was has no age."""
    assert age(100.0, 160.0) == "1m"
    assert age(None) == "-"
    assert age(200.0, 100.0) == "0s"


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0B"), (999, "999B"), (1500, "1.5kB"), (2_500_000, "2.5MB"), (3.2e12, "3.2TB"), (5e16, "50PB")],
)
def test_count(number: float, expected: str) -> None:
    """Numbers at a glance."""
    assert count(number, "B") == expected


def test_plural() -> None:
    """One is one."""
    assert [plural(n, "connection") for n in (0, 1, 2)] == ["0 connections", "1 connection", "2 connections"]


@settings(deadline=None)
@given(st.text())
def test_safe(text: str) -> None:
    """Whatever comes in, what comes out is printable and tells it apart from nothing else on the line."""
    assert safe(text).isprintable()
    if text.isprintable():
        assert safe(text) == text
