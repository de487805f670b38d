"""One connection to one peer, from the greeting to its end.

Once both are proven each says what it runs and all that operators said to it, and then what
changes. What the peer has is remembered (`_known`), so that only what goes beyond it is sent, and
nothing is sent back to where it came from.

A peer is alive while messages of its own arrive, at least `Pace.alive` apart: bytes that somebody
on the way makes up do not count. Every wait has an end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from lvsha.errors import StateError, UnavailableError
from lvsha.model import Address, Collision
from lvsha.overrides import Overrides
from lvsha.peer.collisions import MOST, pieces
from lvsha.peer.messages import About, Alive, Census, Collisions, Complete, Message, Records, parts
from lvsha.peer.protocol import Session

CHUNK = 64 * 1024
"""Bytes read at a time."""
GOODBYE = 1.0
"""Seconds for the last words to go out."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take, in seconds."""

    connect: float = 3.0
    """Until a peer accepts a connection."""
    greet: float = 5.0
    """From then until both are proven."""
    alive: float = 2.0
    """Without a word of ours, until we say that we are alive."""
    dead: float = 8.0
    """Without a word of the peer's, or of ours getting through, until the connection is given up."""
    least: float = 0.1
    """Before the first new attempt to connect; then twice as long each time ..."""
    most: float = 1.0
    """... up to this. Not more: a director that starts waits only so long for its peer's words."""
    steady: float = 10.0
    """After a connection of this length the next attempt comes soon again."""
    patience: float = 10.0
    """After the start, until it is told that a peer does not answer."""
    bind: float = 5.0
    """Before it is tried again to listen."""
    keep: float = 30.0
    """Before it is tried again to keep what could not be written."""


@dataclass(slots=True, eq=False)
class Peer:
    """Another director, and how it stands with it."""

    name: str
    address: Address
    since: float
    """When it was connected or lost, seconds since the epoch; at the beginning, when that was."""
    link: Link | None = None
    about: About | None = None
    """What it runs, once it is connected and has said so."""
    error: str = "was not heard of yet"
    """Why there is no link."""
    told: bool = False
    """That it does not answer."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    """It has once said all that it knows."""
    connections: int | None = None
    """What it answered last to `Link.ask_census`."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """It has answered since it was asked last."""
    collisions: frozenset[Collision] = frozenset()
    """Those that it has."""


class Director(Protocol):
    """What is shared."""

    @property
    def overrides(self) -> Overrides:
        """All that is known."""

    def merge(self, overrides: Overrides, *, by: str) -> None:
        """Take over what a peer knows. Raises StateError when it cannot be kept."""

    async def overrides_changed(self) -> None:
        """Return at the next change."""


Count = Callable[[], Awaitable[int | None]]
"""How many connections this director's IPVS knows; None: it cannot say."""


async def uncounted() -> int | None:
    """One that cannot say."""
    return None


Collided = Callable[[], frozenset[Collision]]
"""The collisions of ports that this director has."""


class Link:
    """A connection, with the session that is held over it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session, pace: Pace
    ) -> None:
        self._reader, self._writer = reader, writer
        self._session = session
        self._pace = pace
        self._news = asyncio.Event()
        self._known = Overrides()
        """What the peer has."""
        self._unkept = Overrides()
        """What the peer has said and could not be kept here."""
        self._again = 0.0
        """When that is tried again, by the loop's clock."""
        self._early: list[Message] = []
        """What came right behind the proof."""
        self._greeted = False
        """The peer has been told all that was known at the beginning."""
        self._collisions: frozenset[Collision] = frozenset()
        """What the peer has been told of them."""
        self._asks = False
        self._owes = False
        """A question of how many connections there are is to be sent; one is to be answered."""

    async def greet(self) -> None:
        """Prove ourselves and have the peer prove itself.

        Raises RefusedError, OSError or TimeoutError; a peer that is refused has been told why.
        """
        async with asyncio.timeout(self._pace.greet):
            await self._flush()
            while not self._session.open:
                try:
                    self._early += self._session.receive(await self._read())
                finally:
                    await self._flush()

    def tell(self) -> None:
        """Something to be told has changed."""
        self._news.set()

    def ask_census(self) -> None:
        """Ask the peer how many connections its IPVS knows; the answer is kept in `Peer`."""
        self._asks = True
        self._news.set()

    async def converse(
        self,
        director: Director,
        about: Callable[[], About],
        peer: Peer,
        count: Count = uncounted,
        collided: Collided = frozenset,
    ) -> None:
        """Tell and hear until the connection ends.

        Always raises why it ended: UnavailableError, RefusedError or OSError.
        """
        hearing = asyncio.create_task(self._hear(director, peer), name=f"hear {peer.name}")
        telling = self._speak(director, about, peer, count, collided)
        speaking = asyncio.create_task(telling, name=f"tell {peer.name}")
        # No TaskGroup: before Python 3.13 one whose task fails just when it is cancelled itself forgets
        # about the latter, and this would go on for ever.
        try:
            done, _ = await asyncio.wait((hearing, speaking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            speaking.cancel()
            await asyncio.gather(hearing, speaking, return_exceptions=True)
        (hearing if hearing in done else speaking).result()

    async def close(self) -> None:
        """Let the last words go out, for a moment, and close the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(GOODBYE):
                await self._writer.wait_closed()
        self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def _speak(
        self, director: Director, about: Callable[[], About], peer: Peer, count: Count, collided: Collided
    ) -> None:
        said: About | None = None
        while True:
            self._news.clear()
            if said != (said := about()):
                self._session.send(said)
            self._send(director.overrides)
            # Another release may not know what they are, and would hang up.
            if peer.about is not None and peer.about.version == said.version:
                self._send_collisions(collided())
            await self._flush()
            await self._take_census(count)
            try:
                async with asyncio.timeout(self._pace.alive):
                    await self._news.wait()
            except TimeoutError:
                self._session.send(Alive())

    async def _take_census(self, count: Count) -> None:
        if self._asks:
            self._asks = False
            self._session.send(Census())
        if self._owes:
            self._owes = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.alive):
                    if (connections := await count()) is not None:
                        self._session.send(Census(connections))
        await self._flush()

    def _send(self, overrides: Overrides) -> None:
        for part in parts(overrides.beyond(self._known)):
            self._session.send(part)
        # What is forgotten here need not be told again, and so need not be known either.
        self._known = overrides
        if not self._greeted:
            self._session.send(Complete())
            self._greeted = True

    def _send_collisions(self, now: frozenset[Collision]) -> None:
        for gone in pieces(self._collisions - now):
            self._session.send(Collisions(gone=gone))
        for made in pieces(now - self._collisions):
            self._session.send(Collisions(made=made))
        self._collisions = now

    async def _hear(self, director: Director, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        messages, self._early = self._early, []
        try:
            async with asyncio.timeout(self._pace.dead) as limit:
                while True:
                    for message in messages:
                        self._heard(message, director, peer)
                    if messages:
                        limit.reschedule(loop.time() + self._pace.dead)
                    if self._unkept.records and loop.time() > self._again:
                        self._keep(director, peer)
                    messages = self._session.receive(await self._read())
        except TimeoutError as error:
            if limit.expired():
                raise UnavailableError(f"said nothing for {self._pace.dead:g} s") from error
            raise

    def _heard(self, message: Message, director: Director, peer: Peer) -> None:
        match message:
            case Records(overrides):
                self._known = self._known.merge(overrides)
                self._unkept = self._unkept.merge(overrides)
                self._keep(director, peer)
            case About():
                peer.about = message
                self._news.set()
            case Census(None):
                self._owes = True
                self._news.set()
            case Census(connections):
                peer.connections = connections
                peer.answered.set()
            case Collisions(made, gone):
                left = peer.collisions - gone
                peer.collisions = left | made if len(left) < MOST else left
            case Complete():
                peer.complete.set()
            case Alive():
                pass

    def _keep(self, director: Director, peer: Peer) -> None:
        """On a full disk the link stays, and it is tried again: the peer is not to blame."""
        try:
            director.merge(self._unkept, by=peer.name)
        except StateError:  # told by who could not write
            self._again = asyncio.get_running_loop().time() + self._pace.keep
        else:
            self._unkept = Overrides()

    async def _read(self) -> bytes:
        if data := await self._reader.read(CHUNK):
            return data
        raise UnavailableError("closed the connection")

    async def _flush(self) -> None:
        if data := self._session.outgoing():
            self._writer.write(data)
            try:
                async with asyncio.timeout(self._pace.dead) as limit:
                    await self._writer.drain()
            except TimeoutError as error:
                if limit.expired():
                    raise UnavailableError(f"took nothing for {self._pace.dead:g} s") from error
                raise
