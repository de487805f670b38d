"""The neighbour table: who on a link answers (ARP, IPv6 neighbour discovery).

An address that nothing was sent to lately has no entry. `stir` makes the kernel ask for it as it would for
a packet, without one. See net/core/neighbour.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from ipaddress import ip_address
from typing import Any, Self

from lvsha.kernel.netlink import Refusal
from lvsha.kernel.rtnetlink import Rtnetlink, refusal
from lvsha.model import Address, Family

Place = tuple[Address, int]
"""An address on an interface, which is meant by its index."""

# include/uapi/linux/neighbour.h
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
    mac: str = ""
    """Where it is on the link; empty where that is not known."""


class Neighbours:
    """The neighbours of the network namespace in which this was opened."""

    def __init__(self, rtnetlink: Rtnetlink) -> None:
        self._rtnetlink = rtnetlink

    @classmethod
    def open(cls) -> Self:
        """Nothing is asked yet."""
        return cls(Rtnetlink())

    def close(self) -> None:
        """Ask nothing more."""
        self._rtnetlink.close()

    async def observe(self) -> list[Neighbour]:
        """Every entry of both families. Raises KernelError."""
        return await self._rtnetlink.ask(_table)

    async def stir(self, places: Sequence[Place]) -> dict[Place, Refusal]:
        """Have the kernel ask for addresses that it does not know; where it would not. Raises KernelError."""
        return await self._rtnetlink.ask(partial(_stir, places=places))


async def _table(iproute: Any) -> list[Neighbour]:
    return [
        Neighbour(
            ip_address(entry.get("dst")),
            entry["ifindex"],
            _answer(entry["state"]),
            entry.get("lladdr") or "",
        )
        for family in Family
        async for entry in await iproute.get_neighbours(family)
    ]


async def _stir(iproute: Any, places: Sequence[Place]) -> dict[Place, Refusal]:
    """Not those that are known: since Linux 5.16 an entry that was written down is forgotten by that."""
    from pyroute2 import NetlinkError

    known = {(one.address, one.index) for one in await _table(iproute) if one.answer is Answer.KNOWN}
    refused = {}
    for address, index in places:
        if (address, index) in known:
            continue
        try:
            await iproute.neigh("replace", dst=str(address), ifindex=index, state=0, flags=_NTF_USE)
        except NetlinkError as error:
            refused[address, index] = refusal(error)
    return refused


def _answer(state: int) -> Answer:
    if state & _FAILED:
        return Answer.SILENT
    # NUD_NONE, 0: an entry that nothing has been done with yet.
    return Answer.ASKING if state & _INCOMPLETE or not state else Answer.KNOWN
