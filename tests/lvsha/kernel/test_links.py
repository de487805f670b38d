"""Interfaces in a real kernel."""

from __future__ import annotations

import pytest

from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.links import Link, Links, link
from tests.lab.network import Node

pytestmark = pytest.mark.net


async def front(links: Links) -> Link:
    """The interface `front`."""
    return next(each for each in await links.observe() if each.name == "front")


async def test_a_link_is_seen_as_it_is(lb1: Node) -> None:
    """Name, MAC, MTU and carrier are the kernel's."""
    with lb1.entered():
        links = Links.open()
    lb1.ip("link set front address 02:00:00:00:00:07 mtu 1400")
    seen = await front(links)
    assert (seen.mac.hex(":"), seen.mtu, seen.usable, seen.trouble) == ("02:00:00:00:00:07", 1400, True, "")
    links.close()


async def test_trouble_is_told_apart(lb1: Node) -> None:
    """No carrier and set down are different, and neither is usable."""
    with lb1.entered():
        links = Links.open()
    lb1.unplug("front")
    assert (await front(links)).trouble == "front has no carrier"
    lb1.plug("front")
    lb1.ip("link set front down")
    assert (await front(links)).trouble == "front is down"
    assert not (await front(links)).usable
    links.close()


async def test_a_carrier_that_comes_back_is_counted(lb1: Node) -> None:
    """Once more for each time, whether somebody looked meanwhile or not."""
    with lb1.entered():
        links = Links.open()
    before = (await front(links)).carriers
    lb1.unplug("front")
    lb1.plug("front")
    assert (await front(links)).carriers == before + 1
    links.close()


@pytest.mark.parametrize("length", range(16))
def test_a_cut_message_is_malformed(length: int) -> None:
    """A message shorter than its head is refused clearly."""
    with pytest.raises(MalformedError):
        link(bytes(length))
