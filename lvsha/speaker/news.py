"""What the kernel and the neighbours tell, and which instance it concerns.

Links come, go and lose their carrier; addresses are removed by others; somebody announces an
address that is held here; the kernel refuses one. All of it arrives here, is written into the
node's tables, handed to the groups, and told to the operator.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from lvsha.kernel.addresses import OURS, Addresses, Held, Place
from lvsha.kernel.links import Link
from lvsha.kernel.macvlan import Macvlans
from lvsha.kernel.netlink import Netlink
from lvsha.kernel.sysctl import Sysctl
from lvsha.kernel.watch import AddressChanged, AddressGone, Change, LinkChanged, LinkGone
from lvsha.speaker.announce import Announcements
from lvsha.speaker.conflicts import Conflicts
from lvsha.speaker.directing import Directing
from lvsha.speaker.lease import Leases
from lvsha.speaker.node import Address, Node, Say, Tables
from lvsha.speaker.pulse import Pulse
from lvsha.speaker.shell import Shell
from lvsha.speaker.sockets import Sockets
from lvsha.speaker.virtual_mac import VIRTUAL, VirtualMacs
from lvsha.wire.announce import Announcer, announcement, contradiction
from lvsha.wire.conflict import Claim

MAC_LENGTH = 6
GONE = 64
"""Interfaces whose names are known after them."""

Shells = Callable[[], Iterable[Shell]]


class News:
    """Makes the node, and keeps it in touch with the kernel and the instances."""

    def __init__(
        self,
        netlink: Netlink,
        announcer: Announcer,
        advertised: Callable[[str, float], None],
        say: Say,
        shells: Shells,
    ) -> None:
        self._say = say
        self._shells = shells
        self._broken: set[str] = set()
        """Interfaces that frames could not be sent on, told once until they change."""
        self._gone: dict[int, str] = {}
        """What the interfaces were called that went last: of their addresses there may be news yet."""
        sysctl = Sysctl()
        announcements = Announcements(announcer, self._broke, self.waking)
        conflicts = Conflicts(self._claimed, self._announced, announcements.spoke)
        self.node = Node(
            tables=Tables(),
            sockets=Sockets(self._broke, self._look),
            pulse=Pulse(self._overslept),
            leases=Leases(Addresses(netlink), self),
            announcements=announcements,
            conflicts=conflicts,
            virtual_macs=VirtualMacs(Macvlans(netlink), sysctl),
            directing=Directing(sysctl, say, conflicts.expect),
            announcer=announcer,
            sysctl=sysctl,
            say=say,
            advertised=advertised,
        )

    # --- the kernel ----------------------------------------------------------------------------

    def everything(self, links: Sequence[Link], held: Sequence[Held]) -> None:
        """The whole state, looked at anew."""
        before = dict(self.node.tables.links)
        present = {one.place for one in held}
        wanted = [place for place in self.node.leases.held() if place not in present]
        self.node.tables.fill(links, held)
        for name in set(before) - set(self.node.tables.links):
            self._bury(before[name])
        for link in links:
            self.node.sockets.link(link)
        for place in wanted:
            self._lost(place)
        self._look()

    def changed(self, changes: Iterable[Change]) -> None:
        """Interfaces or addresses changed."""
        look = [self._take(change) for change in changes]
        if any(look):
            self._look()

    def _take(self, change: Change) -> bool:
        """One change; whether the instances have to look."""
        match change:
            case LinkChanged(link):
                return self._link(link)
            case LinkGone(link):
                self.node.tables.unlink(link)
                self._bury(link)
                return True
            case AddressChanged(held):
                self.node.tables.address(held)
                # Nobody sends from an address that was put here.
                ours = held.mark == OURS or self.node.leases.holds(held.place)
                return not ours and self._concerns(held.place)
            case AddressGone(held):
                self.node.tables.unaddress(held)
                return not self._lost(held.place) and self._concerns(held.place)
            case _:
                return False

    def _link(self, link: Link) -> bool:
        before = self.node.tables.links.get(link.name)
        former = self.node.tables.link(link)
        if former is not None:
            self._forget(former)
        if before == link:
            return False
        self._broken.discard(link.name)
        self.node.sockets.link(link)
        if before is None or before.index != link.index:
            self.node.conflicts.reopen(link.name)
        elif before.mac != link.mac:
            self._remade(link)
        return True

    def _remade(self, link: Link) -> None:
        """An interface has another MAC (a bond's new leader): its neighbours go on asking the old one."""
        for shell in self._shells():
            for instance in shell.instances.values():
                instance.reannounce(link.index)

    def _bury(self, link: Link) -> None:
        self._gone[link.index] = link.name
        if len(self._gone) > GONE:
            del self._gone[next(iter(self._gone))]
        self._forget(link.name)

    def _forget(self, name: str) -> None:
        self.node.sockets.gone(name)
        self.node.conflicts.reopen(name)

    def _lost(self, place: Place) -> bool:
        """An address is gone; whether it was one that was put here."""
        known = self.node.leases.holds(place)
        if self.node.leases.lost(place) and self._name(place.index):
            self._say("vip.lost", **self._of(place))
        return known

    def _concerns(self, place: Place) -> bool:
        """Whether an instance has to look because of an address: others come and go by the thousand."""
        instances = (instance for shell in self._shells() for instance in shell.instances.values())
        return place.address.ip in self.node.virtual or any(i.may_send_from(place) for i in instances)

    def _look(self) -> None:
        for shell in list(self._shells()):
            shell.look()

    # --- leases, announcements, conflicts ------------------------------------------------------

    def waking(self) -> None:
        """What is late in the elections comes before leases and announcements."""
        for shell in list(self._shells()):
            shell.catch_up()

    def _overslept(self, seconds: float) -> None:
        for shell in list(self._shells()):
            shell.overslept(seconds)

    def otherwise(self, places: Sequence[Place]) -> list[Place]:
        """The same addresses of IPv6, on the same interfaces, with other prefix lengths."""
        return self.node.tables.otherwise(places)

    def put(self, owner: str, places: Sequence[Place]) -> None:
        """Addresses are here that were not before: announce them."""
        for shell in self._shells():
            if owner in shell.instances:
                shell.instances[owner].announce(places)
        for place in places:
            self._say("vip.added", **self._of(place))

    def removed(self, places: Sequence[Place]) -> None:
        """Addresses were taken away as wanted."""
        for place in places:
            self._say("vip.removed", **self._of(place))

    def refused(self, place: Place, why: str) -> None:
        """The kernel would not have an address."""
        self._say("vip.failed", **self._of(place), error=why)

    def _announced(self, address: Address) -> None:
        self.node.directing.announced(address)

    def _claimed(self, interface: str, claim: Claim) -> None:
        link = self.node.tables.links.get(interface)
        # No other machine has our MAC, unless it is a virtual one (RFC 9568, section 7.3).
        if link is None or link.mac.hex(":") != claim.mac or link.mac.startswith(VIRTUAL):
            self._say("vip.conflict", address=str(claim.address), interface=interface, mac=claim.mac)
            self._contradict(interface, claim)

    def _contradict(self, interface: str, claim: Claim) -> None:
        """Let the other one know, too; whoever it is, it is told once in a minute at most (`Conflicts`).

        With the same virtual MAC as ours it is told through all: a switch returns nothing to where it came
        from. No neighbour learns anything new by that.
        """
        link, claimant = self.node.tables.links.get(interface), bytes.fromhex(claim.mac.replace(":", ""))
        if link is not None and len(link.mac) == len(claimant) == MAC_LENGTH:
            if link.mac == claimant:
                router = claim.address.version == 6 and self.node.forwards(interface)
                frame = announcement(claim.address, link.mac, router=router)
            else:
                frame = contradiction(claim.address, link.mac, claimant)
            try:
                self.node.announcer.send(interface, frame)
            except OSError as error:
                self._broke(interface, error)

    def _broke(self, interface: str, error: OSError) -> None:
        # A link that is down is told as such by everything that depends on it.
        if error.errno not in (errno.ENETDOWN, errno.ENODEV, errno.ENXIO) and interface not in self._broken:
            self._broken.add(interface)
            self._say("speaker.hindered", interface=interface, error=error.strerror or str(error))

    def _of(self, place: Place) -> dict[str, str]:
        return {
            "address": str(place.address),
            "interface": self._name(place.index) or self._former(place.index),
        }

    def _name(self, index: int) -> str:
        links = self.node.tables.links.values()
        return next((link.name for link in links if link.index == index), "")

    def _former(self, index: int) -> str:
        return self._gone.get(index, str(index))
