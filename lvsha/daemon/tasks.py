"""Tasks that run for ever, and what happens when one does not.

Every one has a name. One that ends, by an error or by returning, is a fault of the daemon's own, and so
is one that runs but a while and fails: it is said (`daemon.failed`) and takes all the others with it, so
that the parent starts a whole director again instead of half of one running on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from lvsha.log import emit


class EndedError(RuntimeError):
    """A task that runs for ever has returned."""


def eternal(
    group: asyncio.TaskGroup, name: str, body: Coroutine[object, object, object]
) -> asyncio.Task[None]:
    """Run `body` in the group under a name; whatever ends it ends the group."""
    return group.create_task(_endless(name, body), name=name)


def brief(group: asyncio.TaskGroup, name: str, body: Coroutine[object, object, object]) -> asyncio.Task[None]:
    """Run `body` in the group under a name; it may return, and an error ends the group."""
    return group.create_task(_guard(name, body), name=name)


async def _endless(name: str, body: Coroutine[object, object, object]) -> None:
    await _guard(name, body)
    emit("daemon.failed", task=name, error="it returned")
    raise EndedError(f"task {name!r} returned")


async def _guard(name: str, body: Coroutine[object, object, object]) -> None:
    try:
        await body
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        emit("daemon.failed", task=name, error=repr(error), exception=error)
        raise
