"""Virtual MACs: a macvlan for each instance that wants one, up only while it is master.

While the instance is backup the macvlan is down, so that nothing on this node speaks with the
master's MAC and no switch is led astray. The virtual addresses are on it, and the interface
below does not answer for them (arp_ignore), nor it for the addresses below. A packet that
arrives on it has its way back over the interface below, so its reverse path is checked loosely.

Everything goes over one netlink conversation, which the addresses use too: the macvlan is up
before the first address is put on it.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from typing import Any

from lvsha.errors import KernelError
from lvsha.kernel.links import Link
from lvsha.kernel.macvlan import Macvlans
from lvsha.kernel.netlink import RefusedError
from lvsha.kernel.sysctl import Sysctl
from lvsha.model import virtual_interface
from lvsha.speaker.spec import InstanceSpec

VIRTUAL = bytes.fromhex("00005e00")
"""How every virtual MAC begins."""


def name_of(spec: InstanceSpec) -> str:
    """What an instance's macvlan is called."""
    return virtual_interface(spec.family, spec.vrid)


def mac_of(spec: InstanceSpec) -> bytes:
    """RFC 9568, section 7.3: 00-00-5E-00-01-VRID for IPv4, 00-00-5E-00-02-VRID for IPv6."""
    return bytes((0x00, 0x00, 0x5E, 0x00, 1 if spec.family == 4 else 2, spec.vrid))


class VirtualMacs:
    """The macvlans of all instances."""

    def __init__(self, macvlans: Macvlans, sysctl: Sysctl) -> None:
        self._macvlans = macvlans
        self._sysctl = sysctl
        self._tasks: set[asyncio.Task[None]] = set()
        self.troubles: dict[str, str] = {}
        """Name of a macvlan -> why it could not be made."""

    def make(self, spec: InstanceSpec, parent: Link) -> None:
        """Have the instance's macvlan; the kernel tells when it is there."""
        self._begin(self._make(name_of(spec), parent, mac_of(spec)))

    def set_up(self, link: Link, *, up: bool) -> None:
        """Let it speak, or not."""
        self._begin(self._macvlans.set_up(link.index, up=up), link.name)

    def remove(self, link: Link) -> None:
        """The instance is no more."""
        self._begin(self._macvlans.remove(link.index), link.name)

    async def settled(self) -> None:
        """Wait until all of it is done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, name: str, parent: Link, mac: bytes) -> None:
        try:
            await self._macvlans.create(name, parent.index, mac)
        except RefusedError as error:
            if error.refusal.errno != errno.EEXIST:
                self.troubles[name] = str(error)
                return
        self.troubles.pop(name, None)
        self._sysctl.settle(
            {
                # It has the addresses that it is given, and makes none of its own.
                f"net/ipv6/conf/{name}/addr_gen_mode": 1,
                f"net/ipv4/conf/{name}/arp_ignore": 1,
                f"net/ipv4/conf/{name}/rp_filter": 2,
                f"net/ipv4/conf/{parent.name}/arp_ignore": 1,
                # Replies leave over the interface below. Its question for a client's MAC must not name
                # the virtual address as its sender: the client would learn the wrong MAC from it.
                f"net/ipv4/conf/{parent.name}/arp_announce": 2,
            }
        )

    def _begin(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        task = asyncio.get_running_loop().create_task(self._quietly(work, name), name=f"macvlan {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """What the kernel refuses of an interface that is there is told by its state."""
        try:
            await work
        except RefusedError as error:
            # One that has gone with the interface below is missed anyway.
            if error.refusal.errno != errno.ENODEV:
                self.troubles[name] = str(error)
        except KernelError as error:
            self.troubles[name] = str(error)
