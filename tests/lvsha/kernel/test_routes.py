"""Ways in a real kernel."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import pytest

from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Routes, Way
from lvsha.model import Address
from tests.lab.network import Node

pytestmark = pytest.mark.net


async def find(node: Node, *addresses: str) -> dict[Address, Way | Refusal]:
    """The ways from a node."""
    with node.entered():
        routes = Routes.open()
    try:
        return await routes.find([ip_address(a) for a in addresses])
    finally:
        routes.close()


def front(node: Node) -> int:
    """The number of the interface."""
    with node.entered():
        return socket.if_nametoindex("front")


@pytest.mark.parametrize(
    ("neighbour", "source"), [("192.0.2.11", "192.0.2.1"), ("2001:db8:1::11", "2001:db8:1::1")]
)
async def test_a_neighbour_needs_no_gateway(lb1: Node, neighbour: str, source: str) -> None:
    """An address of the link's own network: interface and source are told, no gateway."""
    (found,) = (await find(lb1, neighbour)).values()
    assert found == Way(front(lb1), None, ip_address(source), 0, local=False)


async def test_a_gateway_and_the_routes_mtu_are_told(lb1: Node) -> None:
    """Behind a router: its address, over the other family too, and the MTU that the route sets."""
    lb1.ip("route add 10.0.0.0/8 via 192.0.2.254 mtu 1400", "route add 10.9.0.0/16 via inet6 2001:db8:1::254")
    found = await find(lb1, "10.0.0.11", "10.9.0.11")
    plain, odd = (found[ip_address(a)] for a in ("10.0.0.11", "10.9.0.11"))
    assert isinstance(plain, Way)
    assert (str(plain.gateway), plain.mtu) == ("192.0.2.254", 1400)
    assert isinstance(odd, Way)
    assert str(odd.gateway) == "2001:db8:1::254"


async def test_an_own_address_is_local(lb1: Node) -> None:
    """A packet to it does not leave."""
    (found,) = (await find(lb1, "192.0.2.1")).values()
    assert isinstance(found, Way)
    assert found.local


async def test_no_way_says_why(lb1: Node) -> None:
    """No route, and a route that forbids, beside one that leads somewhere, each at its address."""
    lb1.ip("route add prohibit 203.0.113.0/24")
    found = await find(lb1, "198.51.100.1", "203.0.113.1", "192.0.2.9", "2001:db8:9::1")
    numbers = {str(a): f.errno for a, f in found.items() if isinstance(f, Refusal)}
    assert numbers == {
        "198.51.100.1": errno.ENETUNREACH,
        "203.0.113.1": errno.EACCES,
        "2001:db8:9::1": errno.ENETUNREACH,
    }


async def test_more_than_a_slice_is_answered(lb1: Node) -> None:
    """Three hundred addresses are three hundred answers."""
    assert len(await find(lb1, *(f"10.0.{n // 250}.{n % 250}" for n in range(300)))) == 300
