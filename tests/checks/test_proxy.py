"""The PROXY header, byte by byte."""

from __future__ import annotations

import socket

from checks.proxy import encode, header


def test_version_1() -> None:
    """The line of the specification's section 2.1, for both families."""
    assert (
        encode(1, ("192.0.2.1", 56324), ("192.0.2.2", 443)) == b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
    )
    line = encode(1, ("2001:db8::1", 1), ("2001:db8::2", 65535))
    assert line == b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"


def test_version_2() -> None:
    """The block of the specification's section 2.2, for both families."""
    start = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21"
    addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2, 0xDC, 0x04, 0x01, 0xBB])
    assert encode(2, ("192.0.2.1", 56324), ("192.0.2.2", 443)) == start + b"\x11\x00\x0c" + addresses
    longer = encode(2, ("2001:db8::1", 1), ("2001:db8::2", 2))
    assert longer[12:16] == b"\x21\x21\x00\x24"
    assert longer[16:] == (
        bytes.fromhex("20010db8000000000000000000000001 20010db8000000000000000000000002 0001 0002")
    )


def test_zone() -> None:
    """The zone of a link-local address means nothing to the server, and is left out."""
    assert b"fe80::1 fe80::2 " in encode(1, ("fe80::1%eth0", 1), ("fe80::2%eth0", 2))


def test_of_a_socket() -> None:
    """The addresses are the connection's own; version 0 is no header."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
    ):
        ports = f"{sock.getsockname()[1]} {server.getsockname()[1]}"
        assert header(1, sock) == f"PROXY TCP4 127.0.0.1 127.0.0.1 {ports}\r\n".encode()
        assert header(0, sock) == b""
