"""One virtual router's hands and ears: its sockets, addresses, announcements and trackers.

The election is the group's (`shell`, `lvsha.vrrp`); an `Instance` packs and sends what the group
says, lets in what it hears, holds addresses while it is told to, and sums up what its trackers
find into a priority and a set of faults.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from lvsha.kernel.addresses import Place
from lvsha.kernel.links import Link
from lvsha.speaker import trackers
from lvsha.speaker.announce import Target
from lvsha.speaker.carrier import Carrier
from lvsha.speaker.conflicts import Twin
from lvsha.speaker.node import Node
from lvsha.speaker.spec import Hmac, InstanceSpec, InterfaceTracker, Password, Tracker, VirtualAddress
from lvsha.speaker.trackers.base import Standing, standing
from lvsha.speaker.virtual_mac import mac_of, name_of
from lvsha.speaker.whereabouts import Whereabouts
from lvsha.vrrp.admission import Admission
from lvsha.vrrp.auth import Key, Keyring, Mode
from lvsha.vrrp.member import Spec, effective_priority
from lvsha.vrrp.packet import Advert, PacketError, Reason, pack
from lvsha.wire.advert import Datagram, frame, group

Address = IPv4Address | IPv6Address

QUIET = 10.0
"""Seconds between two reports of one kind: what is heard can be forged and must not flood a log."""
LATER = 0.1
"""Seconds beyond that after which something is surely said again."""

_NO_LINK = (errno.ENODEV, errno.ENXIO, errno.ENETDOWN)
"""An advert that cannot be sent for want of an interface is no news: that it is gone was told."""
_NOWHERE: dict[int, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
_FORGED = frozenset(reason for reason in Reason if reason.value.startswith("auth_")) | {Reason.PASSWORD}


class Owner(Protocol):
    """The group that an instance belongs to."""

    def heard(self, instance: Instance, advert: Advert, source: Address) -> None:
        """An advert that was let in."""

    def faulty(self, instance: Instance, name: str, bad: bool) -> None:
        """Something without which the instance may not be master failed, or is well again."""

    def reworded(self) -> None:
        """What is wrong with an instance is something else now."""

    def reprioritised(self, instance: Instance, priority: int) -> None:
        """Trackers made this the priority."""

    def moved(self, instance: Instance, source: Address) -> None:
        """The address that adverts come from is another one."""

    def judged(self) -> None:
        """A tracker has had its word."""


class Instance:
    """The shell of one virtual router."""

    def __init__(self, spec: InstanceSpec, node: Node, owner: Owner) -> None:
        self.spec = spec
        self.source: Address = _NOWHERE[spec.family]
        self.sent = 0
        self.unsent: Counter[str] = Counter()
        self.standings: dict[str, Standing] = {}
        self.faults: dict[str, str] = {}
        """What forbids to be master -> why."""
        self._node = node
        self._owner = owner
        self._admission = self._door()
        self._holding = False
        self._whereabouts = Whereabouts(node)
        self._carriers: dict[str, Carrier] = {}
        """Of its own interface and of those that it tracks."""
        self._again: asyncio.TimerHandle | None = None
        """When a carrier counts, or it is to be said once more that there is none."""
        self._cut_off = ""
        """What is wrong with an interface that needs no carrier."""
        self._tasks: dict[Tracker, asyncio.Task[None]] = {}
        self._quiet: dict[str, tuple[float, int]] = {}

    # --- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to listen and to track."""
        spec = self.spec
        self._node.sockets.listen(spec.interface, spec.family, spec.vrid, self._hear)
        self.look()
        for tracker in spec.trackers:
            self._track(tracker)

    def close(self) -> None:
        """Give up addresses, sockets and trackers."""
        self.release()
        self._unmake(self.spec)
        self._node.sockets.forget(self.spec.interface, self.spec.family, self.spec.vrid, self._hear)
        self._look_again(None)
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def respec(self, spec: InstanceSpec) -> None:
        """Other settings, from now on."""
        old, self.spec = self.spec, spec
        if old.interface != spec.interface:
            self._cut_off = ""
        followed = {tracker.interface for tracker in spec.trackers if isinstance(tracker, InterfaceTracker)}
        followed |= {spec.interface} if spec.needs_carrier else set()
        # What happens to the others meanwhile is not seen, and one that comes back later is as at the start.
        self._carriers = {name: known for name, known in self._carriers.items() if name in followed}
        old_door = self._admission
        self._admission = self._door()
        self._admission.succeed(old_door)
        if (old.interface, old.family, old.vrid) != (spec.interface, spec.family, spec.vrid):
            self._node.sockets.forget(old.interface, old.family, old.vrid, self._hear)
            self._node.sockets.listen(spec.interface, spec.family, spec.vrid, self._hear)
        below = (name_of(old), old.interface) == (name_of(spec), spec.interface)
        if old.virtual_mac and not (spec.virtual_mac and below):
            self._unmake(old)
        self._retrack(old)
        self.look()

    # --- the machine around it -------------------------------------------------------------------

    def look(self) -> None:
        """The node's interfaces or addresses changed: what does it mean for this instance?"""
        self._look_again(None)
        link = self._node.tables.links.get(self.spec.interface)
        # Not as a tracker of the same interface is called, which may stand otherwise.
        self._fault(f"link {self.spec.interface}", self._trouble(link))
        deaf = self._node.sockets.trouble(self.spec.interface, self.spec.family)
        self._fault("socket", f"no socket for adverts on {self.spec.interface}: {deaf}" if deaf else "")
        self._look_at_source()
        self._look_at_device(link)
        if not self._holding:
            self._whereabouts.absent(self._belongings())
        for virtual in self.spec.every_address:
            self._node.prepare(self._where(virtual))
        for tracker in self.spec.trackers:
            if isinstance(tracker, InterfaceTracker):
                self._look_at_interface(tracker)

    def _trouble(self, link: Link | None) -> str:
        """What keeps the instance's own interface from being of use; empty: nothing."""
        if link is not None and not self.spec.needs_carrier:
            self._tell_of_link(link)
            return link.deaf
        return self._unusable(self.spec.interface, link) or (link.deaf if link is not None else "")

    def _tell_of_link(self, link: Link) -> None:
        if link.trouble:
            # What is sent meanwhile the kernel takes, and throws away.
            self._tell_quietly("vrrp.link_lost", "", detail=link.trouble)
            self._look_again(asyncio.get_running_loop().time() + QUIET + LATER)
        elif self._cut_off:
            self._say("vrrp.link_back")
            self._quiet.pop("vrrp.link_lost ", None)
        self._cut_off = link.trouble

    def _unusable(self, name: str, link: Link | None) -> str:
        """Why an interface cannot be used, or not yet; it is looked at again when its carrier counts."""
        delay, now = self.spec.carrier_delay, asyncio.get_running_loop().time()
        carrier = self._carriers.setdefault(name, Carrier())
        new = carrier.see(link, now)
        if link is None:
            return f"{name} does not exist"
        due = carrier.settled_at(delay)
        if link.trouble or now >= due:
            return link.trouble
        self._look_again(due)
        if new:
            self._node.say("vrrp.settling", instance=self.spec.name, interface=name, seconds=delay)
        return f"{name} has had its carrier for less than {delay:g} s"

    def _look_again(self, when: float | None) -> None:
        """At that time at the latest, if nothing makes it look before; None: not by itself."""
        if self._again is not None:
            when = None if when is None else min(when, self._again.when())
            self._again.cancel()
        self._again = None if when is None else asyncio.get_running_loop().call_at(when, self.look)

    def _look_at_source(self) -> None:
        source = self._node.tables.source(self.spec, self._node.virtual)
        wanted = self.spec.source or f"IPv{self.spec.family} address to send from"
        self._fault("source", "" if source else f"{self.spec.interface} has no {wanted}")
        if source is not None and source != self.source:
            self.source = source
            self._owner.moved(self, source)

    def may_send_from(self, place: Place) -> bool:
        """Whether an address may be what adverts come from."""
        link = self._node.tables.links.get(self.spec.interface)
        return place.address.ip == self.spec.source or (link is not None and link.index == place.index)

    def _look_at_device(self, parent: Link | None) -> None:
        """The interface with the virtual MAC: made when it is missing and can be."""
        if not self.spec.virtual_mac:
            return
        name, device = name_of(self.spec), self._device()
        if parent is not None and device is None:
            self._node.virtual_macs.make(self.spec, parent)
        trouble = self._node.virtual_macs.troubles.get(name, f"{name} is not there yet")
        if device is not None:
            trouble = "" if device.mac == mac_of(self.spec) else f"{name} is somebody else's: another MAC"
            if self._holding and not device.up:
                # Somebody has set it down, and the addresses on it answer nobody.
                self._speak(up=True)
        self._fault(f"interface {name}", trouble)

    def _unmake(self, spec: InstanceSpec) -> None:
        """Remove the interface with the virtual MAC, if there is one and it is ours."""
        device = self._node.tables.links.get(name_of(spec))
        if spec.virtual_mac and device is not None and device.mac == mac_of(spec):
            self._node.virtual_macs.remove(device)
        self._fault(f"interface {name_of(spec)}", "")

    def _device(self) -> Link | None:
        """The interface that the virtual addresses of the instance's own interface are on."""
        name = name_of(self.spec) if self.spec.virtual_mac else self.spec.interface
        return self._node.tables.links.get(name)

    def _where(self, virtual: VirtualAddress) -> str:
        """The name of the interface that an address is on."""
        own = self.spec.virtual_mac and virtual.interface == self.spec.interface
        return name_of(self.spec) if own else virtual.interface

    def _look_at_interface(self, tracker: InterfaceTracker) -> None:
        link = self._node.tables.links.get(tracker.interface)
        trouble = self._unusable(tracker.interface, link)
        self.stand(tracker.name, standing(not trouble, tracker.weight, trouble))

    # --- adverts ------------------------------------------------------------------------------------

    def member(self) -> Spec:
        """The settings as the election knows them."""
        spec = self.spec
        return Spec(
            name=spec.name,
            vrid=spec.vrid,
            source=self.source,
            priority=spec.priority,
            addresses=tuple(virtual.address.ip for virtual in spec.addresses),
            version=spec.version,
            interval=spec.interval,
            preempt=spec.preempt,
            preempt_delay=spec.preempt_delay,
            start_delay=spec.start_delay,
            accept=spec.accept,
            witness=spec.witness is not None,
            password=spec.auth.password.encode() if isinstance(spec.auth, Password) else None,
        )

    def send(self, advert: Advert) -> bool:
        """Send an advert to the group or to every unicast peer; whether it went to all."""
        spec, went = self.spec, True
        trailer = b""
        for destination in spec.peers or (group(spec.family),):
            payload = pack(advert, self.source, destination, checksum=spec.checksum.value)
            if self._admission.keyring is not None:
                trailer = trailer or self._admission.keyring.sign(payload, self.source, time.time())
                payload = pack(
                    advert, self.source, destination, checksum=spec.checksum.value, trailer=trailer
                )
            try:
                self._put_on_wire(payload, destination)
            except OSError as error:
                went = False
                self.unsent[str(error.strerror)] += 1
                if error.errno in _NO_LINK:
                    continue
                self._tell_quietly("vrrp.unsent", str(destination), error=f"{destination}: {error.strerror}")
        self.sent += 1
        return went

    def _put_on_wire(self, payload: bytes, destination: Address) -> None:
        spec = self.spec
        if spec.virtual_mac and destination.is_multicast:
            self._node.announcer.send(spec.interface, frame(payload, self.source, destination, mac_of(spec)))
        else:
            self._node.sockets.send(spec.interface, spec.family, payload, self.source, destination)

    def _hear(self, datagram: Datagram) -> None:
        source = datagram.source
        try:
            advert = self._admission.admit(
                datagram.payload, source, datagram.destination, datagram.ttl, time.time()
            )
        except PacketError as error:
            event = "vrrp.forged" if error.reason in _FORGED else "vrrp.refused"
            # By reason, not by source: whoever forges sources would get a line for each.
            self._tell_quietly(
                event, error.reason.value, reason=error.reason.value, source=str(source), detail=error.detail
            )
            return
        self._owner.heard(self, advert, source)

    @property
    def received(self) -> int:
        """Adverts that were let in."""
        return self._admission.admitted

    @property
    def dropped(self) -> dict[str, int]:
        """Adverts that were not, by reason."""
        return {reason.value: count for reason, count in self._admission.refused.items()}

    def _door(self) -> Admission:
        spec = self.spec
        keyring = _keyring(spec.auth, spec) if isinstance(spec.auth, Hmac) else None
        return Admission(self.member(), peers=spec.peers, ttl_min=spec.ttl_min, keyring=keyring)

    # --- addresses --------------------------------------------------------------------------------

    def hold(self) -> None:
        """Have the addresses on this node, now and while they are not released."""
        spec = self.spec
        if spec.virtual_mac and not self._holding:
            self._speak(up=True)
        self._holding = True
        self._whereabouts.held(self._belongings())
        self._node.leases.hold(spec.name, self.places(), spec.lease)
        self._node.conflicts.watch(spec.name, self.by_interface(), self._twin())

    def _twin(self) -> Twin | None:
        """The virtual MAC, as another master of the same virtual router has it too."""
        if not self.spec.virtual_mac:
            return None
        return Twin(name_of(self.spec), mac_of(self.spec).hex(":"), self.spec.interface)

    def release(self) -> None:
        """Have them no more."""
        if self.spec.virtual_mac:
            self._speak(up=False)
        self._holding = False
        self._node.announcements.end(self.spec.name)
        self._node.leases.drop(self.spec.name)
        self._node.conflicts.watch(self.spec.name, {})

    def _speak(self, *, up: bool) -> None:
        device = self._device()
        if device is not None:
            self._node.virtual_macs.set_up(device, up=up)

    def rehold(self) -> None:
        """Interfaces changed: what was held on one that is another now is held there."""
        if self._holding:
            self.hold()

    def announce(self, places: Sequence[Place]) -> None:
        """These addresses are here since now: tell the neighbours."""
        links = {link.index: link for link in self._node.tables.links.values()}
        targets = [
            Target(place.address.ip, link.name, link.mac, router=self._routes(place.address.ip, link.name))
            for place in places
            if (link := links.get(place.index)) is not None
        ]
        self._node.announcements.begin(self.spec.name, targets, self.spec.garp)

    def reannounce(self, index: int) -> None:
        """The interface of that index has another MAC: say so of every address that is on it."""
        here = [p for p in self.places() if p.index == index and self._node.leases.holds(p)]
        if self._holding and here:
            self.announce(here)

    def _routes(self, address: Address, interface: str) -> bool:
        """What the router flag of a neighbour advertisement says (RFC 4861, 7.2.5; RFC 9568, 6.4.1)."""
        return address.version == 6 and self._node.forwards(interface)

    def _belongings(self) -> dict[VirtualAddress, str]:
        """Every address, and the name of the interface that it is on."""
        return {virtual: self._where(virtual) for virtual in self.spec.every_address}

    def by_interface(self) -> dict[str, frozenset[Address]]:
        """The addresses by the names of the interfaces that they belong on."""
        found: dict[str, set[Address]] = {}
        for virtual in self.spec.every_address:
            found.setdefault(self._where(virtual), set()).add(virtual.address.ip)
        return {name: frozenset(addresses) for name, addresses in found.items()}

    def places(self) -> list[Place]:
        """Where the addresses belong, as far as the interfaces are there."""
        links = self._node.tables.links
        return [
            Place(virtual.address, links[name].index)
            for virtual in self.spec.every_address
            if (name := self._where(virtual)) in links
        ]

    # --- trackers ---------------------------------------------------------------------------------

    @property
    def priority(self) -> int:
        """With everything that trackers add."""
        return effective_priority(self.spec.priority, [s.weight for s in self.standings.values()])

    @property
    def unjudged(self) -> frozenset[str]:
        """The trackers that have said nothing yet."""
        return frozenset(tracker.name for tracker in self._tasks) - self.standings.keys()

    def stand(self, name: str, now: Standing) -> None:
        """A tracked thing stands so."""
        before, priority = self.standings.get(name, Standing()), self.priority
        self.standings[name] = now
        if before.ok != now.ok:
            event = "tracker.recovered" if now.ok else "tracker.failed"
            weight = abs(now.weight or before.weight)
            self._say(event, tracker=name, weight=weight, detail=now.why)
        self._fault(name, now.why or "failed" if now.fault else "")
        if self.priority != priority:
            self._say("vrrp.priority", priority=self.priority, before=priority, why=f"{name}: {now.why}")
            self._owner.reprioritised(self, self.priority)
        self._owner.judged()

    def unstand(self, name: str) -> None:
        """A thing is tracked no more."""
        if name in self.standings:
            self.stand(name, Standing(why="is not tracked any more"))
            del self.standings[name]

    def _fault(self, name: str, why: str) -> None:
        known = self.faults.get(name)
        if why:
            self.faults[name] = why
        else:
            self.faults.pop(name, None)
        if (known is None) == bool(why):
            self._owner.faulty(self, name, bool(why))
        elif known != (why or None):
            self._owner.reworded()

    def _track(self, tracker: Tracker) -> None:
        task = trackers.start(tracker, self.spec.interface, lambda now: self.stand(tracker.name, now))
        if task is not None:
            self._tasks[tracker] = task

    def _retrack(self, old: InstanceSpec) -> None:
        """Trackers that stay as they are go on undisturbed."""
        if old.interface != self.spec.interface:
            self._fault(f"link {old.interface}", "")
        kept = {tracker.name for tracker in self.spec.trackers}
        for tracker in set(old.trackers) - set(self.spec.trackers):
            task = self._tasks.pop(tracker, None)
            if task is not None:
                task.cancel()
            # One that is only set otherwise stands as it stood until it has its first word again.
            if tracker.name not in kept:
                self.unstand(tracker.name)
        for tracker in self.spec.trackers:
            if tracker not in old.trackers:
                self._track(tracker)

    # --- telling ----------------------------------------------------------------------------------

    def _say(self, event: str, **fields: object) -> None:
        self._node.say(event, instance=self.spec.name, interface=self.spec.interface, **fields)

    def _tell_quietly(self, event: str, what: str, **fields: object) -> None:
        """Tell it at once, then at most every QUIET seconds with the number of times since."""
        now = asyncio.get_running_loop().time()
        key = f"{event} {what}"
        last, count = self._quiet.get(key, (float("-inf"), 0))
        if now - last < QUIET:
            self._quiet[key] = last, count + 1
            return
        self._quiet[key] = now, 0
        self._say(event, count=count + 1, **fields)


def _keyring(auth: Hmac, spec: InstanceSpec) -> Keyring:
    keys = [Key(number, bytes.fromhex(key)) for number, key in auth.keys.items()]
    window = auth.window if auth.window is not None else max(3 * spec.interval, 5.0)
    return Keyring(keys, auth.active, mode=Mode(auth.mode.value), window=window, senders=len(spec.peers))
