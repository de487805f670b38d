"""Two directors that talk to each other on loopback, and somebody between them.

    async with Site(tmp_path) as site:
        async with site.running("lb1"), site.running("lb2"):
            await site.said("peer.connected", peer="lb2")

`Site` holds real directors with a state directory each, and their real channels; the addresses are
of the process's own part of 127.0.0.0/8, so runs beside each other do not meet. With `between`, lb1
reaches lb2 through a `Proxy` that records, stalls or alters what goes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lvsha.config import PeerConfig
from lvsha.daemon.director import Director
from lvsha.daemon.memory import Memory
from lvsha.log import listening
from lvsha.model import ServiceKey
from lvsha.overrides import Kind, Override, Overrides, Selector
from lvsha.peer.channel import Channel
from lvsha.peer.link import Count, Pace, uncounted
from lvsha.peer.messages import About
from tests.lab.services import config, server, service

PORT = 8850
KEY = b"k" * 32
ABOUT = About("0.1.0", 1, "ab" * 32)
QUICK = Pace(
    connect=2,
    greet=0.5,
    alive=0.1,
    dead=0.6,
    least=0.02,
    most=0.1,
    steady=1,
    patience=30,
    bind=0.05,
    keep=0.1,
)
"""Hundredths instead of seconds."""
WITHIN = 10.0


def address(number: int) -> IPv4Address:
    """An address of this process's own on loopback; lb1 has number 1, lb2 2, who stands between them 3."""
    return IPv4Address((127 << 24) + (1 << 23) + (os.getpid() % (1 << 15) << 8) + number)


class Site:
    """Two directors and what is said of them."""

    def __init__(self, directory: Path, *, between: bool = False, pace: Pace = QUICK) -> None:
        self.events: list[dict[str, Any]] = []
        self.directory = directory
        self.directors: dict[str, Director] = {}
        self.channels: dict[str, Channel] = {}
        self.counts: dict[str, Count] = {}
        """How they count their connections; who is not here cannot say."""
        self.pace = pace
        far = {"lb2": address(3 if between else 2)}
        self.configs = {
            "lb1": PeerConfig(KEY, address(1), address(1), far, PORT),
            "lb2": PeerConfig(KEY, address(2), address(2), {"lb1": address(1)}, PORT),
        }
        self._news = asyncio.Event()
        self._stack = contextlib.ExitStack()

    def director(self, name: str) -> Director:
        """The director of that name, with what its state directory holds."""
        home = self.directory / name
        home.mkdir(exist_ok=True)
        node = config(service(server(1), server(2)))
        return Director(node, Memory(home), look=look)

    @asynccontextmanager
    async def running(self, name: str, *, about: About = ABOUT) -> AsyncIterator[Director]:
        """The director and its channel from a start to an end."""
        self.directors[name] = self.director(name)
        count = self.counts.get(name, uncounted)
        channel = Channel(name, self.configs[name], self.directors[name], about, self.pace, count=count)
        self.channels[name] = channel
        task = asyncio.create_task(channel.run())
        try:
            yield self.directors[name]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def said(self, name: str, *, since: int = 0, **fields: Any) -> dict[str, Any]:
        """An event with these fields: already said, or waited for."""
        wanted = {"event": name, **fields}
        found = await self.until(
            lambda: next((e for e in self.events[since:] if wanted.items() <= e.items()), None)
        )
        assert isinstance(found, dict)
        return found

    async def agreed(self) -> Overrides:
        """What both know, once it is the same."""
        one, other = self.directors["lb1"], self.directors["lb2"]
        await self.until(lambda: one.overrides == other.overrides)
        return one.overrides

    async def until(self, condition: Callable[[], object]) -> object:
        """The condition's value once it is true; looked at whenever an event is said or overrides change."""
        async with asyncio.timeout(WITHIN):
            while not (value := condition()):
                await self._changed()
            return value

    async def _changed(self) -> None:
        waits = [self._news.wait(), *(d.overrides_changed() for d in self.directors.values())]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _heard(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._news.set()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._stack.enter_context(listening(self._heard))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def look(keys: Iterable[ServiceKey] | None = None) -> None:
    """There is no kernel here to look at."""


class Proxy:
    """Stands at lb2's address for lb1, and at lb1's for lb2."""

    def __init__(self) -> None:
        self.recorded: list[tuple[bytes, bytes]] = []
        """Of each connection: what lb1 said, and what lb2 said."""
        self.alter: Callable[[bytes, bool], bytes] | None = None
        """What becomes of a piece; the second argument is true where lb1 said it."""
        self.open = asyncio.Event()
        self.open.set()
        self._writers: list[asyncio.StreamWriter] = []

    def stall(self) -> None:
        """Let nothing through, and keep every connection."""
        self.open.clear()

    def cut(self) -> None:
        """Close every connection, and accept none until `open` is set."""
        self.open.clear()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open.is_set():
            writer.transport.abort()
            return
        own = (str(address(1)), 0)
        try:
            there, back = await asyncio.open_connection(str(address(2)), PORT, local_addr=own)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, back]
        number = len(self.recorded)
        self.recorded.append((b"", b""))
        await asyncio.gather(
            self._carry(reader, back, number, up=True), self._carry(there, writer, number, up=False)
        )

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, *, up: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                mine, theirs = self.recorded[number]
                self.recorded[number] = (mine + data, theirs) if up else (mine, theirs + data)
                await self.open.wait()
                writer.write(self.alter(data, up) if self.alter else data)
                await writer.drain()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """From its start to its end."""
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(self._through(reader, writer)))

        server = await asyncio.start_server(accept, str(address(3)), PORT)
        try:
            yield self
        finally:
            server.close()
            self.cut()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Client:
    """A plain connection from any address to lb2's port: what strangers use."""

    def __init__(self, number: int = 1, to: int = 2) -> None:
        self._from, self._to = address(number), address(to)

    async def __aenter__(self) -> Self:
        own = (str(self._from), 0)
        async with asyncio.timeout(WITHIN):
            while True:
                try:
                    self.reader, self.writer = await asyncio.open_connection(
                        str(self._to), PORT, local_addr=own
                    )
                except ConnectionRefusedError:  # it does not listen yet
                    await asyncio.sleep(0.01)
                else:
                    return self

    def send(self, data: bytes) -> None:
        """Say something."""
        self.writer.write(data)

    async def rest(self) -> bytes:
        """Everything that comes until the connection is closed over there."""
        data = b""
        async with asyncio.timeout(WITHIN):
            with contextlib.suppress(ConnectionResetError):
                while more := await self.reader.read(65536):
                    data += more
        return data

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()


def drain(name: str, since: float = 1000.0, until: float | None = None) -> Override:
    """An operator drains a server."""
    return Override(Selector(server=name), Kind.DRAIN, None, "kernel update", "root", since, until)
