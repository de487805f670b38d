"""Whole speakers that are stopped, killed and frozen, and what a client and the peer see of it."""

from __future__ import annotations

import os
import signal

import pytest

from lvsha.speaker.messages import State
from tests.lab.network import Network
from tests.lab.speaker import VIP, Pair, elect, hearing, instance, watching

pytestmark = pytest.mark.net


async def test_a_silent_master_is_replaced_in_the_time_of_the_rfc(pair: Pair, net: Network) -> None:
    """After SIGSTOP the backup's first advert comes three intervals and its skew after the last one."""
    lb1, lb2 = pair
    slow = {"interval": 1.0, "lease": 6}
    await lb1.configure(instance(priority=200, **slow))
    await lb2.configure(instance(priority=100, **slow))
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    with hearing(net["client"]) as ears:
        await ears.next()
        lb1.freeze()
        first = await ears.next(source="192.0.2.2")
        last = [each for each in ears.heard if each.source == "192.0.2.1"][-1]
    # Whoever hears and whoever sends may be held up, by less than the half of an interval.
    assert first.at - last.at == pytest.approx(3 + 156 / 256, abs=0.45)
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
        humble = await lb1.become(State.BACKUP)
        again = await lb1.become(State.MASTER)
        await lb2.become(State.BACKUP)
        assert ears.sources == ["192.0.2.2", "192.0.2.1"]
        assert again.at - humble.at > 0.3


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


async def test_a_hangup_is_not_for_the_speaker(pair: Pair, net: Network) -> None:
    """SIGHUP to every process of that name, as keepalived's users are used to, is a reload and no death."""
    lb1, _ = pair
    await elect(pair)
    os.kill(lb1.pid, signal.SIGHUP)
    with hearing(net["client"]) as ears:
        for _ in range(3):
            await ears.next(source="192.0.2.1")
    assert (await lb1.status()).transitions == 1


async def test_a_clean_stop_resigns_first(pair: Pair, net: Network) -> None:
    """SIGTERM: a priority of 0, the address removed, status 0; the peer takes over in one skew time."""
    lb1, lb2 = pair
    await elect(pair)
    with hearing(net["client"]) as ears:
        assert await lb1.stop() == 0
        assert not lb1.holds()
        taken = await lb2.become(State.MASTER)
        await ears.next(source="192.0.2.2")
        assert [each.source for each in ears.heard if each.priority == 0] == ["192.0.2.1"]
    assert taken.why == "192.0.2.1 resigned"
    assert not (lb1.runtime / "speaker.json").exists()
