"""Network interfaces, as far as a VRRP instance depends on them: there, up, with a carrier, at which MAC.

See include/uapi/linux/if_link.h and if.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Self

from lvsha.kernel import attributes
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.netlink import Netlink

NETLINK_ROUTE: Final = 0
RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18

_IFINFOMSG = struct.Struct("=BxHiII")
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINKINFO = 18
_IFLA_INFO_SLAVE_KIND = 4
_IFLA_CARRIER_UP_COUNT = 47

_IFF_UP = 0x1
_IFF_RUNNING = 0x40
"""RFC 2863 operational state up, or unknown: what has no notion of it counts as running."""
_IFF_LOWER_UP = 0x10000
"""The driver sees a carrier; the operational state follows a little later (net/core/link_watch.c)."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as the kernel shows it."""

    index: int
    name: str
    mac: bytes
    """Empty where there is none, as on a tunnel."""
    mtu: int
    up: bool
    """An operator wants it up."""
    running: bool
    """It has a carrier."""
    port_of: str = ""
    """The kind of interface that it is a part of (`bridge`, `bond`, `vrf`); empty: it stands for itself."""
    carriers: int = 0
    """How often it has got a carrier."""

    @property
    def usable(self) -> bool:
        """Packets can leave."""
        return self.up and self.running

    @property
    def deaf(self) -> str:
        """Why packets that come in by it do not arrive at it, for a person; empty when they do.

        A bridge and a bond take them for themselves (rx_handler in net/core/dev.c); a VRF leaves their
        interface as it is.
        """
        if self.port_of in ("", "vrf"):
            return ""
        return f"{self.name} is a port of a {self.port_of}, which takes all that comes in by it"

    @property
    def trouble(self) -> str:
        """Why packets cannot leave, for a person; empty when they can."""
        if not self.up:
            return f"{self.name} is down"
        return "" if self.running else f"{self.name} has no carrier"


class Links:
    """The interfaces of the network namespace in which this was opened."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    @classmethod
    def open(cls) -> Self:
        """Raises KernelError where there is no netlink."""
        return cls(Netlink.open(NETLINK_ROUTE, timeout=10.0))

    def close(self) -> None:
        """End the conversation."""
        self._netlink.close()

    async def observe(self) -> list[Link]:
        """Every interface. Raises KernelError."""
        (answers,) = await self._netlink.dump(RTM_GETLINK, [_IFINFOMSG.pack(0, 0, 0, 0, 0)])
        return [link(body) for body in answers]


def link(body: bytes) -> Link:
    """The interface in the body of an RTM_NEWLINK or RTM_DELLINK. Raises MalformedError."""
    if len(body) < _IFINFOMSG.size:
        raise MalformedError(f"a link message of {len(body)} bytes")
    _, _, index, flags, _ = _IFINFOMSG.unpack_from(body)
    found = attributes.unpack(body, _IFINFOMSG.size)
    return Link(
        index,
        attributes.text(found, _IFLA_IFNAME, ""),
        found.get(_IFLA_ADDRESS, b""),
        attributes.number(found, _IFLA_MTU, 0),
        bool(flags & _IFF_UP),
        bool(flags & _IFF_RUNNING and flags & _IFF_LOWER_UP),
        _port_of(found.get(_IFLA_LINKINFO, b"")),
        attributes.number(found, _IFLA_CARRIER_UP_COUNT, 0),
    )


def _port_of(info: bytes) -> str:
    return attributes.text(attributes.unpack(info), _IFLA_INFO_SLAVE_KIND, "")
