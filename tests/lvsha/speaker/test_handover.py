"""Planned hand-overs from one real speaker to another."""

from __future__ import annotations

import pytest

from lvsha.speaker.messages import Failover, State
from tests.lab.network import Network
from tests.lab.speaker import HIGH, Pair, elect, hearing

pytestmark = pytest.mark.net


async def test_a_hand_over_is_answered_when_the_peer_holds_it(pair: Pair, net: Network) -> None:
    """The peer takes over at once, keeps it although its priority is lower, and gives it back on failure."""
    lb1, lb2 = pair
    await elect(pair)
    reply = await lb1.ask(Failover(instance="public"))
    assert reply.ok
    assert reply.fields["peer"] == "192.0.2.2"
    assert isinstance(reply.fields["seconds"], float)
    assert (await lb2.become(State.MASTER)).why == "192.0.2.1 resigned"
    await lb2.event("vip.added")
    with hearing(net["client"]) as ears:
        # Longer than it would take lb1 to pre-empt.
        for _ in range(6):
            await ears.next()
        assert ears.sources == ["192.0.2.2"]
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


async def test_who_has_handed_over_says_so(pair: Pair) -> None:
    """It is left to the peer as long as that lives: an operator has to see it."""
    lb1, lb2 = pair
    await elect(pair)
    assert (await lb1.ask(Failover(instance="public"))).ok
    status = await lb1.status()
    assert (status.state, status.yields, status.master_priority) == (State.BACKUP, True, 100)
    await lb2.stop()
    await lb1.become(State.MASTER)
    assert not (await lb1.status()).yields
