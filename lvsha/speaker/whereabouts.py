"""An instance's addresses that are not where they should be: each is told once, until that is over.

A master may lack some of its addresses: an interface that they belong on, other than the instance's own, is
not there, which is no fault. And somebody else may have put one here, by hand or by the system's own network
settings: it stays when another node is master, and what is sent to it is taken by both.
"""

from __future__ import annotations

from collections.abc import Mapping

from lvsha.kernel.addresses import Place
from lvsha.speaker.node import Node
from lvsha.speaker.spec import VirtualAddress

Belongings = Mapping[VirtualAddress, str]
"""The addresses, and the name of the interface that each is on while it is held."""


class Whereabouts:
    """Those of one instance."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._homeless: set[VirtualAddress] = set()
        """Those without an interface that were told of."""
        self._foreign: set[Place] = set()
        """Those of somebody else that were told of."""

    def held(self, wanted: Belongings) -> None:
        """The node is master: which of them cannot be put?"""
        missing = {virtual for virtual, where in wanted.items() if where not in self._node.tables.links}
        for virtual in missing - self._homeless:
            where = wanted[virtual]
            self._say("vip.failed", str(virtual.address), where, error=f"{where} does not exist")
        self._homeless, self._foreign = missing, set()

    def absent(self, wanted: Belongings) -> None:
        """Another node is master: which of them are here all the same?"""
        names = {link.index: link.name for link in self._node.tables.links.values()}
        # With a virtual MAC, on the interface below as well.
        here = {name for virtual, where in wanted.items() for name in (where, virtual.interface)}
        places = self._node.tables.foreign({virtual.address.ip for virtual in wanted})
        foreign = {p for p in places if names.get(p.index) in here and not self._node.leases.holds(p)}
        for place in foreign - self._foreign:
            self._say("vip.foreign", str(place.address), names[place.index])
        self._homeless, self._foreign = set(), foreign

    def _say(self, event: str, address: str, interface: str, **more: str) -> None:
        self._node.say(event, address=address, interface=interface, **more)
