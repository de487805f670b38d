"""What a pair of a speaker of ours and somebody else's VRRP must do, told once for every kind of peer.

`lb1` is ours, `lb2` the peer's. The peer has a priority of 100 and pre-empts, unless a test says otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

from lvsha.speaker.messages import State
from lvsha.speaker.spec import InstanceSpec
from tests.lab.network import Network
from tests.lab.speaker import Speaking, hearing
from tests.lab.steady import steady

PEER = 100
"""The peer's priority."""
Ours = Callable[[int], InstanceSpec]
"""Our instance with a priority."""


class Peer(Protocol):
    """A running VRRP implementation."""

    @property
    def said(self) -> Sequence[str]:
        """Its log."""

    def mark(self) -> int:
        """How much it has said until now."""

    async def enters(self, state: str, *, since: int = 0, within: float = 15) -> None:
        """Wait until it says that it enters MASTER or BACKUP."""

    def freeze(self) -> None:
        """Stop it where it stands."""

    def thaw(self) -> None:
        """Let it go on."""

    async def stop(self) -> None:
        """An orderly stop."""


async def changes_of_role(ours: Speaking, peer: Peer, make: Ours, source: str) -> None:
    """Each is master and backup, pre-empts, resigns, dies in silence and comes back. Nothing is refused."""
    high, low = make(PEER + 100), make(PEER - 50)
    await peer.enters("MASTER")

    # By its higher priority ours takes over.
    mark = peer.mark()
    await ours.configure(high)
    await ours.become(State.MASTER)
    await peer.enters("BACKUP", since=mark)
    # The advert that the peer gave way to does not wait for the addresses: they come after it.
    for virtual in high.addresses:
        await ours.event("vip.added", address=str(virtual.address))
    assert [v for v in high.addresses if not ours.holds(str(v.address))] == []

    # An orderly stop hands over at once, for ours resigns: the peer waits its skew time and no longer.
    mark = peer.mark()
    await ours.stop()
    await peer.enters("MASTER", since=mark, within=max(2 * high.interval, 2))
    assert [line for line in peer.said[mark:] if "priority 0" in line]

    # Ours comes back and takes over; frozen, it is replaced; woken, it takes over once more.
    await ours.start()
    await ours.become(State.MASTER)
    mark = peer.mark()
    ours.freeze()
    await peer.enters("MASTER", since=mark)
    mark = peer.mark()
    ours.thaw()
    await peer.enters("BACKUP", since=mark)
    await ours.become(State.MASTER)

    # With a lower priority ours gives way, and hears the other well.
    mark = peer.mark()
    await ours.configure(low)
    await peer.enters("MASTER", since=mark)
    await ours.become(State.BACKUP)
    status = await ours.status()
    assert (status.master, status.dropped) == (source, {})

    # The peer dies in silence, and wakes.
    peer.freeze()
    taken = await ours.become(State.MASTER)
    assert "no advert of" in taken.why
    peer.thaw()
    await ours.become(State.BACKUP)

    # The peer resigns: ours takes over in its skew time, unless it slept and cannot know when that was said.
    machine, begin = await steady(), time.monotonic()
    await peer.stop()
    taken = await ours.become(State.MASTER)
    still = await machine.stood_still(begin)
    assert "resigned" in taken.why or still.longest > 2 * low.interval, still
    assert (await ours.status()).dropped == {}


async def ours_returns_without_preemption(net: Network, ours: Speaking, peer: Peer, make: Ours) -> None:
    """Ours has the higher priority and does not pre-empt: it waits until the peer is gone."""
    waiting = replace(make(PEER + 100), preempt=False)
    await peer.enters("MASTER")
    mark = peer.mark()
    await ours.configure(waiting)
    with hearing(net["client"], waiting.family) as ears:
        for _ in range(6):
            await ears.next(priority=PEER)
        assert {each.priority for each in ears.heard} == {PEER}
    assert (await ours.status()).state is State.BACKUP
    await peer.stop()
    await ours.become(State.MASTER)
    assert not any("BACKUP" in line.upper() for line in peer.said[mark:])


async def the_peer_returns_without_preemption(
    net: Network, ours: Speaking, make: Ours, peer: AbstractAsyncContextManager[Peer]
) -> None:
    """The peer, which does not pre-empt, has the higher priority and comes later: ours stays master."""
    low = make(PEER - 50)
    await ours.configure(low)
    await ours.become(State.MASTER)
    async with peer as other:
        await other.enters("BACKUP")
        with hearing(net["client"], low.family) as ears:
            for _ in range(6):
                await ears.next(priority=low.priority)
            assert {each.priority for each in ears.heard} == {low.priority}
        # It is there all the same: when ours resigns, it takes over.
        mark = other.mark()
        await ours.stop()
        await other.enters("MASTER", since=mark)


async def an_equal_priority_is_settled(
    net: Network, ours: Speaking, peer: Peer, make: Ours, *, higher: bool
) -> None:
    """Both were master on a cut wire; joined again the one with the higher address stays, and only it."""
    net.part("front", "lb1", "lb2")
    await peer.enters("MASTER")
    await ours.configure(make(PEER))
    await ours.become(State.MASTER)
    mark = peer.mark()
    net.join("front", "lb1", "lb2")
    if higher:
        await peer.enters("BACKUP", since=mark)
        assert (await ours.status()).state is State.MASTER
    else:
        await ours.become(State.BACKUP)
        assert not any("BACKUP" in line.upper() for line in peer.said[mark:])
