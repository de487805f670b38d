"""What the speaker knows of interfaces and addresses: seen once, then followed as the kernel tells changes.

Where the kernel had more to tell than its buffer holds (somebody adds thousands of addresses), everything is
seen anew. That takes a while, and a cable may be pulled meanwhile: what was told since the look began is
newer than parts of it. So it is taken at once, as ever, and once more behind the look; of each interface and
address the last word only, so that it is no more than there are of them. A look that fails is tried again,
for until one succeeds nobody knows what was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from lvsha.errors import KernelError
from lvsha.kernel.addresses import Held, Place
from lvsha.kernel.links import Link
from lvsha.kernel.watch import AddressChanged, AddressGone, Change, LinkChanged, LinkGone, Missed, Watch

RETRY: Final = 1.0
"""Seconds until a look that failed is tried again."""


class Observer(Protocol):
    """Who is told (`News`)."""

    def everything(self, links: list[Link], held: list[Held]) -> None:
        """The whole state, looked at anew."""

    def changed(self, changes: Iterable[Change]) -> None:
        """Interfaces or addresses changed."""


class Links(Protocol):
    """What is used of `lvsha.kernel.links.Links`."""

    async def observe(self) -> list[Link]:
        """Every interface. Raises KernelError."""


class Addresses(Protocol):
    """What is used of `lvsha.kernel.addresses.Addresses`."""

    async def observe(self) -> list[Held]:
        """Every address. Raises KernelError."""


class Sight:
    """Keeps one observer up to date."""

    def __init__(
        self,
        watch: Watch,
        links: Links,
        addresses: Addresses,
        observer: Observer,
        failed: Callable[[KernelError], None],
    ) -> None:
        """`failed` is called with what went wrong in a look that will be tried again."""
        self._watch = watch
        self._links = links
        self._addresses = addresses
        self._observer = observer
        self._failed = failed
        self._missed = asyncio.Event()
        self._since: dict[int | Place, Change] | None = None
        """While a look is under way: the last word about each, by the index of an interface or by a place."""

    async def look(self) -> None:
        """See everything. Raises KernelError."""
        self._since = {}
        try:
            links, held = await self._links.observe(), await self._addresses.observe()
            # What was put here meanwhile has been told, and is not to be taken for lost.
            self.read()
            self._observer.everything(links, _as_of_now(held, self._since.values()))
            self._observer.changed(self._since.values())
        finally:
            self._since = None

    def read(self) -> None:
        """Take what the kernel has told; for the event loop, when the watch is readable."""
        changes = self._watch.receive()
        self._observer.changed(changes)
        for change in changes:
            self._keep(change)

    async def run(self) -> None:
        """Look anew whenever something was missed, for ever."""
        while True:
            await self._missed.wait()
            self._missed.clear()
            try:
                await self.look()
            except KernelError as error:
                self._failed(error)
                self._missed.set()
                await asyncio.sleep(RETRY)

    def _keep(self, change: Change) -> None:
        if isinstance(change, Missed):
            self._missed.set()
        elif self._since is not None:
            about = _about(change)
            # Behind all others: what a name means depends on the order.
            self._since.pop(about, None)
            self._since[about] = change


def _as_of_now(held: Iterable[Held], since: Iterable[Change]) -> list[Held]:
    """The addresses that were seen, and what became of them since."""
    found = {one.place: one for one in held}
    for change in since:
        match change:
            case AddressChanged(one):
                found[one.place] = one
            case AddressGone(one):
                found.pop(one.place, None)
            case _:
                pass
    return list(found.values())


def _about(change: LinkChanged | LinkGone | AddressChanged | AddressGone) -> int | Place:
    match change:
        case LinkChanged(link) | LinkGone(link):
            return link.index
        case AddressChanged(held) | AddressGone(held):
            return held.place
