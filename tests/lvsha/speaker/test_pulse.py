"""A beat, and what a process that is held up makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from lvsha.speaker.pulse import Pulse


class Missed(list[float]):
    """The times that were told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    def __call__(self, seconds: float) -> None:
        """Hear of one."""
        self.append(seconds)
        self.told.set()


@pytest.fixture
async def missed() -> Missed:
    """Who is told."""
    return Missed()


@pytest.fixture
async def pulse(missed: Missed) -> AsyncIterator[Pulse]:
    """A pulse that does not beat yet."""
    made = Pulse(missed)
    yield made
    made.every(None)


def hold_up(seconds: float) -> None:
    """Keep the event loop from running, as a paused machine does."""
    time.sleep(seconds)


async def test_a_process_that_is_held_up_is_told_for_how_long(pulse: Pulse, missed: Missed) -> None:
    """By the next beat, which comes too late."""
    pulse.every(0.01)
    hold_up(0.2)
    async with asyncio.timeout(5):
        await missed.told.wait()
    assert missed[0] >= 0.2


async def test_who_cannot_wait_for_the_beat_looks(pulse: Pulse, missed: Missed) -> None:
    """It is told at once, and not again for the same time."""
    pulse.every(0.5)
    hold_up(1.1)
    pulse.look()
    assert len(missed) == 1
    pulse.look()
    assert len(missed) == 1


async def test_less_than_two_beats_are_nothing(pulse: Pulse, missed: Missed) -> None:
    """A process is never quite on time."""
    pulse.every(30.0)
    hold_up(0.1)
    pulse.look()
    assert missed == []


async def test_another_period_begins_anew(pulse: Pulse, missed: Missed) -> None:
    """A time without a beat, before it was wanted or while it was not, is no pause."""
    pulse.look()
    pulse.every(0.01)
    pulse.every(None)
    hold_up(0.1)
    pulse.look()
    pulse.every(60.0)
    pulse.look()
    assert missed == []


async def test_it_goes_on_beating(pulse: Pulse, missed: Missed) -> None:
    """After one pause comes the next."""
    pulse.every(0.01)
    for _ in range(2):
        missed.told.clear()
        hold_up(0.1)
        async with asyncio.timeout(5):
            await missed.told.wait()
    assert sum(missed) >= 0.2
