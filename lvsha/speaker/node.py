"""The machine as its instances see it: interfaces, its own addresses, and what they share.

The tables are filled by one look at the kernel and kept by what it tells afterwards
(`lvsha.kernel.watch`); nothing is polled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from lvsha.kernel.addresses import OURS, Held, Place
from lvsha.kernel.links import Link
from lvsha.kernel.sysctl import Sysctl, SysctlError, read
from lvsha.speaker.announce import Announcements
from lvsha.speaker.conflicts import Conflicts
from lvsha.speaker.directing import Directing
from lvsha.speaker.lease import Leases
from lvsha.speaker.pulse import Pulse
from lvsha.speaker.sockets import Sockets
from lvsha.speaker.spec import InstanceSpec
from lvsha.speaker.virtual_mac import VirtualMacs
from lvsha.wire.announce import Announcer

Address = IPv4Address | IPv6Address

_TENTATIVE = 0x40
_OPTIMISTIC = 0x04
_DAD_FAILED = 0x08


class Say(Protocol):
    """How something is told to the operator: by a name of the catalogue of events, with its fields."""

    def __call__(self, event: str, **fields: object) -> None:
        """Tell it."""


class Tables:
    """Interfaces by name, and every address on them."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self._held: dict[Place, Held] = {}

    def fill(self, links: Iterable[Link], held: Iterable[Held]) -> None:
        """Everything anew."""
        self.links = {link.name: link for link in links}
        self._held = {one.place: one for one in held}

    def link(self, link: Link) -> str | None:
        """An interface came or changed; its former name, if it had another."""
        former = next(
            (n for n, other in self.links.items() if other.index == link.index and n != link.name), None
        )
        if former is not None:
            del self.links[former]
        self.links[link.name] = link
        return former

    def unlink(self, link: Link) -> None:
        """An interface is gone, and with it its addresses."""
        self.links.pop(link.name, None)
        self._held = {place: one for place, one in self._held.items() if place.index != link.index}

    def address(self, held: Held) -> None:
        """An address came or changed."""
        self._held[held.place] = held

    def unaddress(self, held: Held) -> None:
        """An address is gone."""
        self._held.pop(held.place, None)

    def ours(self, known: Collection[Place] = ()) -> list[Place]:
        """The addresses that lvsha put here, this process or one before it.

        They are marked; where the kernel is too old for marks, a process that knows where the one
        before it had them tells it. The same address elsewhere, as a real server has it on `lo`, is not ours.
        """
        return [place for place, one in self._held.items() if one.mark == OURS or place in known]

    def otherwise(self, places: Iterable[Place]) -> list[Place]:
        """The same addresses of IPv6, on the same interfaces, with other prefix lengths."""
        wanted = {(p.address.ip.packed, p.index): p for p in places if p.address.version == 6}
        found = self._held if wanted else ()
        return [one for one in found if wanted.get((one.address.ip.packed, one.index), one) != one]

    def foreign(self, addresses: Collection[Address]) -> list[Place]:
        """Where somebody else has put any of these addresses, as far as the kernel knows by whom."""
        return [p for p, one in self._held.items() if one.mark != OURS and p.address.ip in addresses]

    def present(self, address: Address) -> bool:
        """Whether the machine has an address, on any interface."""
        return any(place.address.ip == address for place in self._held)

    def source(self, spec: InstanceSpec, virtual: frozenset[Address]) -> Address | None:
        """The address that an instance sends from: as told, else the interface's first that is not virtual.

        Multicast over IPv6 is sent from a link-local address (RFC 9568, 5.1.2.1).
        """
        if spec.source is not None:
            return spec.source if self.present(spec.source) else None
        link = self.links.get(spec.interface)
        if link is None:
            return None
        local = spec.family == 6 and (not spec.peers or spec.peers[0].is_link_local)
        own = (
            one
            for place, one in self._held.items()
            if place.index == link.index and one.mark != OURS and place.address.ip not in virtual
        )
        fit = [
            one for one in own if _usable(one, spec.family) and one.place.address.ip.is_link_local == local
        ]
        # Where the first of a network is taken away, the next has not been told as the first yet.
        fit.sort(key=lambda one: spec.family == 4 and one.secondary)
        return fit[0].place.address.ip if fit else None


def _usable(held: Held, family: int) -> bool:
    if held.place.address.version != family:
        return False
    tentative = held.flags & _TENTATIVE and not held.flags & _OPTIMISTIC
    return not tentative and not held.flags & _DAD_FAILED


@dataclass(slots=True)
class Node:
    """What all instances share."""

    tables: Tables
    sockets: Sockets
    pulse: Pulse
    leases: Leases
    announcements: Announcements
    conflicts: Conflicts
    virtual_macs: VirtualMacs
    directing: Directing
    announcer: Announcer
    say: Say
    advertised: Callable[[str, float], None]
    """Keeps the time of a group's last advert over a crash."""
    sysctl: Sysctl
    virtual: frozenset[Address] = field(default_factory=frozenset)
    """Every virtual address of every instance."""
    _prepared: set[int] = field(default_factory=set)

    def forwards(self, interface: str) -> bool:
        """Whether the machine is an IPv6 router on an interface."""
        with contextlib.suppress(SysctlError):
            return read(f"net/ipv6/conf/{interface}/forwarding") not in ("", "0")
        return False

    def prepare(self, interface: str) -> None:
        """Make an interface fit to hold virtual addresses, once.

        When the first IPv4 address of a network is removed, the kernel removes the others of that
        network with it (net/ipv4/devinet.c, __inet_del_ifa), unless it is told to promote them. The
        first may be a virtual one, and the others somebody else's.
        """
        link = self.tables.links.get(interface)
        if link is None or link.index in self._prepared:
            return
        self._prepared.add(link.index)
        settled = self.sysctl.settle({f"net/ipv4/conf/{interface}/promote_secondaries": 1})
        for change in settled.changes:
            self.say("sysctl.changed", name=change.name, before=change.before, after=change.after)
        for failure in settled.failures:
            self.say("sysctl.failed", name=failure.name, value="1", error=str(failure))
