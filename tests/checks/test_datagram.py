"""Datagram sockets of a probe."""

from __future__ import annotations

import socket

import pytest

from checks import ProbeError
from checks.datagram import datagrams, receive


async def test_exchange() -> None:
    """What the target sends is heard, cut to what was asked for."""
    with socket.socket(type=socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        with datagrams(*target.getsockname()) as sock:
            target.sendto(b"hello", sock.getsockname())
            assert await receive(sock, 3) == b"hel"


async def test_port_unreachable() -> None:
    """The target's ICMP error ends a wait."""
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        target = free.getsockname()
    with pytest.raises(ProbeError, match="port unreachable"), datagrams(*target) as sock:
        sock.send(b"x")
        await receive(sock, 10)
    assert sock.fileno() == -1


def test_source_and_mark() -> None:
    """The socket has the address and the mark it was told to."""
    with datagrams("127.0.0.1", 9, source="127.0.0.5", mark=5) as sock:
        assert sock.getsockname()[0] == "127.0.0.5"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 5
