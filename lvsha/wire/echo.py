"""Echo requests (ICMP and ICMPv6), to see whether a neighbour is reachable.

One socket serves many targets. A reply counts only if it comes from the address that was
asked and repeats the octets that were drawn for this socket, so that nobody who does not see
the requests can answer them.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from lvsha import bpf

Address = IPv4Address | IPv6Address

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}


@dataclass(frozen=True, slots=True)
class Reply:
    """Somebody answered the request of this number."""

    source: Address
    sequence: int


class EchoSocket:
    """Asks and hears on one family (4 or 6), on one interface or whichever the route says.

    Raises OSError when the interface is not there or the process may not (CAP_NET_RAW).
    """

    def __init__(self, family: int, interface: str | None = None) -> None:
        self.family = family
        self._number = int.from_bytes(os.urandom(2))
        self._token = os.urandom(16)
        self._socket = _open(family, interface)
        bpf.attach(self._socket, bpf.echo_replies(family, self._number))

    def fileno(self) -> int:
        """The file descriptor, for an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, target: Address, sequence: int) -> None:
        """Ask; `sequence` is within 0..65535. OSError where there is no way to the target."""
        body = _HEADER.pack(_REQUEST[self.family], 0, 0, self._number, sequence) + self._token
        if self.family == 4:
            # The kernel fills in the checksum of ICMPv6, but not that of ICMP.
            body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        self._socket.sendto(body, (str(target), 0))

    def receive(self) -> Reply | None:
        """One reply that waits; None when none does. A forged one is passed over."""
        while True:
            try:
                data, source = self._socket.recvfrom(512)
            except BlockingIOError:
                return None
            reply = self._reply(data, source[0])
            if reply is not None:
                return reply

    def _reply(self, data: bytes, source: str) -> Reply | None:
        start = (data[0] & 0x0F) * 4 if self.family == 4 and data else 0
        message = data[start:]
        if len(message) < _HEADER.size or message[_HEADER.size :] != self._token:
            return None
        kind, _, _, number, sequence = _HEADER.unpack_from(message)
        if (kind, number) != (_REPLY[self.family], self._number):
            return None
        if self.family == 4:
            return Reply(IPv4Address(source), sequence)
        return Reply(IPv6Address(source.partition("%")[0]), sequence)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data of even length."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _open(family: int, interface: str | None) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    if family == 4:
        sock = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
    else:
        sock = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6)
    try:
        bpf.attach(sock, bpf.nothing())
        if interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError:
        sock.close()
        raise
    return sock
