"""Hear somebody else announce an address that is held here.

Two machines that hold one address each take part of its traffic; the neighbours' tables flap
and nobody's log says so. Every ARP packet names its sender's addresses, every neighbour
advertisement its target's, and the kernel filters for ours, so listening costs nothing while
all is well. A packet socket is used for ARP; for IPv6 a raw ICMPv6 socket, because a packet
socket would look at every IPv6 packet that the director forwards.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from lvsha import bpf

Address = IPv4Address | IPv6Address

_ETH_P_ARP = 0x0806
_ICMP6_FILTER = 1
_NEIGHBOUR_ADVERTISEMENT = 136
_ARP = struct.Struct("!HHBBH6s4s")


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that an address is at a link-layer address."""

    address: Address
    mac: str
    """Empty where the claim does not tell it."""


class ArpListener:
    """ARP on one interface from anybody who claims one of the wanted addresses."""

    def __init__(self, interface: str) -> None:
        self._wanted: frozenset[Address] = frozenset()
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        bpf.attach(self._socket, bpf.nothing())
        try:
            self._socket.bind((interface, _ETH_P_ARP))
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The file descriptor, for an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def watch(self, addresses: Iterable[Address]) -> None:
        """Listen for these; most others are filtered out by the kernel."""
        self._wanted = frozenset(a for a in addresses if isinstance(a, IPv4Address))
        bpf.attach(self._socket, bpf.arp_senders(a.packed for a in self._wanted))

    def receive(self) -> Claim | None:
        """The next packet's claim, None if it is no claim to ours.

        Raises BlockingIOError when no packet waits, OSError when the interface went away.
        """
        claim = claim_of_arp(self._socket.recv(128))
        return claim if claim is not None and claim.address in self._wanted else None


class NeighbourListener:
    """Neighbour advertisements on one interface for any of the wanted addresses."""

    def __init__(self, interface: str) -> None:
        self._wanted: frozenset[Address] = frozenset()
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6)
        bpf.attach(self._socket, bpf.nothing())
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        self._socket.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _only(_NEIGHBOUR_ADVERTISEMENT))

    def fileno(self) -> int:
        """The file descriptor, for an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def watch(self, addresses: Iterable[Address]) -> None:
        """Listen for these; most others are filtered out by the kernel."""
        self._wanted = frozenset(a for a in addresses if isinstance(a, IPv6Address))
        bpf.attach(self._socket, bpf.neighbour_advertisements(a.packed for a in self._wanted))

    def receive(self) -> Claim | None:
        """The next packet's claim, None if it is no claim to ours.

        Raises BlockingIOError when no packet waits, OSError when the interface went away.
        """
        claim = claim_of_advertisement(self._socket.recv(1280))
        return claim if claim is not None and claim.address in self._wanted else None


def claim_of_arp(packet: bytes) -> Claim | None:
    """Who an ARP packet (without its Ethernet header) says it is from; None for another kind."""
    if len(packet) < _ARP.size:
        return None
    hardware, protocol, hardware_length, length, _, mac, address = _ARP.unpack_from(packet)
    if (hardware, protocol, hardware_length, length) != (1, 0x0800, 6, 4):
        return None
    return Claim(IPv4Address(address), mac.hex(":"))


def claim_of_advertisement(packet: bytes) -> Claim | None:
    """What a neighbour advertisement (from its ICMPv6 header on) says; None for another message."""
    if len(packet) < 24 or packet[0] != _NEIGHBOUR_ADVERTISEMENT:
        return None
    mac = packet[26:32].hex(":") if len(packet) >= 32 and packet[24:26] == b"\x02\x01" else ""
    return Claim(IPv6Address(packet[8:24]), mac)


def _only(kind: int) -> bytes:
    """A `struct icmp6_filter`: a set bit blocks its type (RFC 3542 section 3.2)."""
    words = [0xFFFFFFFF] * 8
    words[kind >> 5] &= ~(1 << (kind & 31)) & 0xFFFFFFFF
    return struct.pack("@8I", *words)
