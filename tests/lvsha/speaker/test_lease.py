"""What owners want and what the kernel gets, against a kernel in memory, in virtual time."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_interface
from itertools import pairwise

from lvsha.errors import KernelError
from lvsha.kernel.addresses import Place
from lvsha.kernel.netlink import Refusal
from lvsha.speaker.lease import Leases
from tests.lab.background import background
from tests.lab.virtual import in_virtual_time

A, B, C = (Place(ip_interface(f"192.0.2.{n}/24"), 2) for n in (100, 101, 102))
SIX = Place(ip_interface("2001:db8:1::100/64"), 2)


class Kernel:
    """Addresses as the kernel keeps them: put again is renewed, refused interfaces refuse."""

    def __init__(self) -> None:
        self.held: dict[Place, int | None] = {}
        self.calls: list[tuple[str, tuple[Place, ...]]] = []
        self.times: list[float] = []
        """When they were made."""
        self.refuse: set[Place] = set()
        self.fail = False
        self.late: set[Place] = set()
        """Put, and not delivered to yet."""
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, places: Sequence[Place], lifetime: int | None) -> dict[Place, Refusal]:
        """As `kernel.Addresses`."""
        await self._visit("put", places)
        self.held |= {place: lifetime for place in places if place not in self.refuse}
        return {place: Refusal(errno.ENODEV) for place in places if place in self.refuse}

    async def remove(self, places: Sequence[Place]) -> dict[Place, Refusal]:
        """As `kernel.Addresses`."""
        await self._visit("remove", places)
        for place in places:
            self.held.pop(place, None)
        return {}

    async def elsewhere(self, places: Sequence[Place]) -> frozenset[Place]:
        """As `kernel.Addresses`."""
        assert all(place.address.version == 6 for place in places)
        await asyncio.sleep(0)
        return self.late.intersection(places)

    async def _visit(self, what: str, places: Sequence[Place]) -> None:
        self.calls.append((what, tuple(places)))
        self.times.append(asyncio.get_running_loop().time())
        await self.gate.wait()
        await asyncio.sleep(0)
        if self.fail:
            raise KernelError("no answer on netlink")


class Told:
    """What the leases say."""

    def __init__(self) -> None:
        self.new: list[tuple[str, tuple[Place, ...]]] = []
        self.gone: list[Place] = []
        self.no: list[Place] = []
        self.before: Callable[[], None] = lambda: None

        self.others: list[Place] = []

    def waking(self) -> None:
        """As `lease.Listener`."""
        self.before()

    def otherwise(self, places: Sequence[Place]) -> list[Place]:
        """As `lease.Listener`."""
        return [o for o in self.others for p in places if (o.address.ip, o.index) == (p.address.ip, p.index)]

    def put(self, owner: str, places: Sequence[Place]) -> None:
        """As `lease.Listener`."""
        self.new.append((owner, tuple(places)))

    def removed(self, places: Sequence[Place]) -> None:
        """As `lease.Listener`."""
        self.gone += places

    def refused(self, place: Place, why: str) -> None:
        """As `lease.Listener`."""
        assert why
        self.no.append(place)


@asynccontextmanager
async def leasing() -> AsyncIterator[tuple[Leases, Kernel, Told]]:
    """Leases that run."""
    kernel, told = Kernel(), Told()
    leases = Leases(kernel, told)  # type: ignore[arg-type]
    async with background(leases.run()):
        yield leases, kernel, told


@in_virtual_time
async def test_one_batch_puts_all_of_an_owner() -> None:
    """All addresses go in one visit and are told to their owner once."""
    async with leasing() as (leases, kernel, told):
        leases.hold("x", [A, B], 2)
        await leases.settled()
        assert kernel.calls == [("put", (A, B))]
        assert kernel.held == {A: 2, B: 2}
        assert told.new == [("x", (A, B))]


@in_virtual_time
async def test_dropping_removes_only_what_the_owner_held() -> None:
    """Another owner's addresses stay."""
    async with leasing() as (leases, kernel, told):
        leases.hold("x", [A], 2)
        leases.hold("y", [B], None)
        await leases.settled()
        leases.drop("x")
        await leases.settled()
        assert kernel.held == {B: None}
        assert told.gone == [A]


@in_virtual_time
async def test_a_role_that_flips_leaves_nothing_behind() -> None:
    """Dropped while the kernel is still busy putting it, an address ends up absent; and the reverse."""
    async with leasing() as (leases, kernel, told):
        kernel.gate.clear()
        leases.hold("x", [A], 2)
        await asyncio.sleep(0.01)
        leases.drop("x")
        kernel.gate.set()
        await leases.settled()
        assert kernel.held == {}
        assert told.new == []
        leases.hold("x", [A], 2)
        await leases.settled()
        kernel.gate.clear()
        leases.drop("x")
        await asyncio.sleep(0.01)
        leases.hold("x", [A], 2)
        kernel.gate.set()
        await leases.settled()
        assert kernel.held == {A: 2}


@in_virtual_time
async def test_a_lease_is_renewed_in_time() -> None:
    """An address is put again after every quarter of its lifetime, and announced once."""
    async with leasing() as (leases, kernel, told):
        leases.hold("x", [A], 2)
        await asyncio.sleep(1.9)
        assert kernel.times == [0.0, 0.5, 1.0, 1.5]
        assert told.new == [("x", (A,))]


@in_virtual_time
async def test_an_address_for_ever_is_put_once() -> None:
    """Without a lifetime there is nothing to renew."""
    async with leasing() as (leases, kernel, _):
        leases.hold("x", [A], None)
        await asyncio.sleep(86_400)
        assert len(kernel.calls) == 1


@in_virtual_time
async def test_another_lease_holds_at_once() -> None:
    """The kernel takes an address away by the lease it was told last, so a new one is told without delay."""
    async with leasing() as (leases, kernel, told):
        for lifetime in (2, None, 40, 2):
            leases.hold("x", [A], lifetime)
            await leases.settled()
            assert kernel.held == {A: lifetime}
        assert told.new == [("x", (A,))]


@in_virtual_time
async def test_a_lost_address_is_put_back() -> None:
    """What somebody removed is put again and announced again; what nobody wants is no loss."""
    async with leasing() as (leases, kernel, told):
        leases.hold("x", [A], 60)
        await leases.settled()
        del kernel.held[A]
        assert leases.lost(A)
        await leases.settled()
        assert kernel.held == {A: 60}
        assert told.new == [("x", (A,)), ("x", (A,))]
        assert not leases.lost(B)


@in_virtual_time
async def test_our_own_removal_is_no_loss() -> None:
    """The kernel's news of an address that was removed on purpose is not told as a loss."""
    async with leasing() as (leases, kernel, _):
        leases.hold("x", [A], 60)
        await leases.settled()
        kernel.gate.clear()
        leases.drop("x")
        await asyncio.sleep(0.01)
        assert not leases.lost(A)
        leases.hold("x", [A], 60)
        assert not leases.lost(A)
        kernel.gate.set()
        await leases.settled()
        assert kernel.held == {A: 60}


@in_virtual_time
async def test_a_refused_address_is_tried_again_and_told_once() -> None:
    """The others are not held up by it, and it comes when the kernel takes it."""
    async with leasing() as (leases, kernel, told):
        kernel.refuse = {B}
        leases.hold("x", [A, B], 60)
        await asyncio.sleep(2.9)
        assert kernel.times == [0.0, 1.0, 2.0]
        assert kernel.held == {A: 60}
        assert told.no == [B]
        kernel.refuse = set()
        await asyncio.sleep(1.1)
        assert kernel.held == {A: 60, B: 60}
        assert told.new[-1] == ("x", (B,))


@in_virtual_time
async def test_a_kernel_that_does_not_answer_is_asked_again() -> None:
    """After a failed visit nothing is taken for granted."""
    async with leasing() as (leases, kernel, told):
        kernel.fail = True
        leases.hold("x", [A], 60)
        await leases.settled()
        assert told.no == [A]
        kernel.fail = False
        await asyncio.sleep(1.1)
        assert kernel.held == {A: 60}


@in_virtual_time
async def test_what_was_there_before_is_kept_or_removed() -> None:
    """Of a former process's addresses, those wanted are renewed and announced, the others go."""
    async with leasing() as (leases, kernel, told):
        kernel.held = {A: 2, B: 2}
        leases.hold("x", [A, C], 2)
        leases.adopt([A, B])
        await leases.settled()
        assert kernel.held == {A: 2, C: 2}
        assert told.gone == [B]
        assert set(told.new[0][1]) == {A, C}


@in_virtual_time
async def test_what_is_not_wanted_any_more_after_a_freeze_is_not_put_again() -> None:
    """Whoever wants addresses has a word before a lease is renewed: one that has run out may be another's."""
    async with leasing() as (leases, kernel, told):
        leases.hold("x", [A], 2)
        await leases.settled()
        kernel.held.clear()
        told.before = lambda: leases.drop("x")
        leases.lost(A)
        await leases.settled()
        assert [what for what, _ in kernel.calls[1:]] == []


@in_virtual_time
async def test_an_address_is_told_of_when_it_has_arrived() -> None:
    """One that the kernel does not deliver to yet is waited for, the others are not kept waiting."""
    async with leasing() as (leases, kernel, told):
        kernel.late = {SIX}
        leases.hold("x", [SIX, A], 2)
        await asyncio.sleep(0.1)
        assert told.new == [("x", (A,))]
        kernel.late.clear()
        await leases.settled()
        assert told.new == [("x", (A,)), ("x", (SIX,))]


@in_virtual_time
async def test_an_address_that_does_not_arrive_is_told_of_all_the_same() -> None:
    """After a second; and when it is not wanted any more nobody waits for it."""
    async with leasing() as (leases, kernel, told):
        kernel.late = {SIX}
        loop = asyncio.get_running_loop()
        begun = loop.time()
        leases.hold("x", [SIX], 2)
        await leases.settled()
        assert told.new == [("x", (SIX,))]
        assert 1 <= loop.time() - begun < 1.1
        leases.hold("y", [replace(SIX, index=3)], 2)
        kernel.late = {replace(SIX, index=3)}
        await asyncio.sleep(0.1)
        begun = loop.time()
        leases.drop("y")
        await leases.settled()
        assert loop.time() - begun < 0.1
        assert told.new == [("x", (SIX,))]


@in_virtual_time
async def test_with_thousands_of_addresses_others_have_their_turn() -> None:
    """An advert is due every 10 ms: nothing that is done for 2,000 addresses takes longer than that."""
    many = [Place(ip_interface(f"10.9.{n // 250}.{n % 250 + 1}/32"), 2) for n in range(2000)]
    async with leasing() as (leases, kernel, told):
        leases.hold("x", many, 2)
        turns = [time.process_time()]
        settled = asyncio.ensure_future(leases.settled())
        while not settled.done():
            await asyncio.sleep(0)
            turns.append(time.process_time())
        assert len(kernel.held) == 2000
        assert [place for _, places in told.new for place in places] == many
        assert max(after - before for before, after in pairwise(turns)) < 0.05


@in_virtual_time
async def test_who_loses_thousands_of_addresses_puts_no_more_of_them() -> None:
    """A role that is lost while they are put: the rest never comes, and those that came go."""
    many = [Place(ip_interface(f"10.9.{n // 250}.{n % 250 + 1}/32"), 2) for n in range(2000)]
    async with leasing() as (leases, kernel, told):
        leases.hold("x", many, 2)
        kernel.gate.clear()
        await asyncio.sleep(0.1)
        leases.drop("x")
        kernel.gate.set()
        await leases.settled()
        put = {place for what, places in kernel.calls if what == "put" for place in places}
        assert len(put) < 200
        assert (kernel.held, set(told.gone)) == ({}, put)


@in_virtual_time
async def test_the_same_address_of_another_length_goes_first() -> None:
    """Over IPv6 the kernel would renew it as it is, and nobody would remove it."""
    other = Place(ip_interface("2001:db8:1::100/128"), 2)
    async with leasing() as (leases, kernel, told):
        told.others = [other]
        leases.hold("x", [SIX], 2)
        await leases.settled()
        assert kernel.calls == [("remove", (other,)), ("put", (SIX,))]
        assert (told.gone, told.new) == ([other], [("x", (SIX,))])


@in_virtual_time
async def test_a_removal_without_an_answer_is_asked_for_again() -> None:
    """An address that is given up while the kernel does not answer goes when it does."""
    async with leasing() as (leases, kernel, told):
        leases.hold("x", [A], None)
        await leases.settled()
        kernel.fail = True
        leases.drop("x")
        await asyncio.sleep(2.5)
        kernel.fail = False
        await asyncio.sleep(1.0)
        assert (kernel.held, told.gone) == ({}, [A])


@in_virtual_time
async def test_what_may_have_been_put_is_removed() -> None:
    """A put whose outcome nobody knows, and a role that is lost before the next: nothing stays."""
    async with leasing() as (leases, kernel, _):
        leases.hold("x", [A], None)
        await asyncio.sleep(0)
        kernel.held[A] = None
        kernel.fail = True
        await asyncio.sleep(0.5)
        leases.drop("x")
        kernel.fail = False
        await asyncio.sleep(1.5)
        assert kernel.held == {}
