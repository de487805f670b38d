"""A coroutine that runs beside a block of a test, and no longer.

async with background(monitor.run()):
    ...
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def background(body: Coroutine[object, object, object]) -> AsyncIterator[None]:
    """It has begun when the block is entered, and is cancelled after it; if it failed, so does the test."""
    task = asyncio.create_task(body)
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
