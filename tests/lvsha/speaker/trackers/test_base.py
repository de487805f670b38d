"""What verdicts mean for a priority."""

from __future__ import annotations

import pytest

from lvsha.speaker.trackers.base import Standing, Streak, standing


@pytest.mark.parametrize(
    ("ok", "weight", "expected"),
    [
        (True, -50, Standing(ok=True, weight=0)),
        (False, -50, Standing(ok=False, weight=-50)),
        (True, 50, Standing(ok=True, weight=50)),
        (False, 50, Standing(ok=False, weight=0)),
        (True, 0, Standing(ok=True)),
        (False, 0, Standing(ok=False, fault=True)),
    ],
)
def test_a_verdict_counts_as_keepalived_counts_it(ok: bool, weight: int, expected: Standing) -> None:
    """A weight is taken off or added; without one a failure is a fault."""
    assert standing(ok, weight, "") == expected


def test_a_verdict_changes_after_enough_results() -> None:
    """The first result counts at once, then rise and fall do; a result between starts the row anew."""
    streak = Streak(rise=2, fall=3)
    results = [True, False, False, True, False, False, False, True, False, True, True]
    verdicts = [True, True, True, True, True, True, False, False, False, False, True]
    assert [streak.observe(ok) for ok in results] == verdicts


def test_a_first_failure_counts() -> None:
    """What fails from the beginning never was well."""
    assert not Streak(rise=2, fall=3).observe(ok=False)
