"""The speaker's end and the director's end of one socket, without a speaker behind it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lvsha.errors import InputError
from lvsha.speaker.messages import PART, Beat, Command, Configure, Event, Reply, cut, encode
from lvsha.speaker.port import BACKLOG, Port
from tests.lab.speaker import instance


class Ear:
    """Hears what a port hears, and replies to nothing."""

    def __init__(self) -> None:
        self.directors = 0
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self.errors: asyncio.Queue[InputError] = asyncio.Queue()
        self.came = asyncio.Event()
        self.gone = asyncio.Event()

    def connected(self) -> None:
        """As `port.Listener`."""
        self.directors += 1
        self.came.set()

    def disconnected(self) -> None:
        """As `port.Listener`."""
        self.gone.set()

    def command(self, command: Command) -> None:
        """As `port.Listener`."""
        self.commands.put_nowait(command)

    def misunderstood(self, error: InputError) -> None:
        """As `port.Listener`."""
        self.errors.put_nowait(error)


@pytest.fixture
async def ear() -> Ear:
    """Who listens."""
    return Ear()


@pytest.fixture
async def port(tmp_path: Path, ear: Ear) -> AsyncIterator[Port]:
    """A port that is open."""
    made = Port(tmp_path / "speaker.sock", ear)
    made.open()
    yield made
    made.close()


@contextlib.asynccontextmanager
async def dialled(path: Path) -> AsyncIterator[socket.socket]:
    """A connection to the port."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(path / "speaker.sock"))
        yield sock


async def receive(sock: socket.socket) -> bytes:
    """The next packet, empty at the end."""
    async with asyncio.timeout(2):
        return await asyncio.get_running_loop().sock_recv(sock, PART + 1)


async def test_the_socket_is_private(port: Port, tmp_path: Path) -> None:
    """Nobody but its owner may connect, from the first moment."""
    assert stat.S_IMODE((tmp_path / "speaker.sock").stat().st_mode) == 0o600


async def test_a_socket_that_was_left_is_replaced(port: Port, tmp_path: Path, ear: Ear) -> None:
    """A path that a killed speaker left behind does not keep the next one from listening."""
    second = Port(tmp_path / "speaker.sock", ear)
    second.open()
    async with dialled(tmp_path) as sock:
        sock.send(encode(Beat(id=3)))
        assert await ear.commands.get() == Beat(id=3)
        assert second.connected
    second.close()


async def test_long_commands_arrive_whole(port: Port, tmp_path: Path, ear: Ear) -> None:
    """A thousand instances in one command, in many packets."""
    specs = tuple(instance(name=f"i{n}", vrid=n % 255 + 1) for n in range(1000))
    command = Configure(node="lb1", instances=specs)
    async with dialled(tmp_path) as sock:
        packets = list(cut(encode(command)))
        assert len(packets) > 3
        for packet in packets:
            await asyncio.get_running_loop().sock_sendall(sock, packet)
        assert await ear.commands.get() == command


async def test_garbage_ends_the_connection(port: Port, tmp_path: Path, ear: Ear) -> None:
    """What is no command is told, and the connection is closed; the next one works."""
    async with dialled(tmp_path) as sock:
        sock.send(b'{"kind":"none"}')
        assert "none of" in str(await ear.errors.get())
        assert await receive(sock) == b""
    async with dialled(tmp_path) as sock:
        sock.send(encode(Beat()))
        assert await ear.commands.get() == Beat()


async def test_a_new_director_takes_the_place_of_the_old(port: Port, tmp_path: Path, ear: Ear) -> None:
    """There is one director at a time: the last one."""
    async with dialled(tmp_path) as old, dialled(tmp_path) as new:
        assert await receive(old) == b""
        new.send(encode(Beat()))
        assert await ear.commands.get() == Beat()
        port.send(Reply(id=1))
        assert b'"id":1' in await receive(new)


async def test_a_stranger_is_turned_away(port: Port, tmp_path: Path, ear: Ear) -> None:
    """Another user gets no word in, even where the file's mode would let it."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    (tmp_path / "speaker.sock").chmod(0o666)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(2)
            sock.connect(str(tmp_path / "speaker.sock"))
            os._exit(0 if sock.recv(10) == b"" else 1)
    status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status[1]) == 0
    assert ear.directors == 0


async def test_a_director_that_does_not_read_is_cut_off(port: Port, tmp_path: Path, ear: Ear) -> None:
    """What waits for it is bounded; the speaker does not wait."""
    async with dialled(tmp_path):
        await ear.came.wait()
        for _ in range(BACKLOG + 2000):
            port.send(Event(event="vip.added", fields={"address": "x" * 200}))
        assert not port.connected
        assert ear.gone.is_set()


async def test_what_waits_is_sent_when_the_director_reads(port: Port, tmp_path: Path, ear: Ear) -> None:
    """A slow director gets everything in order."""
    async with dialled(tmp_path) as sock:
        await ear.came.wait()
        for n in range(2000):
            port.send(Reply(id=n))
        got = [await receive(sock) for _ in range(2000)]
        assert [packet for n, packet in enumerate(got) if f'"id":{n},'.encode() not in packet] == []
