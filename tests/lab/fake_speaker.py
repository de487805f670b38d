"""A speaker without sockets or addresses: it hears commands, answers them, and says what a test tells it.

It speaks the real protocol over the real kind of socket, so whatever the director's side does with a
speaker is exercised as it is in life.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from lvsha.speaker.messages import (
    PART,
    Assembly,
    Command,
    Reply,
    Report,
    Status,
    StatusReport,
    cut,
    decode_command,
    encode,
)


class FakeSpeaker:
    """Listens at `speaker.sock` of a runtime directory."""

    def __init__(self, runtime: Path) -> None:
        self.heard: list[Command] = []
        self.refuses: dict[str, str] = {}
        """Kinds of command that are answered with a no, and why."""
        self.ignores: set[str] = set()
        """Kinds of command that are not answered at all."""
        self._path = runtime / "speaker.sock"
        self._news = asyncio.Event()
        self._connection: socket.socket | None = None

    async def command(self, kind: type[Command], count: int = 1) -> Command:
        """The n-th command of a kind: already heard, or waited for."""
        async with asyncio.timeout(10):
            while len(found := [c for c in self.heard if isinstance(c, kind)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    async def say(self, report: Report) -> None:
        """Say something to the director."""
        assert self._connection is not None
        for packet in cut(encode(report)):
            await asyncio.get_running_loop().sock_sendall(self._connection, packet)

    async def run(self) -> None:
        """Serve one director after the other."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.setblocking(False)
            listener.bind(str(self._path))
            listener.listen()
            try:
                while True:
                    connection, _ = await loop.sock_accept(listener)
                    with connection:
                        connection.setblocking(False)
                        self._connection = connection
                        await self._serve(connection)
            finally:
                self._path.unlink()

    async def _serve(self, connection: socket.socket) -> None:
        assembly = Assembly()
        while packet := await asyncio.get_running_loop().sock_recv(connection, PART + 1):
            if (text := assembly.feed(packet)) is not None:
                await self._answer(decode_command(text))

    async def _answer(self, command: Command) -> None:
        self.heard.append(command)
        self._news.set()
        if isinstance(command, Status):
            await self.say(_report(command.id))
        elif command.id and command.kind not in self.ignores:
            why = self.refuses.get(command.kind, "")
            await self.say(Reply(id=command.id, ok=not why, why=why))


def _report(id_: int) -> StatusReport:
    return StatusReport(
        id=id_,
        pid=7,
        started=0.0,
        configured=True,
        gate=True,
        realtime=True,
        locked=True,
        instances=(),
        dropped={},
    )


@contextlib.asynccontextmanager
async def speaking(runtime: Path) -> AsyncIterator[FakeSpeaker]:
    """A fake speaker that serves."""
    speaker = FakeSpeaker(runtime)
    task = asyncio.create_task(speaker.run())
    await asyncio.sleep(0)
    try:
        yield speaker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
