"""Tests of lvsha.daemon.drains: the moment when a drained server may be worked on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import checks
from lvsha.daemon import drains
from lvsha.daemon.drains import Drains
from lvsha.desired import target_of
from lvsha.log import listening
from lvsha.overrides import Kind, Override, Selector
from tests.lab.fake_ipvs import FakeIpvs
from tests.lab.hearing import Hearing
from tests.lab.services import config, server, service
from tests.lab.wired import wired

WEB = service(server(1), server(2))
DRAIN = Override(Selector(server="rs1"), Kind.DRAIN, since=1000.0)


class Scene:
    """A director and its table, and what is said."""

    def __init__(self, directory: Path) -> None:
        self.table = FakeIpvs()
        self.director, self.reconciler = wired(config(WEB), self.table, directory)
        self.said = Hearing()

    def finished(self) -> list[str]:
        """The servers that were told to be finished."""
        return [e["server"] for e in self.said.all("drain.finished")]


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Scene]:
    """Both loops in the background, both servers up."""
    scene = Scene(directory)
    for number in (1, 2):
        target = target_of(server(number))
        assert target is not None
        scene.director.report(target, checks.Outcome(True, "ok"))
    watching = Drains(scene.director, scene.reconciler)
    tasks = [asyncio.create_task(scene.reconciler.run()), asyncio.create_task(watching.run())]
    await scene.reconciler.looked()
    with listening(scene.said):
        yield scene
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_server_without_connections_is_finished_at_once(tmp_path: Path) -> None:
    """Nothing to wait for: it may be worked on."""
    async with running(tmp_path) as scene:
        scene.director.override(DRAIN)
        await scene.said.event("drain.finished")
        assert scene.finished() == ["rs1"]


async def test_a_server_with_connections_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event comes with the end of the last connection, and once."""
    monkeypatch.setattr(drains, "PERIOD", 0.01)
    async with running(tmp_path) as scene:
        scene.table.active[WEB.key, server(1).key] = 2
        scene.director.override(DRAIN)
        await scene.reconciler.looked()
        await scene.reconciler.looked()
        assert scene.finished() == []
        scene.table.active.clear()
        await scene.said.event("drain.finished")
        await scene.reconciler.looked()
        assert scene.finished() == ["rs1"]


async def test_a_kernel_that_does_not_answer_is_asked_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain on a director without IPVS ends nothing but the wait, once IPVS is there."""
    monkeypatch.setattr(drains, "LATER", 0.01)
    async with running(tmp_path) as scene:
        scene.table.gone = True
        scene.director.override(DRAIN)
        await scene.said.event("reconcile.failed")
        scene.table.gone = False
        await scene.said.event("drain.finished")


async def test_a_second_drain_is_watched_anew(tmp_path: Path) -> None:
    """After an undrain the next drain tells its end again."""
    async with running(tmp_path) as scene:
        scene.director.override(DRAIN)
        await scene.said.event("drain.finished")
        scene.director.clear([DRAIN], by="root")
        await scene.reconciler.looked()
        scene.said.clear()
        scene.director.override(Override(Selector(server="rs1"), Kind.DRAIN, since=2000.0))
        await scene.said.event("drain.finished")
        assert scene.finished() == ["rs1"]
