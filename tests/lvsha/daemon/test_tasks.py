"""Tests of lvsha.daemon.tasks: the end of an eternal task is loud."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lvsha.daemon.tasks import EndedError, brief, eternal
from lvsha.log import listening


async def forever() -> None:
    """A task as it should be."""
    await asyncio.get_running_loop().create_future()


async def test_a_task_that_fails_takes_the_others_with_it() -> None:
    """The error is told with the task's name, and the group ends."""

    async def broken() -> None:
        raise ZeroDivisionError

    said: list[dict[str, Any]] = []
    with listening(said.append), pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            other = eternal(group, "other", forever())
            eternal(group, "checks", broken())
    assert caught.group_contains(ZeroDivisionError)
    assert other.cancelled()
    assert [(e["event"], e["task"]) for e in said] == [("daemon.failed", "checks")]
    assert "ZeroDivisionError" in said[0]["exception"]


async def test_a_task_that_returns_has_failed() -> None:
    """Running for ever is the whole promise."""

    async def done() -> None:
        return

    said: list[dict[str, Any]] = []
    with listening(said.append), pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            eternal(group, "beat", done())
    assert caught.group_contains(EndedError)
    assert said[0]["error"] == "it returned"


async def test_a_task_that_is_cancelled_is_silent() -> None:
    """An orderly stop is no failure."""
    said: list[dict[str, Any]] = []
    with listening(said.append):
        async with asyncio.TaskGroup() as group:
            task = eternal(group, "beat", forever())
            await asyncio.sleep(0)
            assert task.get_name() == "beat"
            task.cancel()
    assert said == []


async def test_a_brief_task_may_return_but_not_fail_in_silence() -> None:
    """A reload that breaks ends the daemon as loudly as any other fault."""

    async def good() -> None:
        return

    async def broken() -> None:
        raise ZeroDivisionError

    said: list[dict[str, Any]] = []
    with listening(said.append):
        async with asyncio.TaskGroup() as group:
            brief(group, "reload", good())
        assert said == []
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                brief(group, "reload", broken())
    assert [(e["event"], e["task"]) for e in said] == [("daemon.failed", "reload")]
