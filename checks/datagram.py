"""One datagram socket of a probe, connected so that it hears the target and nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from checks.base import ProbeError
from checks.stream import open_socket


@contextmanager
def datagrams(
    address: str,
    port: int,
    *,
    kind: socket.SocketKind = socket.SOCK_DGRAM,
    protocol: int = 0,
    source: str = "",
    mark: int = 0,
) -> Iterator[socket.socket]:
    """A non-blocking socket connected to the target; an ICMP error that it causes is raised by it."""
    sock, target = open_socket(address, port, kind, source=source, mark=mark, protocol=protocol)
    with sock:
        sock.connect(target)
        try:
            yield sock
        except ConnectionRefusedError as error:
            raise ProbeError("port unreachable (ICMP: nothing listens there)") from error


async def receive(sock: socket.socket, most: int) -> bytes:
    """The next datagram, cut after `most` bytes."""
    # sock_recv gives way only when it waits: a flood that is passed over must not hold the loop.
    await asyncio.sleep(0)
    return await asyncio.get_running_loop().sock_recv(sock, most)
