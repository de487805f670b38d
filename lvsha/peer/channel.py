"""Listens, dials, and keeps one link to each peer.

Of two directors the one whose name comes first dials, and the other listens; so there is one link,
and never two that cross. A node that nobody dials does not listen. The dialer comes from its own
address in `[nodes]`: by that the listener knows who it must be, and closes the door to everybody
else before a word is said. Of those who may have a word, only few at a time may be still unproven;
one too many pushes out the one who has waited longest, so that somebody at a peer's address who
opens connections and says nothing does not keep the peer out.

A new link takes the place of an old one: a peer that was cut off and comes back need not wait until
its old connection is found dead.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address

from lvsha.config import PeerConfig
from lvsha.errors import LvshaError, UnavailableError
from lvsha.log import emit
from lvsha.peer.link import Collided, Count, Director, Link, Pace, Peer, uncounted
from lvsha.peer.messages import About, Reason, RefusedError
from lvsha.peer.protocol import NONCE, Role, Session
from lvsha.peer.refusals import Refusals

UNPROVEN = 8
"""Connections at most that have not proven themselves."""


class Channel:
    """The links of the node of this name."""

    def __init__(
        self,
        node: str,
        config: PeerConfig,
        director: Director,
        about: About,
        pace: Pace = Pace(),
        *,
        count: Count = uncounted,
        collided: Collided = frozenset,
    ) -> None:
        self.peers: Mapping[str, Peer] = {
            name: Peer(name, address, time.time()) for name, address in config.nodes.items()
        }
        self._node = node
        self._config = config
        self._director = director
        self._about = about
        self._count = count
        self._collided = collided
        self._pace = pace
        self._refusals = Refusals()
        self._dice = random.Random()  # noqa: S311 - spreads load, guards nothing
        self._unproven: dict[asyncio.Task[None], Peer] = {}
        """The one that has waited longest first."""

    @property
    def about(self) -> About:
        """What this node runs; peers are told when it changes."""
        return self._about

    @about.setter
    def about(self, about: About) -> None:
        self._about = about
        self.tell()

    def ask_census(self) -> None:
        """Ask every peer how many connections its IPVS knows; the answers are kept in `Peer`."""
        for peer in self.peers.values():
            if peer.link is not None:
                peer.answered.clear()
                peer.link.ask_census()

    async def complete(self) -> None:
        """Return once every peer has said all that it knows."""
        for peer in self.peers.values():
            await peer.complete.wait()

    async def run(self) -> None:
        """Keep the links, for ever."""
        dialled = [peer for peer in self.peers.values() if self._dials(peer)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="peer news")
            group.create_task(self._be_patient(), name="peer patience")
            if len(dialled) < len(self.peers):
                group.create_task(self._listen(group), name="peer listener")
            for peer in dialled:
                group.create_task(self._dial(peer), name=f"peer {peer.name}")

    def _dials(self, peer: Peer) -> bool:
        return self._node < peer.name

    # --- what there is to tell ------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await self._director.overrides_changed()
            self.tell()

    def tell(self) -> None:
        """Something that peers are told has changed."""
        for peer in self.peers.values():
            if peer.link is not None:
                peer.link.tell()

    async def _be_patient(self) -> None:
        """Both directors may just have been started: silence is told after a while."""
        await asyncio.sleep(self._pace.patience)
        for peer in self.peers.values():
            if peer.link is None and not peer.told:
                self._tell_lost(peer)

    # --- those who come -------------------------------------------------------------------------

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        with await self._bind() as listener:
            while True:
                try:
                    connection, (source, *_) = await loop.sock_accept(listener)
                except OSError:  # it was gone again, or there are too many files open
                    await asyncio.sleep(self._pace.least)
                    continue
                self._arrived(connection, source, group)

    async def _bind(self) -> socket.socket:
        """The listening socket; where there can be none it is tried again: the address may come later."""
        address, port, told = str(self._config.listen), self._config.port, ""
        family = socket.AF_INET6 if self._config.listen.version == 6 else socket.AF_INET
        while True:
            try:
                listener = socket.create_server((address, port), family=family, backlog=UNPROVEN)
            except OSError as error:
                if told != (told := _words(error)):
                    emit("peer.unavailable", address=f"{address} port {port}", error=told)
                await asyncio.sleep(self._pace.bind)
                continue
            listener.setblocking(False)
            return listener

    def _arrived(self, connection: socket.socket, source: str, group: asyncio.TaskGroup) -> None:
        address = ip_address(source)
        peers = [p for p in self.peers.values() if p.address == address and not self._dials(p)]
        if not peers:
            connection.close()
            self._refusals.tell(Reason.ADDRESS, source, "no director that dials this one has this address")
            return
        (peer,) = peers
        name = f"peer {peer.name}"
        self._unproven[group.create_task(self._welcome(connection, peer), name=name)] = peer
        if len(self._unproven) > UNPROVEN:
            longest = next(iter(self._unproven))
            source = str(self._unproven.pop(longest).address)
            longest.cancel()
            self._refusals.tell(Reason.CROWD, source, f"{UNPROVEN} others had come after it and said nothing")

    async def _welcome(self, connection: socket.socket, peer: Peer) -> None:
        """One who came, from here on until it has gone."""
        try:
            reader, writer = await _streams(connection)
        except OSError as error:  # it was gone again
            self._failed(peer, _words(error))
        else:
            await self._meet(self._link(Role.LISTENER, peer, reader, writer), peer)
        finally:
            self._prove()

    def _prove(self) -> None:
        """Whoever this task serves is no longer unproven."""
        task = asyncio.current_task()
        if task is not None:
            self._unproven.pop(task, None)

    # --- those to go to -------------------------------------------------------------------------

    async def _dial(self, peer: Peer) -> None:
        clock = asyncio.get_running_loop().time
        pause = self._pace.least
        while True:
            begun = clock()
            await self._call(peer)
            if clock() - begun > self._pace.steady:
                pause = self._pace.least
            # Apart from each other, should many come back at once.
            await asyncio.sleep(pause * self._dice.uniform(0.5, 1))
            pause = min(2 * pause, self._pace.most)

    async def _call(self, peer: Peer) -> None:
        """One attempt, and all that comes of it."""
        host, port, own = str(peer.address), self._config.port, str(self._config.address)
        try:
            async with asyncio.timeout(self._pace.connect):
                reader, writer = await asyncio.open_connection(host, port, local_addr=(own, 0))
        except OSError as error:
            self._failed(peer, _words(error) or f"accepts no connection within {self._pace.connect:g} s")
            return
        await self._meet(self._link(Role.DIALER, peer, reader, writer), peer)

    # --- from the greeting to the end -----------------------------------------------------------

    def _link(
        self, role: Role, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Link:
        nonce = secrets.token_bytes(NONCE)
        session = Session(role, node=self._node, peer=peer.name, key=self._config.key, nonce=nonce)
        return Link(reader, writer, session, self._pace)

    async def _meet(self, link: Link, peer: Peer) -> None:
        try:
            if await self._greet(link, peer):
                self._prove()
                await self._keep(link, peer)
        finally:
            await link.close()

    async def _greet(self, link: Link, peer: Peer) -> bool:
        """Whether both are proven; otherwise it is told why not."""
        try:
            await link.greet()
        except RefusedError as error:
            reason, why = error.reason, str(error)
        except TimeoutError:
            reason, why = Reason.SLOW, f"did not prove itself within {self._pace.greet:g} s"
        except (UnavailableError, OSError) as error:
            reason, why = Reason.CLOSED, f"{_words(error)} before it had proven itself"
        else:
            return True
        self._refusals.tell(reason, str(peer.address), why)
        self._failed(peer, why)
        return False

    async def _keep(self, link: Link, peer: Peer) -> None:
        """The life of a link."""
        before, peer.link = peer.link, link
        if before is not None:
            before.abort()
        peer.about, peer.since, peer.error, peer.told = None, time.time(), "", False
        peer.connections, peer.collisions = None, frozenset()
        emit("peer.connected", peer=peer.name, address=peer.address)
        try:
            await link.converse(self._director, lambda: self._about, peer, self._count, self._collided)
        except RefusedError as error:
            self._refusals.tell(error.reason, str(peer.address), str(error))
            why = str(error)
        except (LvshaError, OSError) as error:
            why = _words(error)
        if peer.link is link:
            peer.link, peer.about, peer.since, peer.error = None, None, time.time(), why
            self._tell_lost(peer)

    def _failed(self, peer: Peer, why: str) -> None:
        """An attempt came to nothing. Somebody else's attempt, maybe: a link that stands is not touched."""
        if peer.link is None:
            peer.error = why

    def _tell_lost(self, peer: Peer) -> None:
        peer.told = True
        emit("peer.lost", peer=peer.name, address=peer.address, error=peer.error)


async def _streams(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        connection.setblocking(False)
        return await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise


def _words(error: Exception) -> str:
    """Without what asyncio adds: who and where is told beside it."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
