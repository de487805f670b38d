"""Which way a packet would take from here: the kernel's own answer, address by address.

No table is read (a router's may hold a million entries): the question is the one that the kernel asks itself
for every packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, Self

from lvsha.kernel.netlink import Refusal
from lvsha.kernel.rtnetlink import Rtnetlink, refusal
from lvsha.model import Address

SLICE: Final = 128
"""Addresses that are asked for at a stretch: each stretch has the whole time of a conversation."""
_RTN_LOCAL = 2
"""include/uapi/linux/rtnetlink.h"""


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

    def __init__(self, rtnetlink: Rtnetlink) -> None:
        self._rtnetlink = rtnetlink

    @classmethod
    def open(cls) -> Self:
        """Nothing is asked yet."""
        return cls(Rtnetlink())

    def close(self) -> None:
        """Ask nothing more."""
        self._rtnetlink.close()

    async def find(self, addresses: Sequence[Address]) -> dict[Address, Way | Refusal]:
        """The way to each address, or why there is none. Raises KernelError."""
        found: dict[Address, Way | Refusal] = {}
        for start in range(0, len(addresses), SLICE):
            some = addresses[start : start + SLICE]
            found |= await self._rtnetlink.ask(partial(_ways, addresses=some))
        return found


async def _ways(iproute: Any, addresses: Sequence[Address]) -> dict[Address, Way | Refusal]:
    return {address: await _way(iproute, address) for address in addresses}


async def _way(iproute: Any, address: Address) -> Way | Refusal:
    from pyroute2 import NetlinkError

    try:
        (route,) = await iproute.route("get", dst=str(address))
    except NetlinkError as error:
        return refusal(error)
    return Way(
        route.get("oif") or 0,
        _address(route.get("gateway") or route.get(("via", "addr"))),
        _address(route.get("prefsrc")),
        route.get(("metrics", "mtu")) or 0,
        route["type"] == _RTN_LOCAL,
    )


def _address(text: str | None) -> Address | None:
    return ip_address(text) if text else None
