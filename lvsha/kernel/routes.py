"""Which way a packet would take from here: the kernel's own answer, address by address.

No table is read (a router's may hold a million entries): the question is the one that the kernel asks itself
for every packet. See include/uapi/linux/rtnetlink.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from lvsha.kernel import attributes
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.netlink import BATCH, Netlink, Refusal
from lvsha.model import Address, Family

NETLINK_ROUTE: Final = 0
RTM_NEWROUTE: Final = 24
RTM_GETROUTE: Final = 26

_RTMSG = struct.Struct("=BBBBBBBBI")
_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_PREFSRC = 7
_RTA_METRICS = 8
_RTA_VIA = 18
_RTAX_MTU = 2
_RTN_LOCAL = 2
_RTVIA_FAMILY = 2
"""Octets of the address family that an RTA_VIA begins with."""


@dataclass(frozen=True, slots=True)
class Way:
    """How packets to one address leave this machine."""

    index: int
    """The interface."""
    gateway: Address | None
    """The next router; None: the address is on the link itself."""
    source: Address | None
    """What the kernel would send from."""
    mtu: int
    """What the route says; 0: what the interface says."""
    local: bool
    """The address is this machine's own."""


class Routes:
    """The routes of the network namespace in which this was opened."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    @classmethod
    def open(cls) -> Self:
        """Raises KernelError where there is no netlink."""
        return cls(Netlink.open(NETLINK_ROUTE, timeout=10.0))

    def close(self) -> None:
        """End the conversation."""
        self._netlink.close()

    async def find(self, addresses: Sequence[Address]) -> dict[Address, Way | Refusal]:
        """The way to each address, or why there is none. Raises KernelError."""
        found: dict[Address, Way | Refusal] = {}
        for start in range(0, len(addresses), BATCH):
            some = addresses[start : start + BATCH]
            answers = await self._netlink.ask(RTM_GETROUTE, [_question(address) for address in some])
            for address, answer in zip(some, answers, strict=True):
                found[address] = answer if isinstance(answer, Refusal) else way(answer)
        return found


def way(body: bytes) -> Way:
    """The way in the body of an RTM_NEWROUTE. Raises MalformedError."""
    if len(body) < _RTMSG.size:
        raise MalformedError(f"a route message of {len(body)} bytes")
    kind = _RTMSG.unpack_from(body)[7]
    found = attributes.unpack(body, _RTMSG.size)
    metrics = attributes.unpack(found.get(_RTA_METRICS, b""))
    return Way(
        attributes.number(found, _RTA_OIF, 0),
        next(_gateways(found), None),
        _address(found.get(_RTA_PREFSRC)),
        attributes.number(metrics, _RTAX_MTU, 0),
        kind == _RTN_LOCAL,
    )


def _question(address: Address) -> bytes:
    family = Family.IPV4 if address.version == 4 else Family.IPV6
    head = _RTMSG.pack(family, family.bits, 0, 0, 0, 0, 0, 0, 0)
    return head + attributes.pack(_RTA_DST, address.packed)


def _gateways(found: attributes.Attributes) -> Iterator[Address]:
    gateway = _address(found.get(_RTA_GATEWAY)) or _address(found.get(_RTA_VIA, b"")[_RTVIA_FAMILY:])
    if gateway is not None:
        yield gateway


def _address(packed: bytes | None) -> Address | None:
    match len(packed or b""):
        case 4:
            return IPv4Address(packed or b"")
        case 16:
            return IPv6Address(packed or b"")
        case _:
            return None
