"""A machine that stands still, as its watcher sees it."""

from __future__ import annotations

import asyncio
import signal
import time

from tests.lab.steady import steady

PAUSE = 0.2


async def test_a_pause_is_noted() -> None:
    """Its whole length, as the longest and in the total; not for who asks about the time after it."""
    machine = await steady()
    begin = time.monotonic()
    machine._process.signal(signal.SIGSTOP)
    time.sleep(PAUSE)  # noqa: ASYNC251 - what the machine does while it stands still
    machine._process.signal(signal.SIGCONT)
    async with asyncio.timeout(10):
        # The signals are on their way for a moment.
        while (still := await machine.stood_still(begin)).longest < PAUSE / 2:
            pass
    assert still.total >= still.longest
    after = time.monotonic()
    assert (await machine.stood_still(after)).total < still.total
