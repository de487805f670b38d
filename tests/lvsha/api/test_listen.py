"""Sockets: their rights, their remains, and those who connect too often."""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

import lvsha.api.listen
from lvsha.api.app import build, build_metrics
from lvsha.api.listen import serve, serve_tcp
from lvsha.errors import UnavailableError
from tests.lab.control import Director


def app() -> aiohttp.web.Application:
    """A control API."""
    return build(Director())


async def status(path: Path) -> int:
    """What GET /v1/status answers on a socket."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://lvsha/v1/status") as response,
    ):
        return response.status


def leave_stale(path: Path) -> None:
    """A socket file as a process leaves it that was killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


async def test_rights(tmp_path: Path) -> None:
    """The socket belongs to the group, others have no right to it, and it goes when serving ends."""
    path = tmp_path / "sock"
    group = grp.getgrall()[-1]
    async with serve(app(), path, group.gr_name):
        there = path.stat()
        assert stat.S_IMODE(there.st_mode) == 0o660
        assert there.st_gid == group.gr_gid
        assert await status(path) == 200
    assert not path.exists()


async def test_born_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the group is set, nobody else may connect, whatever the umask."""
    seen: list[int] = []
    chown = os.chown

    def noting(path: Path, uid: int, gid: int) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        chown(path, uid, gid)

    monkeypatch.setattr(os, "chown", noting)
    before = os.umask(0)
    try:
        async with serve(app(), tmp_path / "sock", "root"):
            pass
    finally:
        os.umask(before)
    assert seen == [0o600]


async def test_stale_socket(tmp_path: Path) -> None:
    """What a killed process left is replaced."""
    path = tmp_path / "sock"
    leave_stale(path)
    async with serve(app(), path):
        assert await status(path) == 200


async def test_live_socket(tmp_path: Path) -> None:
    """A socket that is served is left alone."""
    path = tmp_path / "sock"
    async with serve(app(), path):
        with pytest.raises(UnavailableError, match="is lvshad running already"):
            async with serve(app(), path):
                pass
        assert await status(path) == 200


async def test_no_socket(tmp_path: Path) -> None:
    """Anything else in that place is left alone."""
    path = tmp_path / "sock"
    path.write_text("precious")
    with pytest.raises(UnavailableError, match="no socket"):
        async with serve(app(), path):
            pass
    assert path.read_text() == "precious"


async def test_successor(tmp_path: Path) -> None:
    """On the way out a socket that a successor put there meanwhile stays."""
    path = tmp_path / "sock"
    async with serve(app(), path):
        path.unlink()
        leave_stale(path)
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "group", "why"),
    [
        ("no/sock", None, "No such file"),
        ("x" * 120, None, "too long"),
        ("sock", "no-such-group", "no group 'no-such-group'"),
    ],
)
async def test_cannot_listen(tmp_path: Path, name: str, group: str | None, why: str) -> None:
    """What hinders is told with the path."""
    with pytest.raises(UnavailableError, match=why):
        async with serve(app(), tmp_path / name, group):
            pass


async def test_too_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that leaks connections is refused more, and served again when it has closed some."""
    monkeypatch.setattr(lvsha.api.listen, "CONNECTIONS", 4)
    path = tmp_path / "sock"
    async with serve(app(), path), asyncio.timeout(10):
        leaked = [await asyncio.open_unix_connection(path) for _ in range(4)]
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()
        for _, other in leaked:
            other.close()
            await other.wait_closed()
        # The server's side of a connection ends when the loop has read its end.
        for _ in range(3):
            await asyncio.sleep(0)
        assert await status(path) == 200


async def test_tcp(unused_tcp_port: int) -> None:
    """The metrics are served over TCP."""
    async with (
        serve_tcp(build_metrics(Director()), "127.0.0.1", unused_tcp_port),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{unused_tcp_port}/metrics") as response,
    ):
        assert response.status == 200


async def test_tcp_connections_end(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TCP connection that asks nothing is closed after its life."""
    monkeypatch.setattr(lvsha.api.listen, "LIFE", 0.05)
    async with serve_tcp(build_metrics(Director()), "::1", unused_tcp_port), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("::1", unused_tcp_port)
        assert await reader.read() == b""
        writer.close()


async def test_tcp_port_taken(unused_tcp_port: int) -> None:
    """A port that is taken is told."""
    async with serve_tcp(build_metrics(Director()), "127.0.0.1", unused_tcp_port):
        with pytest.raises(
            UnavailableError, match=f"127.0.0.1 port {unused_tcp_port}: Address already in use"
        ):
            async with serve_tcp(build_metrics(Director()), "127.0.0.1", unused_tcp_port):
                pass


async def test_stop_ends_streams(tmp_path: Path) -> None:
    """Streams of events, which have no end of their own, do not delay a stop."""
    path = tmp_path / "sock"
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        async with serve(app(), path):
            response = await session.get("http://lvsha/v1/events?follow=true")
            assert response.status == 200
            begin = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begin < 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
        response.close()
