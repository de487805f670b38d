"""Tests of lvsha.daemon.standby: what the other director knows before it is handed over to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lvsha.api.views import SyncView
from lvsha.config import SyncConfig
from lvsha.daemon.director import Director
from lvsha.daemon.memory import Memory
from lvsha.daemon.peers import Peers
from lvsha.daemon.standby import Standby, lacking
from lvsha.errors import UnavailableError
from tests.lab.peers import Site, look
from tests.lab.services import config, server, service

PLAIN = config(service(server(1)))


def words(here: int | None, **peers: int | None) -> str:
    """What is said against a hand-over."""
    return lacking(SyncView(here, peers), 13.0)


def test_less_than_95_in_100_are_too_few() -> None:
    """The refusal has both counts, for how long to wait, and what overrules it."""
    assert words(200, lb2=190) == ""
    assert words(200, lb2=189) == (
        "lb2 knows 189 of 200 established connections: "
        "wait (those with traffic are told again within 13 s); --force hands over all the same"
    )


def test_a_peer_that_does_not_say_is_not_believed_to_know() -> None:
    """Where there are connections; a director without any has none to lose."""
    assert words(200, lb2=None).startswith(
        "lb2 does not say how many of 200 established connections it knows"
    )
    assert words(0, lb2=None) == ""
    assert words(None, lb2=None) == ""


def test_any_peer_may_be_the_one_that_takes_over() -> None:
    """One of two that lacks connections is enough to refuse."""
    assert words(200, lb2=200, lb3=12).startswith("lb3 knows 12 of 200")


class Far:
    """What lb2 knows, question by question; at the end as often as it is asked."""

    def __init__(self, *counts: int) -> None:
        self._counts: Iterator[int] = iter(counts)
        self._latest = 0

    async def count(self) -> int | None:
        """As the daemon's."""
        self._latest = next(self._counts, self._latest)
        return self._latest


@asynccontextmanager
async def asking(directory: Path, far: Far, *, here: int) -> AsyncIterator[Standby]:
    """Lb1 with so many connections, connected to lb2."""
    async with Site(directory) as site:
        site.counts["lb2"] = far.count
        home = directory / "lb1"
        home.mkdir()
        cfg = replace(PLAIN, peer=site.configs["lb1"], sync=SyncConfig("back"))
        site.directors["lb1"] = Director(cfg, Memory(home), look=look)
        peers = Peers(site.directors["lb1"])

        async def count() -> int | None:
            return here

        task = asyncio.create_task(peers.run())
        async with site.running("lb2"):
            await peers.heard()
            yield Standby(lambda: cfg, count, peers)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_peer_that_knows_them_is_handed_them(tmp_path: Path) -> None:
    """And what it knew is said; the same is shown."""
    async with asking(tmp_path, Far(198), here=200) as standby:
        assert await standby.permit(force=False) == "lb2 knows 198 of 200 established connections"
        assert await standby.view() == SyncView(200, {"lb2": 198})


async def test_a_peer_that_is_being_told_is_asked_again(tmp_path: Path) -> None:
    """The kernel collects for some seconds: a first answer that is too small is not the last word."""
    async with asking(tmp_path, Far(150, 199), here=200) as standby:
        assert await standby.permit(force=False) == "lb2 knows 199 of 200 established connections"


async def test_a_peer_that_lacks_them_is_handed_them_by_force_only(tmp_path: Path) -> None:
    """Refused after as long as the kernel may have something to tell; forced at once, and said."""
    async with asking(tmp_path, Far(12), here=200) as standby:
        with pytest.raises(UnavailableError, match="lb2 knows 12 of 200 established connections: wait"):
            await standby.permit(force=False)
        assert await standby.permit(force=True) == "lb2 knows 12 of 200 established connections"


async def test_without_a_channel_it_is_said_that_it_is_unknown(tmp_path: Path) -> None:
    """Nobody can be asked, so nothing is refused. Without sync there is nothing to know."""

    async def count() -> int | None:
        return 200

    director = Director(PLAIN, Memory(tmp_path), look=look)
    synced = replace(PLAIN, sync=SyncConfig("back"))
    standby = Standby(lambda: synced, count, Peers(director))
    assert "unknown without [peer]" in await standby.permit(force=False)
    assert await standby.view() == SyncView(200)
    unsynced = Standby(lambda: PLAIN, count, Peers(director))
    assert (await unsynced.permit(force=False), await unsynced.view()) == ("", None)
