"""Ping: the target answers an ICMP or ICMPv6 echo request.

It tells that the machine is there, not that its service is. The unprivileged datagram socket is used
where net.ipv4.ping_group_range allows it, else a raw one (CAP_NET_RAW).
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from dataclasses import dataclass

from checks import settings
from checks.base import Outcome, trying
from checks.datagram import datagrams, receive
from checks.stream import sockaddr, via

_ECHO = {socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0), socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129)}
"""Protocol, type of the request, type of the reply: RFC 792, RFC 4443 section 4."""

SOL_RAW, ICMP_FILTER = 255, 1  # include/linux/socket.h, include/uapi/linux/icmp.h
ICMPV6_FILTER = 1  # include/uapi/linux/icmpv6.h


@dataclass(frozen=True, slots=True)
class Ping:
    """Send one echo request. The port is of no account."""

    size: int = 16
    """Bytes of payload, 8 at least: so many are random, and tell our reply from others'."""
    source: str = ""
    """Local address to send from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            settings.within("size", self.size, 8, 65000),
            settings.path(self.source, self.mark),
        )

    async def probe(self, address: str, port: int) -> Outcome:  # noqa: ARG002 (every check has one)
        """Try the target once."""
        family, _ = sockaddr(address, 0)
        protocol, request, reply = _ECHO[family]
        what = f"ping {address}{via(self.source, self.mark)}"
        trying(what)
        kind = _socket_kind(family, protocol)
        payload = secrets.token_bytes(8) + bytes(self.size - 8)
        with datagrams(address, 0, kind=kind, protocol=protocol, source=self.source, mark=self.mark) as sock:
            if kind is socket.SOCK_RAW:
                _only(sock, family, reply)
            began = time.monotonic()
            sock.send(echo(request, payload))
            while True:
                packet = await receive(sock, 65535)
                if is_reply(packet, reply, payload, ip_header=kind is socket.SOCK_RAW and protocol == 1):
                    took = (time.monotonic() - began) * 1000
                    return Outcome(ok=True, detail=f"{what} answered in {took:.1f} ms")


def echo(kind: int, payload: bytes) -> bytes:
    """An echo message. A datagram socket overwrites the identifier, and ICMPv6 the checksum."""
    identifier, sequence = struct.unpack("!HH", payload[:4])
    blank = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    return blank[:2] + struct.pack("!H", checksum(blank)) + blank[4:]


def is_reply(packet: bytes, kind: int, payload: bytes, *, ip_header: bool) -> bool:
    """Whether a packet is the reply to the request with that payload."""
    if ip_header and packet:
        packet = packet[(packet[0] & 0x0F) * 4 :]  # RFC 791 section 3.1: header length in words
    return packet[:1] == bytes([kind]) and packet[8:] == payload


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _socket_kind(family: socket.AddressFamily, protocol: int) -> socket.SocketKind:
    """The least privileged socket that this process may open."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind, protocol).close()
        except PermissionError:
            continue
        return kind
    raise OSError("needs CAP_NET_RAW, or this process's group within net.ipv4.ping_group_range")


def _only(sock: socket.socket, family: socket.AddressFamily, kind: int) -> None:
    """Let a raw socket hear one type only: the kernel gives it every ICMP packet of the target else."""
    if family == socket.AF_INET:
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << kind) & 0xFFFFFFFF))
    else:
        blocked = [0xFFFFFFFF] * 8
        blocked[kind >> 5] &= ~(1 << (kind & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *blocked))
