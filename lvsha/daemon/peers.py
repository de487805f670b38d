"""The other directors, as this one stands with them.

Keeps the channel that the configuration asks for, tells it what this node runs, and shows how it
is. A reload that changes who the peers are, or the key, begins a new channel; any other tells
them of the new configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lvsha import __version__
from lvsha.api.views import PeerView
from lvsha.config import PeerConfig
from lvsha.daemon.director import Director
from lvsha.daemon.fingerprint import fingerprint
from lvsha.model import Collision
from lvsha.peer.channel import Channel
from lvsha.peer.link import Collided, Count, Peer, uncounted
from lvsha.peer.messages import About


class Peers:
    """The channel to the other directors; none where the configuration has no `[peer]`."""

    def __init__(self, director: Director, count: Count = uncounted, collided: Collided = frozenset) -> None:
        self._director = director
        self._count = count
        self._collided = collided
        self._about = self._describe()
        self._wanted = self._want()
        self._channel = self._open()
        self._replaced = asyncio.Event()
        """Another channel stands in the place of the one that is run."""

    async def run(self) -> None:
        """Keep the channel, for ever."""
        while True:
            replaced = asyncio.ensure_future(self._replaced.wait())
            tasks: list[asyncio.Task[Any]] = [replaced]
            if self._channel is not None:
                tasks.append(asyncio.create_task(self._channel.run(), name="channel"))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(tasks)
            for task in done:
                task.result()
            self._replaced.clear()

    async def heard(self) -> None:
        """Return once every peer has said all that it knows."""
        if self._channel is not None:
            await self._channel.complete()

    def ask_census(self) -> None:
        """Ask the peers how many connections they know; see `connections`."""
        if self._channel is not None:
            self._channel.ask_census()

    async def census(self, within: float) -> Mapping[str, int | None]:
        """How many connections each peer knows now; None: it does not say so within so many seconds."""
        self.ask_census()
        peers = dict(self._peers)
        connected = [peer for peer in peers.values() if peer.link is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                for peer in connected:
                    await peer.answered.wait()
        return {
            name: peer.connections if peer.link is not None and peer.answered.is_set() else None
            for name, peer in sorted(peers.items())
        }

    @property
    def connections(self) -> int | None:
        """The most connections that a connected peer has said it knows; None: none has said so."""
        known = [peer.connections for peer in self._peers.values() if peer.link is not None]
        return max((count for count in known if count is not None), default=None)

    def tell(self) -> None:
        """Tell the peers what collisions of ports there are now."""
        if self._channel is not None:
            self._channel.tell()

    @property
    def collisions(self) -> frozenset[Collision] | None:
        """Those that connected peers have; None: none is connected."""
        known = [peer.collisions for peer in self._peers.values() if peer.link is not None]
        return frozenset().union(*known) if known else None

    async def reconfigure(self) -> None:
        """Follow the director's new configuration."""
        self._about = await asyncio.to_thread(self._describe)
        wanted = self._want()
        if wanted != self._wanted:
            self._wanted = wanted
            self._channel = self._open()
            self._replaced.set()
        elif self._channel is not None:
            self._channel.about = self._about

    def views(self) -> tuple[PeerView, ...]:
        """The peers, by name."""
        return tuple(self._view(peer) for _, peer in sorted(self._peers.items()))

    def warnings(self) -> Iterator[str]:
        """What an operator should look at."""
        for name, peer in sorted(self._peers.items()):
            if peer.link is None:
                yield f"director {name} ({peer.address}) is not connected: {peer.error}"
            elif self._same(peer) is False:
                yield f"director {name} runs another configuration than this one"
            elif peer.about is not None and peer.about.version != __version__:
                yield f"director {name} runs lvsha {peer.about.version}, and this one {__version__}"

    @property
    def _peers(self) -> Mapping[str, Peer]:
        return self._channel.peers if self._channel is not None else {}

    def _view(self, peer: Peer) -> PeerView:
        return PeerView(
            name=peer.name,
            address=str(peer.address),
            connected=peer.link is not None,
            since=peer.since,
            version=peer.about.version if peer.about is not None else None,
            same_config=self._same(peer),
        )

    def _same(self, peer: Peer) -> bool | None:
        """Whether it runs the same configuration. Two releases may not even see the same file alike."""
        if peer.about is None or peer.about.version != __version__:
            return None
        return peer.about.fingerprint == self._about.fingerprint

    def _describe(self) -> About:
        return About(__version__, self._director.generation, fingerprint(self._director.config))

    def _want(self) -> tuple[str, PeerConfig | None]:
        config = self._director.config
        return config.node.name, config.peer

    def _open(self) -> Channel | None:
        node, config = self._wanted
        if config is None:
            return None
        return Channel(node, config, self._director, self._about, count=self._count, collided=self._collided)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
