"""Tests of lvsha.speaker.carrier: by itself, and on a wire whose cable is pulled and put back."""

from __future__ import annotations

import pytest

from lvsha.kernel.links import Link
from lvsha.speaker.carrier import Carrier
from lvsha.speaker.messages import State
from lvsha.speaker.spec import InterfaceTracker
from tests.lab.speaker import HIGH, Pair, elect, instance

FRONT = Link(7, "front", b"", 1500, up=True, running=True, carriers=1)
NONE = Link(7, "front", b"", 1500, up=True, running=False, carriers=1)
AGAIN = Link(7, "front", b"", 1500, up=True, running=True, carriers=2)
NEW = Link(8, "front", b"", 1500, up=True, running=True, carriers=1)


def test_what_is_there_at_first_counts_at_once() -> None:
    """Nobody knows how old it is."""
    carrier = Carrier()
    assert not carrier.see(FRONT, 100.0)
    assert carrier.settled_at(30.0) < 100.0


@pytest.mark.parametrize("before", [NONE, None, Link(7, "front", b"", 1500, up=False, running=False)])
def test_one_that_comes_counts_after_the_delay(before: Link | None) -> None:
    """After no carrier, no interface, or one that was set down; and it is new once."""
    carrier = Carrier()
    assert not carrier.see(before, 100.0)
    assert carrier.see(FRONT, 110.0)
    assert not carrier.see(FRONT, 120.0)
    assert carrier.settled_at(30.0) == 140.0


@pytest.mark.parametrize("after", [AGAIN, NEW])
def test_one_that_nobody_saw_go_is_new_as_well(after: Link) -> None:
    """By the kernel's count, and by the number of the interface."""
    carrier = Carrier()
    carrier.see(FRONT, 100.0)
    assert carrier.see(after, 110.0)
    assert carrier.settled_at(1.0) == 111.0


@pytest.mark.net
async def test_a_node_waits_before_it_is_back_in_the_election(pair: Pair) -> None:
    """From the carrier on it is at fault for the delay, says so, then backup, and then master again."""
    lb1, lb2 = pair
    await elect(pair)
    await lb1.configure(instance(priority=200, carrier_delay=1.0))
    assert (await lb1.status()).state is State.MASTER
    lb1.node.unplug("front")
    await lb1.become(State.FAULT)
    await lb2.become(State.MASTER)
    lb1.node.plug("front")
    told = await lb1.event("vrrp.settling")
    assert told.fields["seconds"] == 1.0
    status = await lb1.status()
    assert status.faults == {"link front": "front has had its carrier for less than 1 s"}
    assert status.why == "public: front has had its carrier for less than 1 s"
    back = await lb1.become(State.BACKUP)
    assert back.at - status.since > 1.0
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)


@pytest.mark.net
async def test_a_tracker_of_the_same_interface_ends_no_fault(pair: Pair) -> None:
    """It counts by its weight, and the instance is at fault all the same, until the time is over."""
    lb1, _ = pair
    tracker = InterfaceTracker(name="interface front", interface="front", weight=-50)
    await lb1.configure(instance(priority=200, carrier_delay=600.0, trackers=(tracker,)))
    await lb1.become(State.MASTER)
    lb1.node.unplug("front")
    await lb1.event("tracker.failed")
    assert (await lb1.status()).faults == {"link front": "front has no carrier"}
    lb1.node.plug("front")
    await lb1.event("vrrp.settling")
    status = await lb1.status()
    assert (status.state, status.faults.keys()) == (State.FAULT, {"link front"})
    assert status.weights == {"interface front": -50}


@pytest.mark.net
async def test_a_tracked_interface_is_waited_for_as_well(pair: Pair) -> None:
    """The servers' side may be blocked by its switch just as the clients' is."""
    lb1, _ = pair
    tracker = InterfaceTracker(name="interface back", interface="back")
    await lb1.configure(instance(priority=200, carrier_delay=1.0, trackers=(tracker,)))
    await lb1.become(State.MASTER)
    lb1.node.unplug("back")
    await lb1.become(State.FAULT)
    lb1.node.plug("back")
    await lb1.event("vrrp.settling", interface="back")
    status = await lb1.status()
    assert status.faults == {"interface back": "back has had its carrier for less than 1 s"}
    back = await lb1.become(State.BACKUP)
    assert back.at - status.since > 1.0


@pytest.mark.net
async def test_what_nobody_followed_meanwhile_counts_at_once(pair: Pair) -> None:
    """An interface that is tracked again after its carrier came back may have had it for days."""
    lb1, _ = pair
    with_tracker = instance(
        priority=200,
        carrier_delay=600.0,
        trackers=(InterfaceTracker(name="interface back", interface="back"),),
    )
    await lb1.configure(with_tracker)
    await lb1.become(State.MASTER)
    await lb1.configure(instance(priority=200, carrier_delay=600.0))
    lb1.node.unplug("back")
    lb1.node.plug("back")
    await lb1.configure(with_tracker)
    assert (await lb1.status()).state is State.MASTER
    assert not [event for event in lb1.events if event.event == "vrrp.settling"]


@pytest.mark.net
async def test_a_delay_that_is_taken_away_ends(pair: Pair) -> None:
    """Other settings hold at once, for who waits already."""
    lb1, _ = pair
    await lb1.configure(instance(priority=200, carrier_delay=600.0))
    await lb1.become(State.MASTER)
    lb1.node.unplug("front")
    await lb1.become(State.FAULT)
    lb1.node.plug("front")
    await lb1.event("vrrp.settling")
    await lb1.configure(HIGH)
    await lb1.become(State.MASTER)


@pytest.mark.net
@pytest.mark.parametrize("down", [False, True])
async def test_an_instance_that_needs_no_carrier_stays(pair: Pair, down: bool) -> None:
    """Without a carrier, and with its interface set down, a master is master, and says that it is cut off."""
    lb1, _ = pair
    await lb1.configure(instance(priority=200, needs_carrier=False))
    await lb1.become(State.MASTER)
    if down:
        lb1.node.ip("link set front down")
    else:
        lb1.node.unplug("front")
    told = await lb1.event("vrrp.link_lost")
    assert told.fields["detail"] == ("front is down" if down else "front has no carrier")
    status = await lb1.status()
    assert (status.state, status.faults) == (State.MASTER, {})
    if down:
        lb1.node.ip("link set front up")
    else:
        lb1.node.plug("front")
    await lb1.event("vrrp.link_back")
    assert (await lb1.status()).transitions == 1


@pytest.mark.net
async def test_an_instance_that_needs_no_carrier_starts_without(pair: Pair) -> None:
    """The other node is off, and so is this end of the cable: the address is held all the same."""
    lb1, _ = pair
    lb1.node.unplug("front")
    await lb1.configure(instance(priority=200, needs_carrier=False))
    await lb1.become(State.MASTER)
    await lb1.event("vip.added")
    assert lb1.holds()
    await lb1.event("vrrp.link_lost")
