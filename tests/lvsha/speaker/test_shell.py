"""Groups that fail over together, witnesses, and changes of the configuration, on real wires."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_interface

import pytest

from lvsha.speaker.messages import Failover, State
from lvsha.speaker.spec import InstanceSpec, VirtualAddress
from tests.lab.network import Network
from tests.lab.speaker import HIGH, VIP, Pair, elect, hearing, instance

pytestmark = pytest.mark.net


def inside(priority: int) -> InstanceSpec:
    """The other member of the group: an instance on the wire `back`."""
    return instance(
        name="inside",
        interface="back",
        vrid=52,
        group="front",
        priority=priority,
        addresses=(VirtualAddress(ip_interface("10.0.1.100/24"), "back"),),
    )


def group(priority: int) -> tuple[InstanceSpec, InstanceSpec]:
    """An outside and an inside instance that fail over together."""
    return instance(group="front", priority=priority), inside(priority)


async def elect_group(pair: Pair) -> None:
    """lb1 is master of both, lb2 backup."""
    lb1, lb2 = pair
    await lb1.configure(*group(200))
    await lb2.configure(*group(100))
    for name in ("public", "inside"):
        await lb1.become(State.MASTER, name)
        await lb2.become(State.BACKUP, name)


async def test_a_group_fails_over_as_one(pair: Pair, net: Network) -> None:
    """One cable is pulled: both instances move, the one on the good wire by resigning."""
    lb1, lb2 = pair
    await elect_group(pair)
    net["lb1"].unplug("back")
    for name in ("public", "inside"):
        await lb1.become(State.FAULT, name)
        await lb2.become(State.MASTER, name)
    await lb1.event("vip.removed", address=VIP)
    await lb2.event("vip.added", address="10.0.1.100/24")
    net["lb1"].plug("back")
    for name in ("public", "inside"):
        await lb1.become(State.MASTER, name)
        await lb2.become(State.BACKUP, name)


async def test_a_group_is_handed_over_by_name(pair: Pair) -> None:
    """The answer comes when the peer was heard on every wire."""
    lb1, lb2 = pair
    await elect_group(pair)
    reply = await lb1.ask(Failover(group="front"))
    assert reply.ok
    for name in ("public", "inside"):
        await lb2.become(State.MASTER, name)


async def test_without_its_witness_a_node_does_not_take_over(pair: Pair, net: Network) -> None:
    """A backup that reaches neither master nor witness stays backup; with the witness it takes over."""
    lb1, lb2 = pair
    await lb1.configure(HIGH)
    await lb2.configure(instance(priority=100, witness=ip_address("192.0.2.10")))
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    with hearing(net["client"]) as ears:
        net["lb2"].cut("front")
        await lb2.event("tracker.failed", tracker="witness")
        await asyncio.sleep(1)
        assert (await lb2.status()).state is State.BACKUP
        net["lb2"].mend("front")
        await asyncio.sleep(0.5)
        assert ears.sources == ["192.0.2.1"]
    await lb1.stop()
    await lb2.become(State.MASTER)


async def test_settings_change_without_a_transition(pair: Pair, net: Network) -> None:
    """An address more, an address less: they come and go while the role stays."""
    lb1, _ = pair
    await elect(pair)
    second = "192.0.2.101/24"
    await lb1.configure(instance(VIP, second, priority=200))
    await lb1.event("vip.added", address=second)
    await lb1.configure(instance(second, priority=200))
    await lb1.event("vip.removed", address=VIP)
    assert (lb1.holds(VIP), lb1.holds(second)) == (False, True)
    assert (await lb1.status()).transitions == 1
    with hearing(net["client"]) as ears:
        assert (await ears.next()).payload[8:12] == ip_address("192.0.2.101").packed


async def test_an_instance_that_is_removed_is_resigned(pair: Pair, net: Network) -> None:
    """No longer configured, an instance says goodbye and gives up its address; the others go on."""
    lb1, lb2 = pair
    other = instance("192.0.2.150/24", name="other", vrid=60, priority=200)
    await lb1.configure(HIGH, other)
    await lb2.configure(instance(priority=100))
    await lb1.become(State.MASTER)
    await lb1.become(State.MASTER, "other")
    with hearing(net["client"]) as ears:
        await lb1.configure(other)
        await ears.next(priority=100)
        assert [e.payload[1] for e in ears.heard if e.priority == 0] == [51]
    await lb1.event("vip.removed", address=VIP)
    await lb2.become(State.MASTER)
    assert [each.name for each in (await lb1.report()).instances] == ["other"]
    assert (await lb1.status("other")).transitions == 1


async def test_members_come_and_go_in_a_group(pair: Pair) -> None:
    """A group that gains and loses an instance keeps its role for the others."""
    lb1, _ = pair
    outside, within = group(200)
    await lb1.configure(outside)
    await lb1.become(State.MASTER)
    await lb1.configure(outside, within)
    await lb1.become(State.MASTER, "inside")
    await lb1.event("vip.added", address="10.0.1.100/24")
    await lb1.configure(within)
    await lb1.event("vip.removed", address=VIP)
    status = await lb1.status("inside")
    assert (status.state, status.transitions) == (State.MASTER, 1)


async def test_an_instance_may_move_to_a_group(pair: Pair) -> None:
    """Put into a group, a lone master begins anew with its group."""
    lb1, _ = pair
    await lb1.configure(instance(priority=200), inside(200))
    await lb1.become(State.MASTER)
    await lb1.become(State.MASTER, "inside")
    await lb1.configure(*group(200))
    await lb1.become(State.MASTER)
    await lb1.become(State.MASTER, "inside")
    assert {role.group for role in lb1.roles[-2:]} == {"front"}


async def test_two_masters_are_told_apart_and_settle(pair: Pair, net: Network) -> None:
    """A deaf node takes over; the real master says that there are two; they agree once it hears."""
    lb1, lb2 = pair
    await elect(pair)
    net["lb2"].cut("front", "in")
    await lb2.become(State.MASTER)
    split = await lb1.event("vrrp.split_brain")
    net["lb2"].mend("front")
    await lb2.become(State.BACKUP)
    assert (await lb1.status()).state is State.MASTER
    assert (split.fields["peer"], split.fields["priority"]) == ("192.0.2.2", 100)


async def test_a_peer_that_is_set_otherwise_is_told(pair: Pair) -> None:
    """Adverts with other addresses are obeyed and reported."""
    lb1, lb2 = pair
    await lb1.configure(instance(VIP, "192.0.2.101/24", priority=200))
    await lb2.configure(instance(priority=100))
    mismatch = await lb2.event("vrrp.mismatch")
    assert mismatch.fields["source"] == "192.0.2.1"
    assert "192.0.2.101" in str(mismatch.fields["detail"])
    assert (await lb2.status()).state is State.BACKUP
