"""Tests of checks.lag: a loop that is kept busy, and deadlines which do not count that."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from checks import lag
from checks.lag import MOST, PERIOD, Lag, patience
from tests.lab.virtual import in_virtual_time, spend


@in_virtual_time
async def test_a_loop_that_is_kept_busy_is_late() -> None:
    """What passed while nothing could run is lost, and remembered for a while."""
    with lag() as seen:
        await asyncio.sleep(2 * PERIOD)
        before = seen.look()
        spend(0.3)
        assert seen.look() - before > 0.2
        await asyncio.sleep(2 * PERIOD)
        assert seen.lost - before > 0.2
        assert seen.recent > 0


@in_virtual_time
async def test_a_loop_that_waits_for_events_is_not_late() -> None:
    """Waiting is no lateness."""
    with Lag() as seen:
        await asyncio.sleep(0.2)
    assert seen.lost < 0.1


@in_virtual_time
async def test_nothing_is_timed_when_nobody_is_interested() -> None:
    """Time in which no probe ran is not lost, and no timer is left behind."""
    seen = Lag()
    with seen:
        pass
    spend(0.1)
    with seen:
        assert seen.look() < 0.05


@in_virtual_time
async def test_an_answer_that_waited_for_the_loop_is_in_time() -> None:
    """An answer that came in time and could not be read until after the deadline counts."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        async with patience(0.1):
            reading = asyncio.ensure_future(loop.sock_recv(ours, 10))
            await asyncio.sleep(0)
            theirs.send(b"here")
            spend(0.3)
            assert await reading == b"here"


@in_virtual_time
async def test_every_step_may_have_waited() -> None:
    """A conversation of several steps, before each of which the loop was busy, is given all of that."""
    async with patience(0.1) as deadline:
        for _ in range(3):
            spend(0.15)
            await asyncio.sleep(0)
            await asyncio.sleep(0.01)
    assert not deadline.expired


@in_virtual_time
async def test_silence_of_a_target_is_silence_all_the_same() -> None:
    """Who does not answer is cut off as soon as the lost time is made up for."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with patience(0.1) as deadline:
            spend(0.3)
            await asyncio.Event().wait()
    assert deadline.expired
    assert deadline.granted > 0.1
    assert loop.time() - began == pytest.approx(0.1 + deadline.granted)


@in_virtual_time
async def test_a_deadline_is_not_put_off_for_ever() -> None:
    """Even where the loop is always late a judgement comes."""

    async def hog() -> None:
        while True:
            spend(0.1)
            await asyncio.sleep(0)

    task = asyncio.create_task(hog())
    try:
        with pytest.raises(TimeoutError):
            async with patience(0.05) as deadline:
                await asyncio.Event().wait()
        assert deadline.granted == pytest.approx(MOST * 0.05)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@in_virtual_time
async def test_a_cancellation_from_outside_stays_one() -> None:
    """Who ends a probe is not told that its time was up."""

    async def probe() -> None:
        async with patience(10):
            await asyncio.Event().wait()

    task = asyncio.create_task(probe())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
