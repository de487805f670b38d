"""A pair on a VLAN, with and without the virtual MAC: in the guest, for the machine may have no VLANs."""

from __future__ import annotations

from ipaddress import ip_interface
from pathlib import Path

import pytest

from lvsha.speaker.messages import Hold, Release, State
from lvsha.speaker.spec import InstanceSpec, VirtualAddress
from tests.lab.network import Node, topology
from tests.lab.ping import answers
from tests.lab.speaker import speaking

VIP = "198.51.100.100"


def tag(node: Node, number: int) -> None:
    """An interface `front.7` for VLAN 7 of the wire, with an address."""
    node.ip(
        "link add link front name front.7 type vlan id 7",
        f"addr add 198.51.100.{number}/24 dev front.7",
        "link set front.7 up",
    )


def instance(priority: int, *, virtual_mac: bool) -> InstanceSpec:
    """An instance on the VLAN, whose name has a dot as such names have."""
    address = VirtualAddress(ip_interface(f"{VIP}/24"), "front.7")
    return InstanceSpec(
        name="public",
        interface="front.7",
        vrid=71,
        priority=priority,
        # So that a guest which does not get its processor for half a second is no failover.
        interval=1.0,
        addresses=(address,),
        lease=6,
        virtual_mac=virtual_mac,
    )


@pytest.mark.ipvs
@pytest.mark.parametrize("virtual_mac", [False, True])
async def test_a_pair_on_a_vlan(tmp_path: Path, virtual_mac: bool) -> None:
    """It elects, hands over and back, and goes on after its interface was made anew; the address answers."""
    async with topology(directors=2, servers=0) as net:
        for name, number in (("lb1", 1), ("lb2", 2), ("client", 10)):
            tag(net[name], number)
        async with speaking(net["lb1"], tmp_path) as lb1, speaking(net["lb2"], tmp_path) as lb2:
            await lb1.configure(instance(200, virtual_mac=virtual_mac))
            await lb2.configure(instance(100, virtual_mac=virtual_mac))
            await lb1.become(State.MASTER, within=30)
            await lb1.event("vip.added", within=30)
            assert answers(net["client"], VIP)

            await lb1.ask(Hold(instance="public", why="a test"))
            await lb2.become(State.MASTER, within=30)
            await lb2.event("vip.added", within=30)
            assert answers(net["client"], VIP)

            mark = len(lb1.events)
            await lb1.ask(Release(instance="public"))
            await lb1.become(State.MASTER, within=30)
            await lb1.event("vip.added", since=mark, within=30)
            await lb2.become(State.BACKUP, within=30)

            mark = len(lb1.events)
            net["lb1"].ip("link del front.7")
            await lb2.become(State.MASTER, within=30)
            tag(net["lb1"], 1)
            await lb1.become(State.MASTER, within=30)
            await lb1.event("vip.added", since=mark, within=30)
            await lb2.become(State.BACKUP, within=30)
            assert answers(net["client"], VIP)
