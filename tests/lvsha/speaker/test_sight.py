"""Looks that take a while or fail, and what the kernel tells meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.addresses import NETLINK_ROUTE, Addresses, Held
from lvsha.kernel.links import Link, Links
from lvsha.kernel.netlink import Netlink
from lvsha.kernel.watch import Change, LinkChanged, Watch
from lvsha.speaker.sight import Sight
from tests.lab.network import Node, topology

pytestmark = pytest.mark.net

One = TypeVar("One")


@pytest.fixture
def node() -> Iterator[Node]:
    """A director."""
    with topology(directors=1, servers=0) as net:
        yield net["lb1"]


class Seen:
    """Knows whether `front` has a carrier, and how often it saw everything."""

    addresses: Slow[Held]
    """Where it sees them."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        """The addresses that were there when it saw everything last."""
        self.usable: bool | None = None
        self.looks = 0
        self.news = asyncio.Event()

    def everything(self, links: Iterable[Link], held: Iterable[Held]) -> None:
        """As `sight.Observer`."""
        self.held = {str(one.place.address) for one in held}
        self.looks += 1
        self.changed(LinkChanged(link) for link in links)

    def changed(self, changes: Iterable[Change]) -> None:
        """As `sight.Observer`."""
        for change in changes:
            if isinstance(change, LinkChanged) and change.link.name == "front":
                self.usable = change.link.usable
        self.news.set()

    async def until(self, found: Callable[[], bool]) -> None:
        """Wait for news."""
        async with asyncio.timeout(5):
            while not found():
                self.news.clear()
                await self.news.wait()


class Slow(Generic[One]):
    """The interfaces, or the addresses; before the answer is handed on, something happens."""

    def __init__(self, observe: Callable[[], Awaitable[list[One]]]) -> None:
        self._observe = observe
        self.meanwhile: Callable[[], Awaitable[None]] = nothing

    async def observe(self) -> list[One]:
        """As `links.Links` and `addresses.Addresses`."""
        found = await self._observe()
        await self.meanwhile()
        return found


async def nothing() -> None:
    """Nothing happens."""


@asynccontextmanager
async def looking(node: Node) -> AsyncIterator[tuple[Sight, Seen, Slow[Link], list[KernelError]]]:
    """A sight of the node that is followed."""
    seen, failures = Seen(), list[KernelError]()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        with node.entered():
            watch = stack.enter_context(contextlib.closing(Watch()))
            netlink = stack.enter_context(contextlib.closing(Netlink.open(NETLINK_ROUTE, timeout=5)))
        slow, seen.addresses = Slow(Links(netlink).observe), Slow(Addresses(netlink).observe)
        sight = Sight(watch, slow, seen.addresses, seen, failures.append)
        loop.add_reader(watch.fileno(), sight.read)
        task = asyncio.create_task(sight.run())
        yield sight, seen, slow, failures
        task.cancel()
        loop.remove_reader(watch.fileno())
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_told_during_a_look_is_newer_than_what_it_saw(node: Node) -> None:
    """A cable that is pulled between the look and its end stays pulled."""
    async with looking(node) as (sight, seen, slow, _):

        async def pull() -> None:
            node.unplug("front")
            await seen.until(lambda: seen.usable is False)

        await sight.look()
        assert seen.usable is True
        slow.meanwhile = pull
        await sight.look()
        assert seen.usable is False
        # What was told before a look is older.
        slow.meanwhile = nothing
        node.plug("front")
        await seen.until(lambda: seen.usable is True)
        await sight.look()
        assert seen.usable is True


async def test_what_was_missed_is_seen_although_the_first_look_fails(node: Node) -> None:
    """More changes than the kernel keeps for us: everything is looked at, again where that fails."""
    async with looking(node) as (_, seen, slow, failures):

        async def fail() -> None:
            slow.meanwhile = nothing
            raise KernelError("no answer on netlink within 10 s")

        slow.meanwhile = fail
        # Nothing is read during this.
        node.ip(*(f"addr add 10.{n >> 8}.{n & 255}.1/32 dev front" for n in range(9000)))
        await seen.until(lambda: seen.looks == 1)
        assert [str(error) for error in failures] == ["no answer on netlink within 10 s"]


async def test_an_address_that_comes_or_goes_during_a_look_is_seen_so(node: Node) -> None:
    """What the speaker puts meanwhile is not lost, what it removes is not there."""
    async with looking(node) as (sight, seen, _, _):

        async def change() -> None:
            node.ip("addr add 192.0.2.100/24 dev front", "addr del 10.0.1.1/24 dev back")

        seen.addresses.meanwhile = change
        await sight.look()
        assert "192.0.2.100/24" in seen.held
        assert "10.0.1.1/24" not in seen.held
