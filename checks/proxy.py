"""The PROXY protocol header, for servers that take no connection without one.

It carries the probe's own addresses rather than the UNKNOWN or LOCAL that the specification
(haproxy.org, proxy-protocol.txt, section 2) also allows, because a server that insists on the
header may insist on addresses as well.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_2_PROXY = 0x21
_TCP4, _TCP6 = 0x11, 0x21


def header(version: int, sock: socket.socket) -> bytes:
    """The header of version 1 or 2 for a connected socket; empty for version 0."""
    if not version:
        return b""
    source, destination = sock.getsockname()[:2], sock.getpeername()[:2]
    return encode(version, source, destination)


def encode(version: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """The header for a connection from source to destination, both (address, port)."""
    here, there = ip_address(source[0].partition("%")[0]), ip_address(destination[0].partition("%")[0])
    if version == 1:
        return f"PROXY TCP{here.version} {here} {there} {source[1]} {destination[1]}\r\n".encode("ascii")
    family = _TCP4 if here.version == 4 else _TCP6
    block = here.packed + there.packed + struct.pack("!HH", source[1], destination[1])
    return _SIGNATURE + struct.pack("!BBH", _VERSION_2_PROXY, family, len(block)) + block
