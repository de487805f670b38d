"""The stream of events: newline-delimited JSON, as long as the client reads.

An empty line goes out every `HEARTBEAT` seconds, which a client skips: by it both sides notice that the
other has gone. A client that does not read is given up after `PATIENCE` seconds; it may come back with the
number of the last event it saw.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from lvsha.errors import UnavailableError

HEARTBEAT = 15.0
PATIENCE = 30.0
STREAMS = 32
"""Most streams at a time."""

_OPEN: web.AppKey[set[asyncio.Task[Any]]] = web.AppKey("streams", set)


def keep_streams(app: web.Application) -> None:
    """Let the application know its streams."""
    app[_OPEN] = set()


def close_streams(app: web.Application) -> None:
    """End every stream: nothing else would."""
    for task in app.get(_OPEN, ()):
        task.cancel()


async def stream(request: web.Request, events: AsyncIterator[dict[str, Any]]) -> web.StreamResponse:
    """Answer with events until the client goes away."""
    tasks, task = request.app[_OPEN], asyncio.current_task()
    if len(tasks) >= STREAMS:
        raise UnavailableError(f"{STREAMS} streams of events are open already")
    assert task is not None  # noqa: S101 -- a handler runs in a task
    tasks.add(task)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    try:
        await response.prepare(request)
        await _copy(request, response, events)
    except (ConnectionError, TimeoutError):
        request.protocol.force_close()
    finally:
        tasks.discard(task)
    return response


async def waiting(events: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that are there without waiting for any."""
    records = []
    try:
        while True:
            async with asyncio.timeout(0):
                records.append(await anext(events))
    except (TimeoutError, StopAsyncIteration):
        return records


async def _copy(
    request: web.Request, response: web.StreamResponse, events: AsyncIterator[dict[str, Any]]
) -> None:
    upcoming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=HEARTBEAT)
            line = json.dumps(upcoming.result()) if done else ""
            async with asyncio.timeout(PATIENCE):
                await response.write(f"{line}\n".encode())
            if request.transport is None or request.transport.is_closing():
                return
            if done:
                upcoming = asyncio.ensure_future(anext(events))
    except StopAsyncIteration:
        return
    finally:
        upcoming.cancel()
