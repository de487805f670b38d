"""Somebody else announces an address that is held here: heard, and told at most once a minute.

There is a listener on an interface only while an address of it is held. A claim is told when the
address is still held here half a second later: a peer that takes over announces it too, right
behind the advert that makes this node give it up, and the two may be read in either order.

The same ears hear what is expected: that a new master announces what was held here until now.

Another master with the same virtual MAC is heard on the interface below alone: to the kernel, a frame
from a MAC of its own is one that the macvlan has sent (drivers/net/macvlan.c, macvlan_handle_frame).
What a machine sends does not come in there, unless the network returns it; then it comes right after it
was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from lvsha.wire.conflict import ArpListener, Claim, NeighbourListener

Address = IPv4Address | IPv6Address
Listener = ArpListener | NeighbourListener
Held = Mapping[str, frozenset[Address]]
"""Addresses by interface."""

PATIENCE = 0.5
PERIOD = 60.0
"""Seconds between two reports about one address."""
BATCH = 16


@dataclass(frozen=True, slots=True)
class Twin:
    """An interface with a virtual MAC, whose like another machine may have."""

    name: str
    mac: str
    below: str
    """The interface that it is on."""


class Conflicts:
    """Watches all held addresses."""

    def __init__(
        self,
        claimed: Callable[[str, Claim], None],
        announced: Callable[[Address], None] = lambda _: None,
        spoke: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`claimed` is called with an interface and what was heard there, `announced` with an awaited one.

        `spoke` tells of an interface whether something was announced there just now: that may be what is
        heard.
        """
        self._claimed = claimed
        self._announced = announced
        self._spoke = spoke
        self._owners: dict[str, Held] = {}
        self._twins: dict[str, Twin] = {}
        self._expected: Held = {}
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._heard: dict[tuple[str, Address], float] = {}

    def watch(self, owner: str, addresses: Held, twin: Twin | None = None) -> None:
        """The owner holds these, some on `twin`; none when it holds nothing any more."""
        before = self._interfaces()
        self._owners[owner] = addresses
        self._twins.pop(owner, None)
        if twin is not None:
            self._twins[owner] = twin
        for interface in before | self._interfaces():
            self._refresh(interface)

    def expect(self, addresses: Held) -> None:
        """Somebody else is to announce these and no others."""
        before = self._interfaces()
        self._expected = addresses
        for interface in before | self._interfaces():
            self._refresh(interface)

    def reopen(self, interface: str) -> None:
        """The interface of this name is another one now, or gone."""
        for family in (4, 6):
            self._close(interface, family)
        if interface in self._interfaces():
            self._refresh(interface)

    def close(self) -> None:
        """Listen no more."""
        for interface, family in list(self._listeners):
            self._close(interface, family)

    def _interfaces(self) -> set[str]:
        below = {twin.below for twin in self._twins.values()}
        return below | {interface for addresses in self._everything() for interface in addresses}

    def _everything(self) -> list[Held]:
        return [*self._owners.values(), self._expected]

    def _refresh(self, interface: str) -> None:
        held = [a for each in self._everything() for a in each.get(interface, ())]
        held += [a for _, addresses in self._above(interface) for a in addresses]
        for family in (4, 6):
            wanted = [address for address in held if address.version == family]
            if wanted:
                # An interface that is not there has nobody on it who could claim anything.
                with contextlib.suppress(OSError):
                    self._listener(interface, family).watch(wanted)
            else:
                self._close(interface, family)

    def _above(self, interface: str) -> Iterator[tuple[Twin, frozenset[Address]]]:
        """The interfaces with virtual MACs that are on this one, and what is held there."""
        for owner, twin in self._twins.items():
            if twin.below == interface:
                yield twin, self._owners[owner].get(twin.name, frozenset())

    def _listener(self, interface: str, family: int) -> Listener:
        known = self._listeners.get((interface, family))
        if known is not None:
            return known
        made: Listener = ArpListener(interface) if family == 4 else NeighbourListener(interface)
        self._listeners[interface, family] = made
        asyncio.get_running_loop().add_reader(made.fileno(), self._read, interface, made)
        return made

    def _close(self, interface: str, family: int) -> None:
        listener = self._listeners.pop((interface, family), None)
        if listener is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener.fileno())
            # The end of a packet socket waits until every processor is done with it, which on a busy machine
            # takes longer than an interval (synchronize_net() in packet_release(), net/packet/af_packet.c).
            loop.run_in_executor(None, listener.close)

    def _read(self, interface: str, listener: Listener) -> None:
        for _ in range(BATCH):
            try:
                claim = listener.receive()
            except OSError:
                return
            if claim is not None:
                self._hear(interface, claim)

    def _hear(self, interface: str, claim: Claim) -> None:
        if claim.address in self._expected.get(interface, ()):
            self._announced(claim.address)
        for twin, addresses in self._above(interface):
            if claim.address in addresses and claim.mac == twin.mac and not self._spoke(twin.name):
                self._doubt(twin.name, claim)
        if any(claim.address in each.get(interface, ()) for each in self._everything()):
            self._doubt(interface, claim)

    def _doubt(self, interface: str, claim: Claim) -> None:
        loop = asyncio.get_running_loop()
        key = interface, claim.address
        if loop.time() - self._heard.get(key, float("-inf")) >= PERIOD:
            self._heard[key] = loop.time()
            loop.call_later(PATIENCE, self._confirm, interface, claim)

    def _confirm(self, interface: str, claim: Claim) -> None:
        if any(claim.address in each.get(interface, ()) for each in self._owners.values()):
            self._claimed(interface, claim)
        else:
            self._heard.pop((interface, claim.address), None)
