"""The neighbour table: who on a link answers (ARP, IPv6 neighbour discovery), and at which MAC.

An address that nothing was sent to lately has no entry. `stir` makes the kernel ask for it as it would for
a packet, without one. See include/uapi/linux/neighbour.h and net/core/neighbour.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from lvsha.kernel import attributes
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.netlink import Netlink, Refusal
from lvsha.model import Address, Family

NETLINK_ROUTE: Final = 0
RTM_NEWNEIGH: Final = 28
RTM_GETNEIGH: Final = 30

_NLM_F_CREATE = 0x400
_NDMSG = struct.Struct("=BxxxiHBB")
_NDA_DST = 1
_NDA_LLADDR = 2
_NTF_USE = 0x01

_INCOMPLETE = 0x01
_FAILED = 0x20


class Answer(Enum):
    """What is known of a neighbour."""

    ASKING = "asking"
    """Asked for, and it has not answered yet."""
    SILENT = "silent"
    """Asked for, and it did not answer."""
    KNOWN = "known"
    """It has answered, or somebody wrote it down."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the table."""

    address: Address
    index: int
    """The interface."""
    answer: Answer
    mac: bytes


class Neighbours:
    """The neighbours of the network namespace in which this was opened."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    @classmethod
    def open(cls) -> Self:
        """Raises KernelError where there is no netlink."""
        return cls(Netlink.open(NETLINK_ROUTE, timeout=10.0))

    def close(self) -> None:
        """End the conversation."""
        self._netlink.close()

    async def observe(self) -> list[Neighbour]:
        """Every entry of both families. Raises KernelError."""
        (answers,) = await self._netlink.dump(RTM_GETNEIGH, [_NDMSG.pack(0, 0, 0, 0, 0)])
        return list(_known(answers))

    async def stir(self, places: Sequence[tuple[Address, int]]) -> dict[tuple[Address, int], Refusal]:
        """Have the kernel ask for addresses on interfaces; where it would not. Raises KernelError."""
        bodies = [_use(address, index) for address, index in places]
        refused = await self._netlink.transact(RTM_NEWNEIGH, bodies, _NLM_F_CREATE)
        return {places[i]: refusal for i, refusal in refused.items()}


def neighbour(body: bytes) -> Neighbour | None:
    """The entry in the body of an RTM_NEWNEIGH; None for another family's. Raises MalformedError."""
    if len(body) < _NDMSG.size:
        raise MalformedError(f"a neighbour message of {len(body)} bytes")
    family, index, state, _, _ = _NDMSG.unpack_from(body)
    found = attributes.unpack(body, _NDMSG.size)
    packed = found.get(_NDA_DST, b"")
    if (family, len(packed)) not in ((Family.IPV4, 4), (Family.IPV6, 16)):
        return None
    address: Address = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return Neighbour(address, index, _answer(state), found.get(_NDA_LLADDR, b""))


def _known(answers: Iterable[bytes]) -> Iterator[Neighbour]:
    for body in answers:
        one = neighbour(body)
        if one is not None:
            yield one


def _answer(state: int) -> Answer:
    if state & _FAILED:
        return Answer.SILENT
    # NUD_NONE, 0: an entry that nothing has been done with yet.
    return Answer.ASKING if state & _INCOMPLETE or not state else Answer.KNOWN


def _use(address: Address, index: int) -> bytes:
    family = Family.IPV4 if address.version == 4 else Family.IPV6
    return _NDMSG.pack(family, index, 0, _NTF_USE, 0) + attributes.pack(_NDA_DST, address.packed)
