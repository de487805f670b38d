"""Addresses that an operator has to know of, on real wires."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from lvsha.speaker.messages import Hold, State
from lvsha.speaker.spec import VirtualAddress
from tests.lab.speaker import VIP, Pair, elect, instance

pytestmark = pytest.mark.net


async def test_an_address_whose_interface_is_not_there_is_told(pair: Pair) -> None:
    """A master that lacks one of its addresses says so, once, and has it when the interface is there."""
    lb1, _ = pair
    elsewhere = VirtualAddress(ip_interface("198.51.100.1/24"), "later")
    await lb1.configure(instance(priority=200, excluded=(elsewhere,)))
    await lb1.become(State.MASTER)
    failed = await lb1.event("vip.failed")
    said = {"address": "198.51.100.1/24", "interface": "later", "error": "later does not exist"}
    assert failed.fields == said
    lb1.node.ip("link add later type veth peer name other", "link set later up")
    await lb1.event("vip.added", address="198.51.100.1/24")
    assert len([each for each in lb1.events if each.event == "vip.failed"]) == 1


@pytest.mark.parametrize("by_hand", [VIP, "192.0.2.100/32"])
async def test_an_address_that_is_here_by_hand_beside_the_master_is_told(pair: Pair, by_hand: str) -> None:
    """A backup that has it as well says so, once; a master's own, and what it gives up, is nobody else's."""
    lb1, lb2 = pair
    await elect(pair)
    lb2.node.ip(f"addr add {by_hand} dev front")
    told = await lb2.event("vip.foreign")
    assert told.fields == {"address": by_hand, "interface": "front"}
    lb2.node.ip(f"addr del {by_hand} dev front")
    await lb1.ask(Hold(instance="public"))
    await lb2.become(State.MASTER)
    await lb1.event("vip.removed")
    assert len([each for each in lb2.events if each.event == "vip.foreign"]) == 1
    assert [each for each in lb1.events if each.event == "vip.foreign"] == []


async def test_an_address_by_hand_on_the_interface_below_is_told(pair: Pair) -> None:
    """It answers there as well as on the master's macvlan."""
    lb1, lb2 = pair
    await lb1.configure(instance(priority=200, virtual_mac=True))
    await lb2.configure(instance(priority=100, virtual_mac=True))
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    lb2.node.ip(f"addr add {VIP} dev front")
    assert (await lb2.event("vip.foreign")).fields == {"address": VIP, "interface": "front"}
