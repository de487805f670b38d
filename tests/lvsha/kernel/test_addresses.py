"""Addresses in a real kernel."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import time
from ipaddress import ip_interface

import pytest

from lvsha.kernel.addresses import OURS, Addresses, Held, Place, held
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.watch import AddressGone, Watch
from tests.lab.network import Node

pytestmark = pytest.mark.net

VIPS = ("192.0.2.100/24", "192.0.2.101/32", "2001:db8:1::100/64")


def opened(node: Node) -> tuple[Addresses, int]:
    """Addresses of a node, and the index of its interface."""
    with node.entered():
        return Addresses.open(), socket.if_nametoindex("front")


async def ours(addresses: Addresses) -> dict[str, Held]:
    """What is marked as ours, by its text."""
    return {str(one.place.address): one for one in await addresses.observe() if one.mark == OURS}


async def test_addresses_are_put_and_removed_in_one_batch(lb1: Node) -> None:
    """Both families come with our mark and a lifetime, and go again; what was there before stays."""
    addresses, index = opened(lb1)
    before = await addresses.observe()
    places = [Place(ip_interface(vip), index) for vip in VIPS]
    assert await addresses.put(places, 60) == {}
    found = await ours(addresses)
    assert found.keys() == set(VIPS)
    assert all(one.valid is not None and 58 <= one.valid <= 60 for one in found.values())
    assert await addresses.remove(places) == {}
    assert await addresses.observe() == before
    addresses.close()


async def test_an_address_without_a_lifetime_stays(lb1: Node) -> None:
    """No lifetime means for ever."""
    addresses, index = opened(lb1)
    await addresses.put([Place(ip_interface(VIPS[0]), index)], None)
    assert (await ours(addresses))[VIPS[0]].valid is None
    addresses.close()


async def test_a_lease_that_is_not_renewed_ends(lb1: Node) -> None:
    """The kernel takes an address by itself about when its lifetime is over, in both families."""
    addresses, index = opened(lb1)
    with lb1.entered():
        watch = Watch()
    start = time.monotonic()
    await addresses.put([Place(ip_interface(vip), index) for vip in VIPS], 2)
    gone: set[str] = set()
    while gone != set(VIPS):
        assert select.select([watch], [], [], 5)[0]
        gone |= {str(c.held.place.address) for c in watch.receive() if isinstance(c, AddressGone)}
    assert 1.0 < time.monotonic() - start < 3.5
    watch.close()
    addresses.close()


async def test_renewal_keeps_an_address(lb1: Node) -> None:
    """Put again within its lifetime, an address is never gone."""
    addresses, index = opened(lb1)
    places = [Place(ip_interface(vip), index) for vip in VIPS]
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert await addresses.put(places, 2) == {}
        await asyncio.sleep(0.5)
        assert (await ours(addresses)).keys() == set(VIPS)
    addresses.close()


async def test_a_refusal_names_its_address(lb1: Node) -> None:
    """One address that the kernel refuses does not hinder the others."""
    addresses, index = opened(lb1)
    good, bad = Place(ip_interface(VIPS[0]), index), Place(ip_interface(VIPS[1]), 9999)
    refused = await addresses.put([bad, good], 60)
    assert {place: refusal.errno for place, refusal in refused.items()} == {bad: errno.ENODEV}
    assert (await ours(addresses)).keys() == {VIPS[0]}
    addresses.close()


async def test_removing_what_is_not_there_is_no_refusal(lb1: Node) -> None:
    """An address that the kernel took meanwhile is removed as wanted."""
    addresses, index = opened(lb1)
    assert await addresses.remove([Place(ip_interface(vip), index) for vip in VIPS]) == {}
    addresses.close()


async def test_a_directors_own_traffic_has_its_own_address(lb1: Node) -> None:
    """What is held for a while only is never the source that the kernel chooses, in both families."""
    addresses, index = opened(lb1)
    await addresses.put([Place(ip_interface(vip), index) for vip in VIPS], 60)
    for family, target in (("-4", "192.0.2.77"), ("-6", "2001:db8:1::77")):
        route = lb1.run("ip", family, "route", "get", target).split()
        assert route[route.index("src") + 1] == str(lb1.address("front", int(family[1])))
    addresses.close()


async def test_a_foreign_address_has_no_mark(lb1: Node) -> None:
    """What somebody else added is told apart from ours."""
    addresses, _ = opened(lb1)
    lb1.ip("addr add 192.0.2.50/24 dev front")
    marks = {str(one.place.address): one.mark for one in await addresses.observe()}
    assert marks["192.0.2.50/24"] != OURS
    addresses.close()


@pytest.mark.parametrize("length", range(8))
def test_a_cut_message_is_malformed(length: int) -> None:
    """A message shorter than its head is refused clearly."""
    with pytest.raises(MalformedError):
        held(bytes(length))


async def test_an_address_of_ipv6_is_waited_for(lb1: Node) -> None:
    """It is elsewhere until there is a local route, which `put` does not wait for; IPv4 has it at once."""
    addresses, index = opened(lb1)
    four, six = (Place(ip_interface(vip), index) for vip in VIPS[1:])
    assert await addresses.elsewhere([four, six]) == {six}
    await addresses.put([four, six], 60)
    async with asyncio.timeout(5):
        while await addresses.elsewhere([four, six]):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.001)
    assert f"local {six.address.ip} dev front" in lb1.run("ip", "-6", "route", "show", "table", "local")
    addresses.close()
