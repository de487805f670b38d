"""Who asks, by the kernel's word."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

import lvsha.api.peer
from lvsha.api.listen import serve, serve_tcp
from lvsha.api.peer import asker

CLIENT = """
import os, socket, sys
if sys.argv[2] != "0":
    os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(os.getpid(), s.makefile().read().rpartition("\\n")[2])
"""


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A place for a socket in a directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "sock"


def app() -> web.Application:
    """An application that tells who asks."""

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=await asker(request))

    application = web.Application()
    application.router.add_get("/", tell)
    return application


async def told(path: Path, uid: int) -> tuple[str, str]:
    """The process id of a client of that user, and what it was told it is."""
    command = [sys.executable, "-c", CLIENT, str(path), str(uid)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True, timeout=30
    )
    pid, _, answer = done.stdout.strip().partition(" ")
    return pid, answer


async def test_user_and_process(tmp_path: Path) -> None:
    """The user's name and the process are told."""
    async with serve(app(), tmp_path / "sock"):
        pid, answer = await told(tmp_path / "sock", os.geteuid())
        assert answer == f"{pwd.getpwuid(os.geteuid()).pw_name}, process {pid}"


async def test_user_without_a_name(open_path: Path) -> None:
    """A user whom the database does not know is told by number."""
    async with serve(app(), open_path):
        os.chmod(open_path, 0o666)  # noqa: PTH101, S103 -- a socket, to be opened to all
        pid, answer = await told(open_path, 54321)
        assert answer == f"uid 54321, process {pid}"


async def test_slow_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user database that does not answer holds nobody up."""
    monkeypatch.setattr(lvsha.api.peer, "PATIENCE", 0.01)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: time.sleep(0.3))
    async with serve(app(), tmp_path / "sock"):
        pid, answer = await told(tmp_path / "sock", os.geteuid())
        assert answer == f"uid {os.geteuid()}, process {pid}"


async def test_over_tcp(unused_tcp_port: int) -> None:
    """Over TCP nobody vouches for anybody."""
    async with serve_tcp(app(), "127.0.0.1", unused_tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\nunknown")
        writer.close()
        await writer.wait_closed()
