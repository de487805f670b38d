"""One TCP connection of a probe, in clear or under TLS.

It works on the socket itself, not through asyncio's transports: closing is then immediate and
synchronous, so a cancelled probe leaves no transport, no task and no half-closed TLS connection
behind, whichever await it was cut off at. TLS is OpenSSL over two memory buffers, which also lets
a clear connection turn to TLS midway (STARTTLS).

Every read is bounded by its caller; nothing is read ahead but one TLS record.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from types import TracebackType
from typing import Self, TypeVar

from checks.base import endpoint, quote, trying

IP_BIND_ADDRESS_NO_PORT = 24  # include/uapi/linux/in.h
_CHUNK = 16384  # a TLS record's worth
_BURST = 8  # receives without giving way

T = TypeVar("T")


class Stream:
    """A connected socket. Use it in a `with` statement, which closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()
        self._receives = 0
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket at once."""
        self.socket.close()

    async def send(self, data: bytes) -> None:
        """Send everything, or raise OSError."""
        tls = self._tls
        if tls is None:
            await self._loop.sock_sendall(self.socket, data)
        elif data:
            await self._drive(lambda: tls.write(data))

    async def receive(self, most: int) -> bytes:
        """At least one and at most `most` bytes; none at the end of the stream."""
        tls = self._tls
        if tls is None:
            return await self._receive(most)
        try:
            return await self._drive(lambda: tls.read(most))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Many servers end without close_notify; whether something is missing is the
            # business of the protocol above.
            return b""

    async def secure(self, context: ssl.SSLContext, server_name: str) -> None:
        """Turn to TLS; raises SSLCertVerificationError where the context does not trust the peer."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        await self._drive(tls.do_handshake)
        self._tls = tls

    async def _drive(self, step: Callable[[], T]) -> T:
        """Carry one TLS operation to its end, moving bytes between OpenSSL and the socket."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._receive(_CHUNK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                # The alert tells the server's log why; if it does not fit now, never mind.
                with contextlib.suppress(OSError):
                    self.socket.send(self._outgoing.read())
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self.socket, self._outgoing.read())

    async def _receive(self, most: int) -> bytes:
        # sock_recv does not give way while data is at hand: a peer that floods would hold the loop,
        # and with it the deadline of its own probe.
        self._receives += 1
        if self._receives % _BURST == 0:
            await asyncio.sleep(0)
        return await self._loop.sock_recv(self.socket, most)


async def connect(address: str, port: int, *, source: str = "", mark: int = 0) -> Stream:
    """Connect to an address (never a name: that would need a resolver, and a thread).

    `source` is the local address, `mark` the socket's SO_MARK, by which a routing rule or an IPVS
    fwmark service can lead the probe over the path that clients' packets take.
    """
    trying(f"TCP connect to {endpoint(address, port)}{via(source, mark)}")
    sock, target = open_socket(address, port, socket.SOCK_STREAM, source=source, mark=mark)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, target)
        if sock.getsockname() == sock.getpeername():
            # Simultaneous open (RFC 9293 section 3.5) of a socket with itself: the kernel drew the
            # very port that is being checked, on this machine, where nothing listens.
            raise ConnectionRefusedError("the connection met itself: nothing listens there")
    except BaseException:
        sock.close()
        raise
    return Stream(sock)


def open_socket(
    address: str, port: int, kind: socket.SocketKind, *, source: str = "", mark: int = 0, protocol: int = 0
) -> tuple[socket.socket, tuple[object, ...]]:
    """A non-blocking socket that is ready to connect, and the sockaddr to connect it to."""
    family, target = sockaddr(address, port)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if mark:
            _set_mark(sock, mark)
        if source:
            # The port is drawn at connect time, per destination, instead of blocking one for all.
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(_local(source, family))
    except BaseException:
        sock.close()
        raise
    return sock, target


def sockaddr(address: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Family and sockaddr of an address, with the zone of a link-local one."""
    # An interface's number, which stands for the zone, changes when it is made anew.
    return _resolve(address, port) if "%" in address else _sockaddr(address, port)


@lru_cache(maxsize=4096)
def _sockaddr(address: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    return _resolve(address, port)


def _resolve(address: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        ip_address(address)  # the C library would take 10.1 as well
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)
    except (ValueError, socket.gaierror) as error:
        raise OSError(f"{address!r} is not an IP address") from error
    return found[0][0], found[0][4]


def _local(source: str, family: socket.AddressFamily) -> tuple[object, ...]:
    own, local = sockaddr(source, 0)
    if own != family:
        raise OSError(f"source {source} is not of the target's address family")
    return local


def _set_mark(sock: socket.socket, mark: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    except PermissionError as error:
        raise OSError(f"may not set SO_MARK {mark}: needs CAP_NET_ADMIN or CAP_NET_RAW") from error


def via(source: str, mark: int) -> str:
    """How a probe leaves this machine, for a detail; empty when it is nothing special."""
    return (f" from {source}" if source else "") + (f" with mark {mark}" if mark else "")


async def expect(stream: Stream, pattern: str, most: int, what: str) -> tuple[bool, bytes]:
    """Read until `pattern` is found, the stream ends, or `most` bytes have come.

    Returns whether it was found, and what was read. `what` begins the sentence for the detail.
    """
    read = b""
    while len(read) < most:
        trying(f"{what}, waiting for {pattern!r} after {len(read)} bytes {quote(read)}")
        data = await stream.receive(most - len(read))
        read += data
        if re.search(pattern, read.decode("utf-8", "replace")):
            return True, read
        if not data:
            break
    return False, read
