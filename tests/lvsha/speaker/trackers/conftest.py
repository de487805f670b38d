"""Follows what a tracker tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from lvsha.speaker.spec import Tracker
from lvsha.speaker.trackers import start
from lvsha.speaker.trackers.base import Standing

Follow = Callable[[Tracker], asyncio.Queue[Standing]]


@pytest.fixture
async def follow() -> AsyncIterator[Follow]:
    """Start a tracker; what it tells comes out of a queue."""
    tasks: list[asyncio.Task[None]] = []

    def one(tracker: Tracker) -> asyncio.Queue[Standing]:
        told: asyncio.Queue[Standing] = asyncio.Queue()
        task = start(tracker, "front", told.put_nowait)
        assert task is not None
        tasks.append(task)
        return told

    yield one
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
