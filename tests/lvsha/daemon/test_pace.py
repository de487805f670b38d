"""Tests of lvsha.daemon.pace."""

from __future__ import annotations

import pytest

from lvsha.daemon.pace import LATE, LEAST, MOST, QUIET, STEP, Pace


def driven(pace: Pace, lag: float, steps: int, now: float = 0.0) -> float:
    """Let a probe ask once a step while the loop is late by `lag`; the time afterwards."""
    for _ in range(steps):
        pace.admit(now, lag)
        now += STEP
    return now


def test_a_loop_on_time_lets_everybody_begin_at_once() -> None:
    """Without lateness there is no gap, however many probes come at one moment."""
    pace = Pace()
    assert [pace.admit(5.0, 0.0) for _ in range(1000)] == [5.0] * 1000


def test_a_late_loop_puts_gaps_between_beginnings() -> None:
    """Probes that are due together begin one after another, in the order in which they came."""
    pace = Pace()
    now = driven(pace, 2 * LATE, 4)
    begins = [pace.admit(now, 2 * LATE) for _ in range(100)]
    assert begins == sorted(begins)
    assert begins[-1] - begins[0] == pytest.approx(99 * pace.gap)
    assert pace.gap > LEAST


def test_the_gap_has_a_limit() -> None:
    """A machine that is never on time still probes every server, as often as the greatest gap allows."""
    pace = Pace()
    driven(pace, 10.0, 1000)
    assert pace.gap == MOST


def test_the_gap_goes_when_the_loop_is_on_time_again() -> None:
    """What was slowed down is as fast as before, some time after the load is gone."""
    pace = Pace()
    now = driven(pace, 10.0, 100)
    driven(pace, 0.0, 100, now)
    assert pace.gap == 0.0


def test_one_probe_a_step_changes_the_gap() -> None:
    """A thousand probes that ask at one moment are one sign of lateness, not a thousand."""
    pace = Pace()
    for _ in range(1000):
        pace.admit(0.0, 10.0)
    assert pace.gap == LEAST


def test_lateness_is_told_once_and_its_end_once() -> None:
    """Not every late probe is news."""
    pace = Pace()
    now = driven(pace, 10.0, 10)
    assert pace.began(now, 0.6, 1.0) is True
    assert pace.began(now + 1, 0.9, 1.0) is None
    assert pace.began(now + 2, 0.0, 1.0) is None
    assert pace.began(now + 1 + QUIET + 1, 0.0, 1.0) is False
    assert pace.began(now + 1 + QUIET + 2, 0.0, 1.0) is None


def test_half_an_interval_is_late() -> None:
    """What is late depends on how often a server is checked."""
    pace = Pace()
    now = driven(pace, 10.0, 10)
    assert pace.began(now, 0.6, 10.0) is None
    assert pace.began(now, 0.6, 1.0) is True


def test_a_wait_that_is_not_the_paces_is_not_its_news() -> None:
    """A process that was stopped for a while begins its probes late without having too many."""
    assert Pace().began(100.0, 50.0, 1.0) is None
