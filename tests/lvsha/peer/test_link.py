"""Tests of lvsha.peer.link: one connection, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lvsha.daemon.director import Director
from lvsha.errors import UnavailableError
from lvsha.overrides import Kind, Override, Overrides, Record, Selector, Stamp
from lvsha.peer.link import Link, Peer
from lvsha.peer.messages import Alive, Census, Collisions, Complete, Message, Reason, Records, RefusedError
from lvsha.peer.protocol import NONCE, Role, Session
from tests.lab.collisions import FOUR, SIX
from tests.lab.peers import ABOUT, KEY, QUICK, Site, address, drain


class Far:
    """The other end, which a test plays: lb1, who dialled."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.session = Session(Role.DIALER, node="lb1", peer="lb2", key=KEY, nonce=b"n" * NONCE)

    async def hear(self) -> list[Message]:
        """What has come since."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            return self.session.receive(await loop.sock_recv(self.connection, 65536))

    async def send(self) -> None:
        """Send what is to be sent."""
        await asyncio.get_running_loop().sock_sendall(self.connection, self.session.outgoing())

    async def greet(self) -> None:
        """Prove ourselves."""
        while not self.session.open:
            await self.hear()
            await self.send()


@asynccontextmanager
async def linked(**pace: float) -> AsyncIterator[tuple[Link, Far]]:
    """A link, and the other end."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    reader, writer = await asyncio.open_connection(sock=near)
    session = Session(Role.LISTENER, node="lb2", peer="lb1", key=KEY, nonce=b"N" * NONCE)
    link = Link(reader, writer, session, replace(QUICK, **pace))
    with far:
        try:
            yield link, Far(far)
        finally:
            await link.close()


def peer() -> Peer:
    """Lb1, as lb2 sees it."""
    return Peer("lb1", address(1), time.time())


def converse(link: Link, director: Director, whom: Peer | None = None) -> asyncio.Task[None]:
    """Go on after the greeting."""
    return asyncio.create_task(link.converse(director, lambda: ABOUT, whom or peer()))


@pytest.fixture
def director(tmp_path: Path) -> Director:
    """One who was told to drain rs1."""
    lb2 = Site(tmp_path).director("lb2")
    lb2.override(drain("rs1"))
    return lb2


async def test_from_the_greeting_to_the_end(director: Director) -> None:
    """What is run and known comes first, then that it was all, then news, then signs of life."""
    async with linked() as (link, far):
        await asyncio.gather(link.greet(), far.greet())
        whom = peer()
        task = converse(link, director, whom)
        heard: list[Message] = []
        while Complete() not in heard:
            heard += await far.hear()
        assert heard == [ABOUT, Records(director.overrides), Complete()]
        far.session.send(ABOUT)
        far.session.send(Complete())
        await far.send()
        await whom.complete.wait()
        assert whom.about == ABOUT
        director.override(drain("rs2"))
        link.tell()
        news = await far.hear()
        assert [
            r.override.selector.server for m in news if isinstance(m, Records) for r in m.overrides.records
        ] == ["rs2"]
        assert await far.hear() == [Alive()]
        far.connection.close()
        with pytest.raises((UnavailableError, OSError)):
            await task


async def test_words_right_behind_the_proof(director: Director) -> None:
    """A dialer need not wait: what comes in one piece with its proof is heard."""
    async with linked() as (link, far):
        greeting = asyncio.create_task(link.greet())
        await far.hear()
        proof = far.session.outgoing()
        # The dialer's first messages, made with the keys of the listener's greeting alone.
        far.session._begin()
        far.session.send(Records(Overrides().put(drain("rs2"), node="lb1")))
        await asyncio.get_running_loop().sock_sendall(far.connection, proof + far.session.outgoing())
        await greeting
        task = converse(link, director)
        await director.overrides_changed()
        assert {o.selector.server for o in director.overrides.entries} == {"rs1", "rs2"}
        task.cancel()


async def test_a_census_is_taken_and_given(director: Director) -> None:
    """A question is answered by what is counted now, an answer is kept; who cannot count is silent."""
    counts = iter((7, None, 9))

    async def count() -> int | None:
        return next(counts)

    async with linked() as (link, far):
        await asyncio.gather(link.greet(), far.greet())
        whom = peer()
        task = asyncio.create_task(link.converse(director, lambda: ABOUT, whom, count))

        async def answer() -> list[Message]:
            far.session.send(Census())
            await far.send()
            heard: list[Message] = []
            while not [m for m in heard if isinstance(m, Alive | Census)]:
                heard += await far.hear()
            return heard

        assert Census(7) in await answer()
        assert Alive() in await answer()
        assert Census(9) in await answer()
        link.ask_census()
        while Census() not in await far.hear():
            pass
        far.session.send(Census(5000))
        await far.send()
        async with asyncio.timeout(5):
            while whom.connections is None:
                await far.hear()
        assert whom.connections == 5000
        task.cancel()


async def test_collisions_are_told_as_they_come_and_go(director: Director) -> None:
    """All at the beginning, then what changed; what the peer says is kept."""
    known = {FOUR, SIX}
    async with linked() as (link, far):
        await asyncio.gather(link.greet(), far.greet())
        whom = peer()
        talk = link.converse(director, lambda: ABOUT, whom, collided=lambda: frozenset(known))
        task = asyncio.create_task(talk)

        async def heard() -> Message:
            while True:
                for message in await far.hear():
                    if isinstance(message, Collisions):
                        return message

        far.session.send(ABOUT)
        await far.send()
        assert await heard() == Collisions(made=frozenset(known))
        known.remove(SIX)
        link.tell()
        assert await heard() == Collisions(gone=frozenset({SIX}))
        for step in (
            Collisions(made=frozenset({FOUR, SIX})),
            Collisions(gone=frozenset({FOUR})),
            Census(),
        ):
            far.session.send(step)
        await far.send()
        async with asyncio.timeout(5):
            while whom.collisions != {SIX}:
                await far.hear()
        task.cancel()


async def test_another_release_is_told_of_no_collisions(director: Director) -> None:
    """It might not know what they are."""
    async with linked() as (link, far):
        await asyncio.gather(link.greet(), far.greet())
        whom = peer()
        talk = link.converse(director, lambda: ABOUT, whom, collided=lambda: frozenset({FOUR}))
        task = asyncio.create_task(talk)
        far.session.send(replace(ABOUT, version="0.0.9"))
        await far.send()
        heard: list[Message] = []
        while heard.count(Alive()) < 2:
            heard += await far.hear()
        assert whom.about is not None
        assert not [message for message in heard if isinstance(message, Collisions)]
        task.cancel()


async def test_a_greeting_takes_no_longer_than_it_may() -> None:
    """However slowly the other end speaks, letter by letter."""
    async with linked(greet=0.2) as (link, far):

        async def dawdle() -> None:
            for letter in b"\0\0\1\0" + b" " * 200:
                await asyncio.get_running_loop().sock_sendall(far.connection, bytes([letter]))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(dawdle())
        with pytest.raises(TimeoutError):
            await link.greet()
        task.cancel()


async def test_who_is_refused_is_told_why() -> None:
    """The reason arrives before the connection is closed."""
    async with linked() as (link, far):
        far.session = Session(Role.DIALER, node="lb1", peer="lb2", key=b"K" * 32, nonce=b"n" * NONCE)
        greeting = asyncio.create_task(link.greet())
        await far.hear()
        await far.send()
        with pytest.raises(RefusedError) as caught:
            await greeting
        assert caught.value.reason is Reason.KEY
        await link.close()
        with pytest.raises(RefusedError, match="refuses this node"):
            await far.hear()


async def test_a_peer_that_takes_nothing(director: Director) -> None:
    """One that does not read is given up, and costs no more memory than what was under way."""
    records = (Record(Override(Selector(server=f"rs{n}"), Kind.DRAIN), Stamp(n)) for n in range(3000))
    director.merge(Overrides(tuple(records)), by="test")
    async with linked() as (link, far):
        await asyncio.gather(link.greet(), far.greet())
        task = converse(link, director)

        async def live() -> None:
            while True:
                far.session.send(Alive())
                await far.send()
                await asyncio.sleep(QUICK.alive)

        living = asyncio.create_task(live())
        with pytest.raises(UnavailableError, match=r"took nothing for 0\.6 s"):
            await task
        living.cancel()


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_just_when_the_peer_leaves(director: Director, turns: int) -> None:
    """Whichever comes first, a link that is cancelled ends."""
    async with linked() as (link, far):
        await asyncio.gather(link.greet(), far.greet())
        task = converse(link, director)
        while Complete() not in await far.hear():
            continue
        far.connection.shutdown(socket.SHUT_RDWR)
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        assert task.done()
