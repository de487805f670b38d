"""Tell the neighbours where an address is now: gratuitous ARP, unsolicited neighbour advertisement.

The frames are pure functions; `Announcer` sends them from a packet socket, so that nothing of
the host's own neighbour tables, source selection or duplicate address detection is in the way.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from lvsha.wire.echo import checksum

Address = IPv4Address | IPv6Address

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV6 = struct.Struct("!IHBB16s16s")

_TYPE_ARP = 0x0806
_TYPE_IPV6 = 0x86DD
_BROADCAST = b"\xff" * 6
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ALL_NODES = IPv6Address("ff02::1")
_OVERRIDE = 0x20000000
_ROUTER = 0x80000000
_ICMPV6 = 58


def gratuitous_arp(address: IPv4Address, mac: bytes) -> bytes:
    """An ARP request for itself (RFC 5227 section 3: requests are understood everywhere).

    The target's hardware address is all ones, as keepalived sends it.
    """
    arp = _ARP.pack(1, 0x0800, 6, 4, 1, mac, address.packed, _BROADCAST, address.packed)
    return _ETHERNET.pack(_BROADCAST, mac, _TYPE_ARP) + arp


def arp_request(address: IPv4Address, source: IPv4Address, mac: bytes) -> bytes:
    """The question who has an address, by somebody who is `source` at `mac`."""
    arp = _ARP.pack(1, 0x0800, 6, 4, 1, mac, source.packed, bytes(6), address.packed)
    return _ETHERNET.pack(_BROADCAST, mac, _TYPE_ARP) + arp


def neighbour_advertisement(address: IPv6Address, mac: bytes, *, router: bool = False) -> bytes:
    """An unsolicited neighbour advertisement to all nodes that overrides (RFC 4861 section 7.2.6)."""
    flags = _OVERRIDE | (_ROUTER if router else 0)
    option = struct.pack("!BB6s", 2, 1, mac)  # target link-layer address
    body = struct.pack("!BBHI16s", 136, 0, 0, flags, address.packed) + option
    total = checksum(_pseudo_header(address, _ALL_NODES, len(body)) + body)
    body = body[:2] + struct.pack("!H", total) + body[4:]
    header = _IPV6.pack(0x60000000, len(body), _ICMPV6, 255, address.packed, _ALL_NODES.packed)
    return _ETHERNET.pack(_ALL_NODES_MAC, mac, _TYPE_IPV6) + header + body


def announcement(address: Address, mac: bytes, *, router: bool = False) -> bytes:
    """The frame that announces an address of either family at `mac`; `router` is told over IPv6 only."""
    if isinstance(address, IPv4Address):
        return gratuitous_arp(address, mac)
    return neighbour_advertisement(address, mac, router=router)


def contradiction(address: Address, mac: bytes, claimant: bytes) -> bytes:
    """The announcement for one neighbour alone, who claims the address for itself.

    The other of two masters that do not hear each other's adverts learns of the first so, and nobody's
    neighbour table is touched, as it would be if both defended the address (RFC 5227, section 2.4).
    """
    return claimant + announcement(address, mac)[6:]


class Announcer:
    """Sends frames on any interface. Raises OSError without CAP_NET_RAW."""

    def __init__(self) -> None:
        # Protocol 0: the kernel never hands such a socket a packet.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)

    def send(self, interface: str, frame: bytes) -> None:
        """Put a frame on the wire; OSError when the interface is down or gone, or its queue is full."""
        self._socket.sendto(frame, (interface, 0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _pseudo_header(source: IPv6Address, destination: IPv6Address, length: int) -> bytes:
    return source.packed + destination.packed + struct.pack("!II", length, _ICMPV6)
