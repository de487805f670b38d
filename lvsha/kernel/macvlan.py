"""Interfaces with a MAC of their own on another one: macvlan in bridge mode, as virtual routers use them.

A virtual MAC (RFC 9568, section 7.3) moves with the virtual addresses, so that no neighbour has
to learn anything when the master changes: only the switches do. See include/uapi/linux/if_link.h.

Two masters have one MAC, and each must hear the other. In private mode the kernel hands a multicast frame
from a MAC of its own to the macvlan alone (drivers/net/macvlan.c, macvlan_handle_frame), and the interface
below would be deaf to the other master; in bridge mode it hears it.

Spoken by hand, as all of the speaker's netlink: it loads no pyroute2, which would take a quarter of a second
of every restart, and be locked in memory with it.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

from lvsha.kernel import attributes
from lvsha.kernel.links import RTM_DELLINK, RTM_NEWLINK
from lvsha.kernel.netlink import Netlink, RefusedError

_NLM_F_EXCL = 0x200
_NLM_F_CREATE = 0x400

_IFINFOMSG = struct.Struct("=BxHiII")
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_LINK = 5
_IFLA_LINKINFO = 18
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_MACVLAN_MODE = 1
_BRIDGE: Final = 4
"""MACVLAN_MODE_BRIDGE"""
_IFF_UP = 0x1


class Macvlans:
    """Makes, removes, and sets them up or down."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    async def create(self, name: str, parent: int, mac: bytes) -> None:
        """Make one on the interface with the index `parent`; it is down.

        Raises RefusedError, also (EEXIST) when the name is taken.
        """
        data = attributes.pack(_IFLA_INFO_DATA, attributes.pack_u32(_IFLA_MACVLAN_MODE, _BRIDGE))
        info = attributes.pack_text(_IFLA_INFO_KIND, "macvlan") + data
        body = b"".join(
            (
                _IFINFOMSG.pack(0, 0, 0, 0, 0),
                attributes.pack_text(_IFLA_IFNAME, name),
                attributes.pack_u32(_IFLA_LINK, parent),
                attributes.pack(_IFLA_ADDRESS, mac),
                attributes.pack(_IFLA_LINKINFO, info),
            )
        )
        await self._change(RTM_NEWLINK, body, _NLM_F_CREATE | _NLM_F_EXCL, f"create {name}")

    async def set_up(self, index: int, *, up: bool) -> None:
        """Let packets through, or none. Raises RefusedError."""
        body = _IFINFOMSG.pack(0, 0, index, _IFF_UP if up else 0, _IFF_UP)
        await self._change(RTM_NEWLINK, body, 0, f"set interface {index} {'up' if up else 'down'}")

    async def remove(self, index: int) -> None:
        """Remove one with its addresses; one that is gone already is no error. Raises RefusedError."""
        try:
            await self._change(
                RTM_DELLINK, _IFINFOMSG.pack(0, 0, index, 0, 0), 0, f"remove interface {index}"
            )
        except RefusedError as error:
            if error.refusal.errno != errno.ENODEV:
                raise

    async def _change(self, kind: int, body: bytes, flags: int, what: str) -> None:
        refused = await self._netlink.transact(kind, [body], flags)
        for refusal in refused.values():
            raise RefusedError(f"the kernel did not {what}: {refusal}", refusal)
