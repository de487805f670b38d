"""Neighbours in a real kernel."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from lvsha.kernel.neighbours import Answer, Neighbour, Neighbours
from tests.lab.network import Network, Node

pytestmark = pytest.mark.net


@pytest.fixture
def net() -> Iterator[Network]:
    """A director and a server on one link."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.node("lb1", front=1)
    net.node("rs1", front=11)
    with net:
        yield net


@contextmanager
def opened(node: Node) -> Iterator[tuple[Neighbours, int]]:
    """The neighbours of a node, and the number of its interface."""
    with node.entered():
        neighbours, index = Neighbours.open(), socket.if_nametoindex("front")
    try:
        yield neighbours, index
    finally:
        neighbours.close()


async def settled(neighbours: Neighbours, address: str) -> Neighbour:
    """The entry of an address once it is known how it stands; the kernel tells nobody."""
    async with asyncio.timeout(10):
        while True:
            for one in await neighbours.observe():
                if str(one.address) == address and one.answer is not Answer.ASKING:
                    return one
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("address", ["192.0.2.11", "2001:db8:1::11"])
async def test_a_stirred_neighbour_answers(net: Network, address: str) -> None:
    """An address that nothing was sent to has no entry; asked for, it has one."""
    with opened(net["lb1"]) as (neighbours, index):
        assert address not in {str(one.address) for one in await neighbours.observe()}
        assert await neighbours.stir([(ip_address(address), index)]) == {}
        seen = await settled(neighbours, address)
    assert (seen.answer, seen.index) == (Answer.KNOWN, index)


async def test_nobody_there_is_silent(net: Network) -> None:
    """An address that no machine has is asked for and found silent."""
    net["lb1"].sysctl("net.ipv4.neigh.front.retrans_time_ms", 10)
    with opened(net["lb1"]) as (neighbours, index):
        await neighbours.stir([(ip_address("192.0.2.77"), index)])
        assert (await settled(neighbours, "192.0.2.77")).answer is Answer.SILENT


async def test_a_static_entry_counts(net: Network) -> None:
    """What somebody wrote down is known."""
    net["lb1"].ip("neigh add 192.0.2.78 lladdr 02:00:00:00:00:78 dev front")
    with opened(net["lb1"]) as (neighbours, _):
        assert (await settled(neighbours, "192.0.2.78")).answer is Answer.KNOWN


async def test_a_static_entry_is_not_stirred(net: Network) -> None:
    """What somebody wrote down stays as he wrote it, beside one that is asked for."""
    net["lb1"].ip("neigh add 192.0.2.78 lladdr 02:00:00:00:00:78 dev front")
    with opened(net["lb1"]) as (neighbours, index):
        places = [(ip_address(address), index) for address in ("192.0.2.78", "192.0.2.11")]
        assert await neighbours.stir(places) == {}
        assert (await settled(neighbours, "192.0.2.11")).answer is Answer.KNOWN
    assert "02:00:00:00:00:78 PERMANENT" in net["lb1"].run("ip", "neigh", "show", "192.0.2.78")


async def test_an_interface_that_is_not_there_is_refused(net: Network) -> None:
    """The kernel says so of that one, and asks for the others."""
    with opened(net["lb1"]) as (neighbours, index):
        nowhere = (ip_address("192.0.2.11"), 9999)
        refused = await neighbours.stir([nowhere, (ip_address("192.0.2.11"), index)])
        assert {place: refusal.errno for place, refusal in refused.items()} == {nowhere: errno.ENODEV}
        assert (await settled(neighbours, "192.0.2.11")).answer is Answer.KNOWN
