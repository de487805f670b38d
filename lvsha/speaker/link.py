"""The director's end of the socket to the speaker.

The speaker outlives a director and a director outlives a speaker, so the link connects again
for as long as it runs. What comes in is iterated; `Connected` and `Disconnected` stand in
the stream, for on every connection the director says again what it wants:

    async for message in link.messages():
        match message:
            case Connected():      await link.ask(Configure(...), within=5)
            case RoleChange():     ...
            case Event():          ...
            case Disconnected():   ...

`run` reads, in a task of its own. Replies go to the one who asked and are not iterated.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from lvsha.errors import InputError, UnavailableError
from lvsha.speaker.messages import (
    PART,
    Assembly,
    Command,
    Event,
    Reply,
    Report,
    RoleChange,
    StatusReport,
    cut,
    decode_report,
    encode,
)

QUEUE = 10_000
"""Reports that wait for the director at most; a director that is behind further is reconnected."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A speaker answers; it knows nothing of this director yet."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The speaker is gone, or was replaced."""

    why: str


Message = Connected | Disconnected | RoleChange | Event


class SpeakerLink:
    """A connection to the speaker that comes back."""

    def __init__(self, path: Path, *, retry: float = 0.1) -> None:
        self._path = path
        self._retry = retry
        self._ids = itertools.count(1)
        self._socket: socket.socket | None = None
        self._sending = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Reply | StatusReport]] = {}
        self._queue: asyncio.Queue[Message] = asyncio.Queue(QUEUE)

    @property
    def connected(self) -> bool:
        """Whether a speaker is at the other end now."""
        return self._socket is not None

    async def run(self) -> None:
        """Keep connected and read, for ever; an eternal task of the director."""
        while True:
            try:
                why = await self._converse()
            except (OSError, InputError, asyncio.QueueFull) as error:
                why = str(error) or type(error).__name__
            if why is not None:
                await self._queue.put(Disconnected(why))
            await asyncio.sleep(self._retry)

    async def messages(self) -> AsyncIterator[Message]:
        """What the speaker says by itself, with Connected and Disconnected between."""
        while True:
            yield await self._queue.get()

    async def send(self, command: Command) -> None:
        """Say something without waiting for the reply. Raises UnavailableError."""
        connection = self._socket
        if connection is None:
            raise UnavailableError(f"no speaker answers at {self._path}")
        loop = asyncio.get_running_loop()
        try:
            async with self._sending:
                for packet in cut(encode(command)):
                    await loop.sock_sendall(connection, packet)
        except OSError as error:
            # Its end will be read as well, behind what it said last.
            if self._socket is connection:
                self._socket = None
            raise UnavailableError(f"the speaker at {self._path} is gone: {error}") from error

    async def ask(self, command: Command, *, within: float) -> Reply | StatusReport:
        """Send and await the answer. Raises UnavailableError when none comes in `within` seconds."""
        command = replace(command, id=next(self._ids))
        answer: asyncio.Future[Reply | StatusReport] = asyncio.get_running_loop().create_future()
        self._waiting[command.id] = answer
        try:
            async with asyncio.timeout(within):
                await self.send(command)
                return await answer
        except TimeoutError as error:
            raise UnavailableError(f"the speaker did not answer `{command.kind}` in {within} s") from error
        finally:
            self._waiting.pop(command.id, None)

    async def _converse(self) -> str | None:
        """One connection from its beginning to its end; why it ended (None: there was none)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(connection, str(self._path))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            self._socket = connection
            try:
                self._queue.put_nowait(Connected())
                await self._read(connection)
            finally:
                self._socket = None
                self._abandon()
        return "the speaker closed the connection"

    async def _read(self, connection: socket.socket) -> None:
        assembly = Assembly()
        while packet := await self._packet(connection):
            text = assembly.feed(packet)
            if text is not None:
                self._deliver(decode_report(text))

    @staticmethod
    async def _packet(connection: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            return await loop.sock_recv(connection, PART + 1)
        except ConnectionResetError:
            # It ended without reading our last word (net/unix/af_unix.c, unix_release_sock). That is told
            # once, and before what it said itself.
            return await loop.sock_recv(connection, PART + 1)

    def _deliver(self, report: Report) -> None:
        if isinstance(report, Reply | StatusReport):
            answer = self._waiting.get(report.id)
            if answer is not None and not answer.done():
                answer.set_result(report)
            return
        self._queue.put_nowait(report)

    def _abandon(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(UnavailableError("the speaker is gone"))
        self._waiting.clear()
