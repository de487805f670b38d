"""Timers that fire when they are due."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from lvsha.speaker import realtime
from lvsha.speaker.loop import SpeakerLoop, clock


@pytest.fixture
def loop() -> Iterator[SpeakerLoop]:
    """A loop of its own."""
    made = SpeakerLoop()
    yield made
    made.close()


def test_the_clock_is_the_machines(loop: SpeakerLoop) -> None:
    """Deadlines are on the clock that a later process shares."""
    assert abs(loop.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 0.1
    assert abs(clock() - loop.time()) < 0.1


def test_timers_are_not_rounded_to_milliseconds(loop: SpeakerLoop) -> None:
    """Scheduled as a speaker is, it is on time within half a millisecond; asyncio's own is 0.7 ms late."""
    late: list[float] = []

    async def ticks() -> None:
        for _ in range(100):
            due = loop.time() + 0.0103
            await asyncio.sleep(0.0103)
            late.append(loop.time() - due)

    realtime.schedule()
    try:
        loop.run_until_complete(ticks())
    finally:
        realtime.unschedule()
    assert min(late) >= -1e-5, "never early"
    # A machine that is another's guest waits for its own turn now and then.
    assert sorted(late)[10] < 0.0005


def test_a_wait_without_timers_does_not_spin(loop: SpeakerLoop) -> None:
    """After a timer has fired, a wait for a socket alone uses no processor."""
    one, two = socket.socketpair()
    one.setblocking(False)

    async def wait() -> bytes:
        await asyncio.sleep(0.001)
        return await loop.sock_recv(one, 10)

    with one, two:
        task = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0.01))
        before = time.process_time()
        loop.run_in_executor(None, lambda: (time.sleep(0.3), two.send(b"x")))
        assert loop.run_until_complete(task) == b"x"
        assert time.process_time() - before < 0.1
    loop.run_until_complete(loop.shutdown_default_executor())
