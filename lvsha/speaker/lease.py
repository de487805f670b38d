"""The addresses this node should hold, and the loop that keeps it so.

Owners (instances) say what they hold; `Leases` compares that with what it has put into the
kernel and makes the difference good, in one batch for additions and one for removals, whatever
order the wishes came in: an instance that is master for an instant leaves nothing behind.

A lease is renewed every quarter of its lifetime. An address that somebody else removes is put
back; one that the kernel refuses is tried again every second. Netlink is waited for in a
thread (`lvsha.kernel.netlink`), so that whoever holds the kernel's routing lock does not hold up
an advert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lvsha.errors import KernelError
from lvsha.kernel.addresses import Addresses, Place

RETRY = 1.0
"""Seconds until a refused address is tried again."""
RENEWALS = 4
"""How often a lease is renewed within its lifetime."""
ARRIVAL, PAUSE = 1.0, 0.001
"""Seconds to wait for the kernel to deliver to a new address, and between two looks whether it does."""
SOME = 64
"""Addresses that are put or removed, noted and told of in one turn of the event loop: with thousands of them
adverts come in between, the first are announced before the last are there, and who loses them stops."""


class Listener(Protocol):
    """Who is told how the addresses fare."""

    def waking(self) -> None:
        """The kernel is about to be visited: what is wanted had better be up to date.

        A process that was frozen wakes with leases that have run out. Whether it is still to have those
        addresses is for the election to say first, whose timers are due as well.
        """

    def otherwise(self, places: Sequence[Place]) -> list[Place]:
        """The same addresses of IPv6, on the same interfaces, with other prefix lengths."""

    def put(self, owner: str, places: Sequence[Place]) -> None:
        """These are here now and were not before."""

    def removed(self, places: Sequence[Place]) -> None:
        """These were taken away as wanted."""

    def refused(self, place: Place, why: str) -> None:
        """The kernel would not have this one, again and again; told once."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one owner wants."""

    places: tuple[Place, ...]
    lifetime: int | None
    """Whole seconds; None: for ever."""


class Leases:
    """All addresses of all owners."""

    def __init__(self, addresses: Addresses, listener: Listener) -> None:
        self._addresses = addresses
        self._listener = listener
        self._wanted: dict[str, Holding] = {}
        self._put_at: dict[Place, float] = {}
        """When what is in the kernel was put or renewed last."""
        self._put_for: dict[Place, int | None] = {}
        """The lifetime that it was given then."""
        self._refused: dict[Place, float] = {}
        """When to try again."""
        self._removing: frozenset[Place] = frozenset()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, owner: str, places: Sequence[Place], lifetime: int | None) -> None:
        """From now on the owner holds these and no others."""
        self._wanted[owner] = Holding(tuple(places), lifetime)
        self._look()

    def drop(self, owner: str) -> None:
        """The owner holds nothing any more."""
        if self._wanted.pop(owner, None) is not None:
            self._look()

    def adopt(self, places: Sequence[Place]) -> None:
        """These are in the kernel already, from a process before this one.

        Those that somebody holds are renewed and kept, the others are removed.
        """
        self._put_at |= dict.fromkeys(places, float("-inf"))
        self._look()

    def lost(self, place: Place) -> bool:
        """The kernel says that an address is gone; whether it should have stayed. It is put back."""
        if self._put_at.pop(place, None) is None or place not in self._lifetimes():
            return False
        self._look()
        return place not in self._removing

    def holds(self, place: Place) -> bool:
        """Whether an address is in the kernel because somebody here wants it."""
        return place in self._put_at

    def held(self) -> list[Place]:
        """Every address that was put into the kernel here."""
        return list(self._put_at)

    async def settled(self) -> None:
        """Wait until the kernel holds what is wanted, or has refused it."""
        await self._settled.wait()

    async def run(self) -> None:
        """Keep the kernel as wanted, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._settle()
            except KernelError as error:
                # What came of it is not known: put everything again soon.
                self._give_up(str(error))
            self._arm()
            if not self._wake.is_set():
                self._settled.set()

    def _look(self) -> None:
        self._settled.clear()
        self._wake.set()

    def _lifetimes(self) -> dict[Place, int | None]:
        return {place: held.lifetime for held in self._wanted.values() for place in held.places}

    async def _settle(self) -> None:
        self._listener.waking()
        now = asyncio.get_running_loop().time()
        wanted = self._lifetimes()
        due = [place for place, lifetime in wanted.items() if self._due(place, lifetime) <= now]
        new = [place for place in due if self._put_at.get(place, float("-inf")) == float("-inf")]
        # IPv6 has an address once on an interface. One that is there already, put by hand or by the settings
        # before these, would keep its prefix length (inet6_addr_modify() in net/ipv6/addrconf.c), and be
        # removed by nobody.
        await self._remove(self._listener.otherwise(new))
        put = [p for lifetime in set(wanted.values()) for p in await self._put_all(due, wanted, lifetime)]
        await self._arrive(put)
        # What is wanted may have changed meanwhile.
        wanted = self._lifetimes()
        await self._remove([place for place in self._put_at if place not in wanted])

    async def _put_all(
        self, due: list[Place], wanted: dict[Place, int | None], lifetime: int | None
    ) -> list[Place]:
        """Those of the due that are put for so long; the new ones of them that have to arrive."""
        alike, new = [place for place in due if wanted[place] == lifetime], list[Place]()
        for start in range(0, len(alike), SOME):
            if start and self._wake.is_set():
                # Something else is wanted, perhaps none of the rest: it is looked at anew.
                break
            new += await self._put(alike[start : start + SOME], lifetime)
        return new

    async def _put(self, places: list[Place], lifetime: int | None) -> list[Place]:
        refused = await self._addresses.put(places, lifetime)
        now = asyncio.get_running_loop().time()
        new = []
        for place in places:
            if place in refused:
                self._refuse(place, str(refused[place]), now)
                continue
            # An address adopted from before is as good as new: its neighbours may have forgotten it.
            if self._put_at.get(place, float("-inf")) == float("-inf"):
                new.append(place)
            self._put_at[place], self._put_for[place] = now, lifetime
            self._refused.pop(place, None)
        # For those of IPv4 nobody has to be asked, which may take its time on a busy machine.
        self._tell([place for place in new if place.address.version == 4])
        return [place for place in new if place.address.version == 6]

    async def _arrive(self, new: list[Place]) -> None:
        """Tell of new addresses of IPv6, of each as soon as packets for it are taken in.

        Whoever is told of one announces it. What comes for it too early is forwarded to where it was, with
        a redirect to the sender, who believes that until the next announcement.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + ARRIVAL
        while new:
            some, rest = new[:SOME], new[SOME:]
            late = await self._addresses.elsewhere(some) if clock() < deadline else frozenset()
            here = [place for place in some if place not in late]
            self._tell(here)
            wanted = self._lifetimes()
            new = [place for place in (*rest, *late) if place in wanted]
            if here:
                deadline = clock() + ARRIVAL
            elif new:
                # The kernel's worker needs a processor, and this may be one of real-time priority.
                await asyncio.sleep(PAUSE)

    async def _remove(self, places: list[Place]) -> None:
        for start in range(0, len(places), SOME):
            if start and self._wake.is_set():
                break
            await self._take_away(places[start : start + SOME])

    async def _take_away(self, places: list[Place]) -> None:
        self._removing = frozenset(places)
        try:
            refused = await self._addresses.remove(places)
        finally:
            self._removing = frozenset()
        for place in places:
            self._put_at.pop(place, None)
            if place in refused:
                self._listener.refused(place, f"could not be removed: {refused[place]}")
        self._listener.removed(places)

    def _tell(self, new: list[Place]) -> None:
        some = frozenset(new)
        for owner, held in list(self._wanted.items()):
            theirs = [place for place in held.places if place in some]
            if theirs:
                self._listener.put(owner, theirs)

    def _refuse(self, place: Place, why: str, now: float) -> None:
        if place not in self._refused:
            self._listener.refused(place, why)
        self._refused[place] = now + RETRY
        self._put_at.pop(place, None)

    def _give_up(self, why: str) -> None:
        """What was asked for may be done or not: all of it is asked for again, the removals too."""
        now = asyncio.get_running_loop().time()
        for place in self._lifetimes():
            self._refuse(place, why, now)
            self._put_at[place] = float("-inf")

    def _due(self, place: Place, lifetime: int | None) -> float:
        """When an address is to be put again."""
        if place in self._refused:
            return self._refused[place]
        put_at = self._put_at.get(place, float("-inf"))
        if put_at == float("-inf") or self._put_for.get(place) != lifetime:
            # The kernel would take it away by the lease that it knows.
            return float("-inf")
        return float("inf") if lifetime is None else put_at + lifetime / RENEWALS

    def _arm(self) -> None:
        """One timer for all renewals and retries."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wanted = self._lifetimes()
        dues = [self._due(place, lifetime) for place, lifetime in wanted.items()]
        if self._put_at.keys() - wanted.keys():
            # The kernel did not say whether they are gone.
            dues.append(asyncio.get_running_loop().time() + RETRY)
        first = min(dues, default=float("inf"))
        if first < float("inf"):
            self._timer = asyncio.get_running_loop().call_at(first, self._wake.set)
