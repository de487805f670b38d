"""The networks that tests run on, seen from inside."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab import namespace
from tests.lab.network import Network, Node, topology

pytestmark = pytest.mark.net


@pytest.fixture
def net() -> Iterator[Network]:
    """Two directors, one server, and the client behind a router."""
    with topology(directors=2, servers=1, router=True) as built:
        yield built


def datagram(sender: Node, receiver: Node, address: str, *, timeout: float = 5) -> bool:
    """Does a datagram from one node reach an address of the other?"""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with receiver.entered():
        inbox = socket.socket(family, socket.SOCK_DGRAM)
    with sender.entered():
        outbox = socket.socket(family, socket.SOCK_DGRAM)
    with inbox, outbox:
        inbox.bind((address, 4000))
        inbox.settimeout(timeout)
        outbox.sendto(b"hello", (address, 4000))
        try:
            return inbox.recv(16) == b"hello"
        except TimeoutError:
            return False


@pytest.mark.parametrize("family", [4, 6])
def test_everyone_reaches_everyone_they_should(net: Network, family: int) -> None:
    """Wires connect their nodes, the router and the directors forward, in both families."""
    assert datagram(net["client"], net["lb1"], str(net["lb1"].address("front", family)))
    assert datagram(net["lb1"], net["lb2"], str(net["lb2"].address("back", family)))
    assert datagram(net["rs1"], net["client"], str(net["client"].address("outside", family)))


def test_a_cut_is_one_way_and_mends(net: Network) -> None:
    """A cut cable loses packets in the direction named and no other, until it is mended."""
    lb1, lb2 = net["lb1"], net["lb2"]
    assert datagram(lb1, lb2, "192.0.2.2")
    lb1.cut("front", "out")
    assert not datagram(lb1, lb2, "192.0.2.2", timeout=0.3)
    assert datagram(lb2, lb1, "192.0.2.1")
    lb1.mend("front")
    assert datagram(lb1, lb2, "192.0.2.2")


def test_a_lossy_cable_loses_about_its_share(net: Network) -> None:
    """A cable with a loss of a half lets some packets through and not all."""
    # Neighbours found beforehand: a lost ARP answer would hold back a second's worth of packets.
    assert datagram(net["lb2"], net["lb1"], "192.0.2.1")
    net["lb1"].cut("front", "in", loss=0.5)
    arrived = sum(datagram(net["lb2"], net["lb1"], "192.0.2.1", timeout=0.02) for _ in range(60))
    assert 10 <= arrived <= 50


def test_an_unplugged_interface_has_no_carrier(net: Network) -> None:
    """Unplugging is what a pulled cable looks like to the node."""
    net["lb1"].unplug("back")
    assert "NO-CARRIER" in net["lb1"].run("ip", "link", "show", "dev", "back")
    net["lb1"].plug("back")
    assert "NO-CARRIER" not in net["lb1"].run("ip", "link", "show", "dev", "back")


def test_parted_directors_do_not_hear_one_another(net: Network) -> None:
    """Parted nodes lose each other, while a third still hears both."""
    net.part("front", "lb1", "lb2")
    assert not datagram(net["lb1"], net["lb2"], "192.0.2.2", timeout=0.3)
    assert datagram(net["client"], net["lb2"], "192.0.2.2")
    net.join("front", "lb1", "lb2")
    assert datagram(
        net["lb1"], net["lb2"], "192.0.2.2", timeout=5
    )  # the neighbour is asked for once a second


def test_a_node_that_was_rebooted_has_forgotten_everything(net: Network) -> None:
    """What was set and added is gone, and the node is on its wires as at the beginning."""
    lb1 = net["lb1"]
    lb1.ip("address add 192.0.2.100/32 dev front", "route add 203.0.113.0/24 via 192.0.2.10")
    lb1.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    net.reboot("lb1")
    assert "192.0.2.100" not in lb1.run("ip", "address")
    assert "203.0.113.0" not in lb1.run("ip", "route")
    assert lb1.sysctl("net.ipv4.conf.all.arp_ignore") == "0"
    assert lb1.sysctl("net.ipv4.ip_forward") == "1"
    assert datagram(net["client"], lb1, "192.0.2.1")
    assert datagram(lb1, net["rs1"], "10.0.1.11")


def test_nothing_is_left_behind() -> None:
    """A network removes what it made even when its user failed."""
    net = topology()
    with pytest.raises(AssertionError, match="lb1: ip -batch"), net:
        net["lb1"].ip("link set nonsense up")
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not any(node.namespace in listed for node in net.nodes.values())
    assert not any(segment.namespace in listed for segment in net.segments.values())


def test_a_network_that_cannot_be_built_is_removed() -> None:
    """A route that makes no sense is reported in the words of `ip`, and nothing stays."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    node = net.node("lb1", front=1, routes=["default via 203.0.113.1"])
    with pytest.raises(AssertionError, match=r"lb1: ip -batch"):
        net.__enter__()
    assert not (namespace.DIRECTORY / node.namespace).exists()


def test_a_sysctl_is_the_nodes_own(net: Network) -> None:
    """Setting a sysctl on one node leaves the others alone."""
    assert net["rs1"].sysctl("net.ipv4.conf.all.arp_ignore", 1) == "1"
    assert net["lb1"].sysctl("net.ipv4.conf.all.arp_ignore") == "0"
