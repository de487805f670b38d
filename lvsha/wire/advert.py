"""Sockets for VRRP adverts: IP protocol 112 on one interface, one family.

One socket serves every virtual router of its interface and family, multicast and unicast
alike, because the kernel hands a copy of each advert to every socket of the protocol: a
thousand sockets would make a million copies.

On the wire (RFC 9568 section 5.1; keepalived's choice where the RFC leaves one): TTL or hop
limit 255, type of service 0xC0 (internetwork control), no don't-fragment, multicast not looped.
The checksum is the codec's business in both families: the kernel would drop an IPv6 advert
with a wrong one without a trace, and what is dropped shall be counted.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from lvsha import bpf
from lvsha.wire.echo import checksum

Address = IPv4Address | IPv6Address

PROTOCOL: Final = 112
GROUP_4: Final = IPv4Address("224.0.0.18")
GROUP_6: Final = IPv6Address("ff02::12")

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TTL = 255
_CLASS = 0xC0
_MAX = 8192
"""The longest advert, 255 addresses of IPv6, is 4 KiB and comes in fragments."""

# include/uapi/linux/in.h and socket.h, where Python lacks the name.
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_IP_TTL = 2
_IP_RECVTTL = 12
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_PRIORITY_CONTROL = 7
"""TC_PRIO_CONTROL: ahead of everything in the default queueing discipline."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One advert as it came: the payload and what the headers say."""

    payload: bytes
    source: Address
    destination: Address
    ttl: int


def group(family: int) -> Address:
    """The multicast group that adverts of a family go to."""
    return GROUP_4 if family == 4 else GROUP_6


def frame(payload: bytes, source: Address, destination: Address, mac: bytes) -> bytes:
    """An advert to a multicast group as an Ethernet frame from a virtual MAC (RFC 9568, section 7.2)."""
    packed = destination.packed
    if destination.version == 4:
        group_mac = b"\x01\x00\x5e" + bytes((packed[1] & 0x7F,)) + packed[2:]
        header = _IPV4.pack(0x45, _CLASS, 20 + len(payload), 0, 0, _TTL, PROTOCOL, 0, source.packed, packed)
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        return group_mac + mac + b"\x08\x00" + header + payload
    first = 6 << 28 | _CLASS << 20
    header = _IPV6.pack(first, len(payload), PROTOCOL, _TTL, source.packed, packed)
    return b"\x33\x33" + packed[12:] + mac + b"\x86\xdd" + header + payload


class AdvertSocket:
    """Sends and receives the adverts of one interface and family (4 or 6).

    Raises OSError when the interface is not there or the process may not (CAP_NET_RAW).
    """

    def __init__(self, interface: str, index: int, family: int) -> None:
        self.interface = interface
        self.family = family
        self._index = index
        self._socket = _open_4(interface, index) if family == 4 else _open_6(interface, index)

    def fileno(self) -> int:
        """The file descriptor, for an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the group and close."""
        self._socket.close()

    def listen(self, vrids: Iterable[int]) -> None:
        """Receive the adverts of these virtual routers only. At first none is received."""
        bpf.attach(self._socket, bpf.vrids(self.family, vrids))

    def send(self, payload: bytes, source: Address, destination: Address) -> None:
        """Send one advert; OSError where the kernel refuses (no such source address, link down)."""
        if self.family == 4:
            info = struct.pack("@i4s4s", self._index, source.packed, bytes(4))
            control = [(socket.IPPROTO_IP, _IP_PKTINFO, info)]
            self._socket.sendmsg([payload], control, 0, (str(destination), 0))
        else:
            info = struct.pack("@16si", source.packed, self._index)
            control = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]
            self._socket.sendmsg([payload], control, 0, (str(destination), 0, 0, self._index))

    def receive(self) -> Datagram | None:
        """The next packet as an advert, None if its headers make no sense.

        Raises BlockingIOError when no packet waits, OSError when the interface went down or away.
        """
        data, control, _, source = self._socket.recvmsg(_MAX, 256)
        return _datagram_4(data) if self.family == 4 else _datagram_6(data, control, source[0])

    def overflowed(self) -> int:
        """How many adverts the kernel threw away because they came faster than they were read."""
        info = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
        values = struct.unpack(f"@{len(info) // 4}I", info)
        return values[_MEMINFO_DROPS] if len(values) > _MEMINFO_DROPS else 0


def _open(interface: str, family: int) -> socket.socket:
    """A raw socket that is bound to its interface before a packet can reach it."""
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, PROTOCOL)
    try:
        bpf.attach(sock, bpf.nothing())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY_CONTROL)
    except OSError:
        sock.close()
        raise
    return sock


def _open_4(interface: str, index: int) -> socket.socket:
    sock = _open(interface, socket.AF_INET)
    member = struct.pack("@4s4si", GROUP_4.packed, bytes(4), index)  # struct ip_mreqn
    try:
        for option, value in (
            (_IP_TTL, _TTL),
            (socket.IP_TOS, _CLASS),
            (socket.IP_MULTICAST_TTL, _TTL),
            (socket.IP_MULTICAST_LOOP, 0),
            (_IP_MULTICAST_ALL, 0),
            (_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT),
        ):
            sock.setsockopt(socket.IPPROTO_IP, option, value)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError:
        sock.close()
        raise
    return sock


def _open_6(interface: str, index: int) -> socket.socket:
    sock = _open(interface, socket.AF_INET6)
    member = struct.pack("@16si", GROUP_6.packed, index)  # struct ipv6_mreq
    try:
        for option, value in (
            (socket.IPV6_UNICAST_HOPS, _TTL),
            (socket.IPV6_MULTICAST_HOPS, _TTL),
            (socket.IPV6_TCLASS, _CLASS),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (socket.IPV6_MULTICAST_IF, index),
            (_IPV6_MULTICAST_ALL, 0),
            (socket.IPV6_RECVHOPLIMIT, 1),
            (socket.IPV6_RECVPKTINFO, 1),
        ):
            sock.setsockopt(socket.IPPROTO_IPV6, option, value)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
    except OSError:
        sock.close()
        raise
    return sock


def _datagram_4(data: bytes) -> Datagram | None:
    """A raw IPv4 socket gives the header too; the kernel has checked its length and checksum."""
    length = (data[0] & 0x0F) * 4 if data else 0
    if length < 20 or len(data) < length:
        return None
    return Datagram(data[length:], IPv4Address(data[12:16]), IPv4Address(data[16:20]), data[8])


def _datagram_6(data: bytes, control: list[tuple[int, int, bytes]], source: str) -> Datagram | None:
    ttl, destination = 0, None
    for level, kind, value in control:
        if level != socket.IPPROTO_IPV6:
            continue
        if kind == socket.IPV6_HOPLIMIT:
            (ttl,) = struct.unpack("@i", value[:4])
        elif kind == socket.IPV6_PKTINFO:
            destination = IPv6Address(value[:16])
    if destination is None:
        return None
    return Datagram(data, IPv6Address(source.partition("%")[0]), destination, ttl)
