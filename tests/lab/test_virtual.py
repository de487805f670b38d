"""Time that passes when it is waited for."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.lab.virtual import in_virtual_time


@in_virtual_time
async def test_a_day_takes_no_time() -> None:
    """Whoever waits for a timer gets it at once, and the clock shows what he waited."""
    begin = time.monotonic()
    await asyncio.sleep(86_400)
    assert asyncio.get_running_loop().time() == 86_400
    assert time.monotonic() - begin < 60


@in_virtual_time
async def test_timers_come_in_their_order() -> None:
    """Each finds the clock at its own time, and a time limit ends what would take longer."""
    loop, seen = asyncio.get_running_loop(), []
    for delay in (0.3, 0.1, 0.2):
        loop.call_later(delay, lambda: seen.append(loop.time()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.25):
            await asyncio.sleep(1)
    assert (seen, loop.time()) == ([0.1, 0.2], 0.25)


def test_what_would_wait_for_ever_fails() -> None:
    """There is nothing that could end it."""

    @in_virtual_time
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="for ever"):
        wait()
