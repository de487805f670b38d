"""Tests of lvsha.wire.owners: everybody who answers for an address is heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

import pytest

from lvsha.wire.owners import Question, owners
from tests.lab.network import Network, Node, topology

pytestmark = pytest.mark.net

VIP, OTHER = IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101")


@pytest.fixture
def net() -> Iterator[Network]:
    """A director and two servers on one wire."""
    with topology(servers=2, server_segments=("front",)) as net:
        yield net


def mac(node: Node) -> str:
    """Where a node is on the wire."""
    return str(json.loads(node.run("ip", "-json", "link", "show", "dev", "front"))[0]["address"])


def ask(node: Node, *addresses: IPv4Address, interface: str = "front") -> dict[object, frozenset[str]]:
    """What a node hears."""
    own = bytes.fromhex(mac(node).replace(":", ""))
    questions = [Question(a, interface, IPv4Address("192.0.2.1"), own) for a in addresses]
    with node.entered():
        return dict(asyncio.run(owners(questions, patience=0.2)))


def test_everybody_with_the_address_on_lo_is_heard(net: Network) -> None:
    """Two servers whose ARP was left as it is; and who has the address to ask from itself is not heard."""
    for node in net.servers:
        node.ip(f"address add {VIP}/32 dev lo")
    net["lb1"].ip(f"address add {VIP}/32 dev front")
    assert ask(net["lb1"], VIP, OTHER) == {VIP: {mac(rs) for rs in net.servers}, OTHER: frozenset()}


def test_who_keeps_still_is_not_heard(net: Network) -> None:
    """With arp_ignore as a real server has it; its own address is answered for all the same."""
    rs1 = net["rs1"]
    rs1.ip(f"address add {VIP}/32 dev lo")
    rs1.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    own = ip_address("192.0.2.11")
    assert isinstance(own, IPv4Address)
    assert ask(net["lb1"], VIP, own) == {VIP: frozenset(), own: {mac(rs1)}}


def test_an_interface_that_is_gone_is_passed_over(net: Network) -> None:
    """Nobody is heard there; nothing asked is nothing heard."""
    assert ask(net["lb1"], VIP, interface="nowhere") == {VIP: frozenset()}
    assert ask(net["lb1"]) == {}
