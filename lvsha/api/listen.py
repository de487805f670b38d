"""Where the API listens: a Unix socket for control, and if wished a TCP port for metrics.

The socket file is born with its final rights (fchmod before bind), so that there is no moment in
which others may connect. A file that a dead process left is replaced; one that is still served is
not, nor is anything that is not a socket. On the way out only our own file is removed: a successor may
already have put its own there.

Connections are counted and those too many are closed at once, so that a client which leaks them cannot
take the descriptors that the checks need. Over TCP none lives longer than a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from lvsha.api.streams import close_streams
from lvsha.errors import UnavailableError
from lvsha.log import emit

CONNECTIONS = 128
LIFE = 60.0
"""Seconds that a TCP connection may live."""
GRACE = 2.0
"""Seconds that requests have to end when the daemon stops."""


def _not_the_clients_fault(record: logging.LogRecord) -> bool:
    """Each malformed request is told by aiohttp with a traceback: anybody could fill the log with that."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_logger = logging.getLogger("aiohttp.server")
_logger.addFilter(_not_the_clients_fault)


@contextlib.asynccontextmanager
async def serve(app: web.Application, path: Path, group: str | None = None) -> AsyncIterator[None]:
    """Serve on a Unix socket, mode 0660, owned by `group`. Raises UnavailableError."""
    with _unix_socket(path, group) as sock:
        async with _served(app, sock, life=None):
            emit("api.listening", address=path)
            yield


@contextlib.asynccontextmanager
async def serve_tcp(app: web.Application, address: str, port: int) -> AsyncIterator[None]:
    """Serve on a TCP port: only for what anybody may read. Raises UnavailableError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.create_server((address, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        raise UnavailableError(f"cannot listen on {address} port {port}: {error.strerror}") from error
    with contextlib.closing(sock):
        async with _served(app, sock, life=LIFE):
            emit("api.listening", address=f"{address} port {port}")
            yield


@contextlib.asynccontextmanager
async def _served(app: web.Application, sock: socket.socket, life: float | None) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, logger=_logger, shutdown_timeout=GRACE, keepalive_timeout=30)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 -- set by setup()
    loop = asyncio.get_running_loop()
    create = loop.create_unix_server if sock.family is socket.AF_UNIX else loop.create_server
    server = await create(_Factory(runner.server, life), sock=sock)
    try:
        yield
    finally:
        server.close()
        close_streams(app)
        await runner.cleanup()


class _Factory:
    """Makes a protocol for each connection, while there are not too many."""

    def __init__(self, server: web.Server, life: float | None) -> None:
        self._server = server
        self._life = life

    def __call__(self) -> asyncio.BaseProtocol:
        if len(self._server.connections) >= CONNECTIONS:
            return _Refused()
        protocol = self._server()
        if self._life is not None:
            asyncio.get_running_loop().call_later(self._life, protocol.force_close)
        return protocol


class _Refused(asyncio.Protocol):
    """Closes the connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """One too many."""
        transport.close()


@contextlib.contextmanager
def _unix_socket(path: Path, group: str | None) -> Iterator[socket.socket]:
    _make_room(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.closing(sock):
        try:
            # Linux gives the file the socket's own mode: unix_bind() in net/unix/af_unix.c.
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(os.fspath(path))
            if group is not None:
                os.chown(path, -1, _group(group))
            path.chmod(0o660)
            sock.listen(CONNECTIONS)
            sock.setblocking(False)
        except OSError as error:
            raise UnavailableError(f"cannot listen on {path}: {error.strerror or error}") from error
        ours = path.lstat().st_ino
        try:
            yield sock
        finally:
            _remove(path, lambda there: there.st_ino == ours)


def _make_room(path: Path) -> None:
    """Remove a socket that nobody serves; raises UnavailableError for anything else at that place."""
    try:
        there = path.lstat()
    except OSError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise UnavailableError(f"cannot listen on {path}: something that is no socket is there; remove it")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            _remove(path, lambda now: now.st_ino == there.st_ino)
            return
        except BlockingIOError:
            # Its queue is full, so somebody does listen.
            pass
        except OSError as error:
            raise UnavailableError(f"cannot listen on {path}: {error.strerror or error}") from error
    raise UnavailableError(f"cannot listen on {path}: another process serves it; is lvshad running already?")


def _remove(path: Path, condition: Callable[[os.stat_result], bool]) -> None:
    with contextlib.suppress(OSError):
        if condition(path.lstat()):
            path.unlink()


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UnavailableError(f"there is no group {name!r}: create it or change [api] group") from None
