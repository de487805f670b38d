"""Whole speakers on two machines: elections, failures, and what a client sees of them."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from lvsha.speaker.messages import Failover, Hold, Release, Resign, State, Track
from lvsha.speaker.spec import ServiceTracker
from tests.lab.network import Network
from tests.lab.speaker import VIP, Speaking, hearing, instance, watching

pytestmark = pytest.mark.net

Pair = tuple[Speaking, Speaking]
HIGH, LOW = instance(priority=200), instance(priority=100)


async def elect(pair: Pair) -> None:
    """lb1 is master, lb2 backup."""
    lb1, lb2 = pair
    await lb1.configure(HIGH)
    await lb2.configure(LOW)
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await lb1.event("vip.added")


async def test_the_higher_priority_becomes_master_and_holds_the_address(pair: Pair) -> None:
    """One node has the address, with a lifetime; the other has not."""
    lb1, lb2 = pair
    await elect(pair)
    assert lb1.holds()
    assert not lb2.holds()
    shown = json.loads(lb1.node.run("ip", "-j", "address", "show", "dev", "front"))
    (vip,) = (a for a in shown[0]["addr_info"] if a["local"] == "192.0.2.100")
    assert vip["valid_life_time"] <= 3
    assert (await lb2.status()).master == "192.0.2.1"
    assert (await lb1.status()).master == "192.0.2.1"


async def test_nobody_is_master_before_the_director_is_ready(pair: Pair, net: Network) -> None:
    """The start gate keeps a node that knows no verdicts yet in backup, even alone."""
    lb1, _ = pair
    lb1.ready = False
    with hearing(net["client"]) as ears:
        await lb1.configure(HIGH)
        await asyncio.sleep(1.0)
        assert ears.heard == []
        assert (await lb1.status()).state is State.BACKUP
        lb1.ready = True
        await lb1.configure(HIGH)
        await lb1.become(State.MASTER)


async def test_a_silent_master_is_replaced_in_the_time_of_the_rfc(pair: Pair, net: Network) -> None:
    """After SIGSTOP the backup's first advert comes three intervals and its skew after the last one."""
    lb1, lb2 = pair
    await elect(pair)
    with hearing(net["client"]) as ears:
        await ears.next()
        lb1.freeze()
        first = await ears.next(source="192.0.2.2")
        last = [each for each in ears.heard if each.source == "192.0.2.1"][-1]
    assert 0.3 + 0.1 * 156 / 256 - 0.02 < first.at - last.at < 0.3 + 0.1 * 156 / 256 + 0.05
    await lb2.event("vip.added")


async def test_a_frozen_master_loses_its_address_and_comes_back_humble(pair: Pair, net: Network) -> None:
    """The kernel takes the address of a frozen speaker; thawed, it does not go on as if nothing had been."""
    lb1, lb2 = pair
    await elect(pair)
    with watching(net["lb1"]) as comings, hearing(net["client"]) as ears:
        lb1.freeze()
        await lb2.become(State.MASTER)
        await comings.went(VIP)
        ears.mark()
        lb1.thaw()
        # It preempts in good time, by its higher priority, not by surprise.
        await lb1.become(State.BACKUP)
        await lb1.become(State.MASTER)
        await lb2.become(State.BACKUP)
        assert ears.sources == ["192.0.2.2", "192.0.2.1"]
        assert [each.source for each in ears.heard].count("192.0.2.2") > 2


async def test_a_killed_speaker_goes_on_as_master(pair: Pair, net: Network) -> None:
    """SIGKILL and a new process: no address comes or goes, the peer makes no transition."""
    lb1, lb2 = pair
    slow = {"interval": 1.0, "lease": 6}
    await lb1.configure(instance(priority=200, **slow))
    await lb2.configure(instance(priority=100, **slow))
    await lb1.become(State.MASTER)
    await lb1.event("vip.added")
    with watching(net["lb1"]) as comings, hearing(net["client"]) as ears:
        await ears.next()
        comings.read()
        await lb1.kill()
        await lb1.start()
        await lb1.become(State.MASTER)
        await ears.next()
        await ears.next()
        assert [change for change in comings.read() if change[0] == "went"] == []
        assert ears.sources == ["192.0.2.1"]
        assert all(each.priority for each in ears.heard)
        assert max(b.at - a.at for a, b in zip(ears.heard, ears.heard[1:], strict=False)) < 3
    assert (await lb2.status()).transitions == 0
    assert "resumed" in (await lb1.status()).why


async def test_a_killed_speaker_that_comes_back_late_is_backup(pair: Pair) -> None:
    """After the peer has taken over, a new process removes the address and preempts in good order."""
    lb1, lb2 = pair
    await elect(pair)
    await lb1.kill()
    await lb2.become(State.MASTER)
    assert lb1.holds()
    before = len(lb1.roles)
    with watching(lb1.node) as comings:
        await lb1.start()
        await comings.went(VIP)
    assert lb1.roles[before].state is State.BACKUP
    await lb1.become(State.MASTER)


async def test_a_clean_stop_resigns_first(pair: Pair, net: Network) -> None:
    """SIGTERM: a priority of 0, the address removed, status 0; the peer takes over in one skew time."""
    lb1, lb2 = pair
    await elect(pair)
    with hearing(net["client"]) as ears:
        assert await lb1.stop() == 0
        assert not lb1.holds()
        await lb2.become(State.MASTER)
        await ears.next(source="192.0.2.2")
        resigned = next(each for each in ears.heard if each.priority == 0)
        taken = next(each for each in ears.heard if each.source == "192.0.2.2")
    assert taken.at - resigned.at < 0.1
    assert not (lb1.runtime / "speaker.json").exists()


async def test_a_director_that_stays_away_costs_the_role(pair: Pair) -> None:
    """Without a beat for the grace the node resigns; when the director is ready again it may be master."""
    lb1, lb2 = pair
    await lb1.configure(HIGH, grace=1.0)
    await lb2.configure(LOW)
    await lb1.become(State.MASTER)
    lb1.beats, lb1.ready = False, False
    await lb2.become(State.MASTER)
    report = await lb1.report()
    assert not report.gate
    assert report.instances[0].state is State.BACKUP
    lb1.beats, lb1.ready = True, True
    await lb1.configure(HIGH, grace=1.0)
    await lb1.become(State.MASTER)


async def test_a_director_that_is_restarted_costs_nothing(pair: Pair, net: Network) -> None:
    """Within the grace a lost connection changes nothing on the wire."""
    lb1, lb2 = pair
    await elect(pair)
    with hearing(net["client"]) as ears:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as usurper:
            usurper.connect(str(lb1.runtime / "speaker.sock"))
        await asyncio.sleep(1)
        assert ears.sources == ["192.0.2.1"]
    assert (await lb2.status()).transitions == 0
    assert (await lb1.status()).transitions == 1


async def test_a_hand_over_is_answered_when_the_peer_holds_it(pair: Pair) -> None:
    """The peer takes over at once, keeps it although its priority is lower, and gives it back on failure."""
    lb1, lb2 = pair
    await elect(pair)
    reply = await lb1.ask(Failover(instance="public"))
    assert reply.ok
    assert reply.fields["peer"] == "192.0.2.2"
    assert isinstance(seconds := reply.fields["seconds"], float)
    assert seconds < 0.2
    await lb2.event("vip.added")
    await asyncio.sleep(0.6)
    assert (await lb1.status()).state is State.BACKUP
    await lb2.stop()
    await lb1.become(State.MASTER)


async def test_a_hand_over_to_nobody_is_taken_back(pair: Pair) -> None:
    """When no peer takes over, the node is master again and says so."""
    lb1, _ = pair
    await lb1.configure(HIGH)
    await lb1.become(State.MASTER)
    reply = await lb1.ask(Failover(instance="public", timeout=0.5))
    assert (reply.ok, "no peer took over" in reply.why) == (False, True)
    await lb1.become(State.MASTER)


async def test_only_a_master_hands_over(pair: Pair) -> None:
    """Asking a backup, or for an instance that does not exist, is refused by name."""
    _, lb2 = pair
    await elect(pair)
    assert (await lb2.ask(Failover(instance="public"))).why == "is backup here, not master"
    assert (await lb2.ask(Failover(instance="none"))).why == "there is no instance none"
    assert (await lb2.ask(Failover(group="none"))).why == "there is no group none"


async def test_a_held_instance_stays_in_backup_over_a_crash(pair: Pair) -> None:
    """Held by hand, a node is not master even alone, nor after SIGKILL; released, it is."""
    lb1, lb2 = pair
    await elect(pair)
    await lb1.ask(Hold(instance="public", why="maintenance"))
    await lb2.become(State.MASTER)
    await lb1.kill()
    await lb1.start()
    await lb2.stop()
    await asyncio.sleep(1)
    status = await lb1.status()
    assert (status.state, status.held) == (State.BACKUP, True)
    await lb1.ask(Release(instance="public"))
    await lb1.become(State.MASTER)


async def test_resigning_closes_the_gate(pair: Pair) -> None:
    """A node that is told to resign stays in backup until the director is ready again."""
    lb1, lb2 = pair
    await elect(pair)
    await lb1.ask(Resign(why="test"))
    await lb2.become(State.MASTER)
    assert not (await lb1.report()).gate
    await lb1.configure(HIGH)
    await lb1.become(State.MASTER)


async def test_the_directors_trackers_move_the_priority(pair: Pair) -> None:
    """A weight hands the role to the peer, a fault forbids it, and clearing gives it back."""
    lb1, lb2 = pair
    await lb1.configure(instance(priority=200, trackers=(ServiceTracker(name="web", weight=-150),)))
    await lb2.configure(LOW)
    await lb1.become(State.MASTER)
    await lb1.ask(Track(instance="public", name="web", weight=-150, why="no server"))
    await lb2.become(State.MASTER)
    assert (await lb1.status()).weights == {"web": -150}
    await lb1.ask(Track(instance="public", name="web", fault=True, why="no server"))
    await lb1.become(State.FAULT)
    assert (await lb1.status()).faults == {"web": "no server"}
    await lb1.ask(Track(instance="public", name="web"))
    await lb1.become(State.MASTER)


async def test_a_cable_that_is_pulled_is_a_fault_at_once(pair: Pair, net: Network) -> None:
    """No carrier is FAULT, the address goes; plugged in again the node takes part again."""
    lb1, lb2 = pair
    await elect(pair)
    net["lb1"].unplug("front")
    fault = await lb1.become(State.FAULT)
    assert "front" in fault.why
    await lb2.become(State.MASTER)
    await lb1.event("vip.removed")
    net["lb1"].plug("front")
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)


async def test_an_interface_that_is_replaced_is_used_again(pair: Pair, net: Network) -> None:
    """Removed and made anew, an interface of the same name serves the instance again."""
    lb1, _ = pair
    await elect(pair)
    lb1.node.ip("link set front name gone0")
    await lb1.become(State.FAULT)
    assert "does not exist" in (await lb1.status()).faults["interface front"]
    mark = len(lb1.events)
    lb1.node.ip("link set gone0 name front")
    await lb1.become(State.MASTER)
    await lb1.event("vip.added", since=mark)


async def test_an_address_that_somebody_removes_is_put_back(pair: Pair) -> None:
    """The master's address is there again at once, and the operator is told."""
    lb1, _ = pair
    await elect(pair)
    mark = len(lb1.events)
    lb1.node.ip(f"addr del {VIP} dev front")
    await lb1.event("vip.lost", since=mark, address=VIP, interface="front")
    await lb1.event("vip.added", since=mark)
    assert lb1.holds()
    assert (await lb1.status()).state is State.MASTER


async def test_a_foreign_address_is_never_touched(pair: Pair) -> None:
    """Giving up the virtual address leaves every other one, also those of a network that it came first in."""
    lb1, _ = pair
    lb1.node.ip("addr add 192.0.2.51/32 dev front")
    await lb1.configure(instance("203.0.113.100/24", VIP, priority=200))
    await lb1.become(State.MASTER)
    await lb1.event("vip.added", address="203.0.113.100/24")
    lb1.node.ip("addr add 203.0.113.50/24 dev front")
    await lb1.stop()
    shown = lb1.node.run("ip", "-o", "-4", "address", "show", "dev", "front")
    assert {word for word in shown.split() if "/" in word} == {
        "192.0.2.1/24",
        "192.0.2.51/32",
        "203.0.113.50/24",
    }
