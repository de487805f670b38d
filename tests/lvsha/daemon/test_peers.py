"""Tests of lvsha.daemon.peers: the channel that the configuration asks for, and what is shown of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lvsha import __version__
from lvsha.config import Config, PeerConfig, SpeakerConfig
from lvsha.daemon.director import Director
from lvsha.daemon.memory import Memory
from lvsha.daemon.peers import Peers
from lvsha.peer.messages import About
from tests.lab.peers import ABOUT, Site, address, drain, look
from tests.lab.services import config, server, service


class Node:
    """lb1 as the daemon has it; lb2 is a director and its channel alone."""

    def __init__(self, directory: Path, peer: PeerConfig | None) -> None:
        directory.mkdir(exist_ok=True)
        self.config = replace(config(service(server(1))), peer=peer)
        self.director = Director(self.config, Memory(directory), look=look)
        self.peers = Peers(self.director)

    async def reload(self, new: Config) -> None:
        """As the supervisor does it."""
        await self.director.reconfigure(new)
        await self.peers.reconfigure()


@asynccontextmanager
async def running(site: Site, peer: PeerConfig | None) -> AsyncIterator[Node]:
    """From its start to its end."""
    node = Node(site.directory / "lb1", peer)
    site.directors["lb1"] = node.director
    task = asyncio.create_task(node.peers.run())
    try:
        yield node
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_is_shown_of_a_peer(tmp_path: Path) -> None:
    """Connected, with its release and whether it runs the same; a difference is a warning."""
    async with Site(tmp_path) as site, running(site, site.configs["lb1"]) as lb1:
        (view,) = lb1.peers.views()
        assert (view.name, view.address, view.connected) == ("lb2", str(address(2)), False)
        (warning,) = lb1.peers.warnings()
        assert warning.startswith(f"director lb2 ({address(2)}) is not connected: ")
        same = lb1.peers._about
        async with site.running("lb2", about=same):
            await lb1.peers.heard()
            (view,) = lb1.peers.views()
            assert (view.connected, view.version, view.same_config) == (True, __version__, True)
            assert list(lb1.peers.warnings()) == []


@pytest.mark.parametrize(
    ("about", "same", "warning"),
    [
        (replace(ABOUT, version=__version__), False, "director lb2 runs another configuration than this one"),
        (replace(ABOUT, version="0.0.1"), None, f"director lb2 runs lvsha 0.0.1, and this one {__version__}"),
    ],
)
async def test_a_peer_that_differs(tmp_path: Path, about: About, same: bool | None, warning: str) -> None:
    """Another configuration, or a release that may see the same one otherwise."""
    async with (
        Site(tmp_path) as site,
        running(site, site.configs["lb1"]) as lb1,
        site.running("lb2", about=about),
    ):
        await lb1.peers.heard()
        assert [view.same_config for view in lb1.peers.views()] == [same]
        assert list(lb1.peers.warnings()) == [warning]


async def test_a_reload_is_told_to_the_peer(tmp_path: Path) -> None:
    """The connection stays, and the peer knows what this node runs now."""
    async with Site(tmp_path) as site, running(site, site.configs["lb1"]) as lb1, site.running("lb2"):
        await site.said("peer.connected", peer="lb1")
        await site.channels["lb2"].complete()
        seen = site.channels["lb2"].peers["lb1"]
        before = seen.about
        assert before is not None
        await lb1.reload(replace(lb1.config, speaker=SpeakerConfig(grace=7)))
        lb1.director.override(drain("rs1"))  # comes behind it
        await site.agreed()
        assert seen.about is not None
        assert (seen.about.generation, seen.about.fingerprint == before.fingerprint) == (2, False)
        assert [e["event"] for e in site.events if e["event"] == "peer.lost"] == []


async def test_a_reload_brings_and_takes_the_channel(tmp_path: Path) -> None:
    """No peer, then one, then another key, then none again."""
    async with Site(tmp_path) as site, running(site, None) as lb1, site.running("lb2"):
        assert (lb1.peers.views(), list(lb1.peers.warnings())) == ((), [])
        await lb1.peers.heard()
        await lb1.reload(replace(lb1.config, peer=site.configs["lb1"]))
        await site.said("peer.connected", peer="lb2")
        wrong = replace(site.configs["lb1"], key=b"K" * 32)
        await lb1.reload(replace(lb1.config, peer=wrong))
        await site.said("peer.lost", peer="lb1")
        await site.said("peer.refused", reason="key", source=str(address(2)))
        await lb1.reload(lb1.config)
        assert lb1.peers.views() == ()


async def test_a_fault_of_the_channel_is_one_of_the_daemon(tmp_path: Path) -> None:
    """What must run for ever and ends is not passed over."""
    async with Site(tmp_path) as site:
        node = Node(tmp_path / "lb1", site.configs["lb1"])
        broken = asyncio.get_running_loop().create_future()
        broken.set_exception(LookupError("a fault"))

        async def run() -> None:
            await broken

        assert node.peers._channel is not None
        node.peers._channel.run = run  # type: ignore[method-assign]
        with pytest.raises(LookupError):
            await node.peers.run()
