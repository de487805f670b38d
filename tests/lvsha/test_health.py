"""Tests of lvsha.health: rise and fall."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvsha.health import Health, State


def run(results: list[bool], *, rise: int, fall: int, start: Health | None = None) -> Health:
    """The health after results at seconds 1, 2, 3, ..."""
    health = start or Health()
    for second, ok in enumerate(results, 1):
        health = health.observe(ok, f"probe {second}", rise=rise, fall=fall, now=float(second))
    return health


def test_the_first_success_decides() -> None:
    """A new server that answers is up at once: it need not wait for `rise` successes."""
    health = run([True], rise=3, fall=3)
    assert (health.state, health.since, health.detail) == (State.UP, 1.0, "probe 1")


def test_a_first_failure_has_to_be_confirmed() -> None:
    """Nothing is known of a server until `fall` failures in a row."""
    assert run([False, False], rise=2, fall=3).state is State.UNKNOWN
    assert run([False, False, False], rise=2, fall=3).state is State.DOWN


def test_a_server_falls_after_fall_failures_in_a_row() -> None:
    """A success in between starts the count again: failures are not added up over a lifetime."""
    assert run([True, False, False, True, False, False], rise=2, fall=3).state is State.UP
    assert run([True, False, False, True, False, False, False], rise=2, fall=3).state is State.DOWN


def test_a_server_rises_after_rise_successes_in_a_row() -> None:
    """A failure in between starts the count again."""
    down = Health(State.DOWN)
    assert run([True, False, True], rise=2, fall=3, start=down).state is State.DOWN
    assert run([True, False, True, True], rise=2, fall=3, start=down).state is State.UP


def test_a_verdict_in_the_making_is_not_settled() -> None:
    """The monitor hurries while results speak against the verdict."""
    assert not Health().settled
    assert run([True], rise=2, fall=3).settled
    assert not run([True, False], rise=2, fall=3).settled
    assert run([True, False, True], rise=2, fall=3).settled


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_the_verdict_is_that_of_the_last_run(results: list[bool], rise: int, fall: int) -> None:
    """After any history: a run of `fall` failures at its end means down, of `rise` successes up."""
    health = run(results, rise=rise, fall=fall)
    tail = 0
    for ok in reversed(results):
        if ok is not results[-1]:
            break
        tail += 1
    if results and not results[-1] and tail >= fall:
        assert health.state is State.DOWN
    if results and results[-1] and tail >= rise:
        assert health.state is State.UP
    if results:
        assert health.detail == f"probe {len(results)}"
        assert health.checked == float(len(results))
