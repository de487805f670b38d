"""Whether this machine's IPVS directs: by itself, and with real speakers on a kernel that has IPVS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import pytest

from lvsha.kernel.sysctl import Change, Settled, SysctlError
from lvsha.speaker import directing
from lvsha.speaker.directing import SETTING, SETTLE, TRIES, WAY, Directing, Held
from lvsha.speaker.messages import Failover, State
from lvsha.speaker.spec import Garp
from tests.lab.network import Network, Node
from tests.lab.process import SLOWNESS
from tests.lab.speaker import VIP, Pair, Speaking, instance
from tests.lab.virtual import in_virtual_time

ONE, TWO = ip_address("192.0.2.100"), ip_address("2001:db8:1::100")
HELD: Held = {"front": frozenset({ONE, TWO})}


class Kernel:
    """A setting, as `Sysctl` has it: written only where it differs, and refused while it is not there."""

    def __init__(self, value: str | None = "0") -> None:
        self.value = value
        self.told = asyncio.Event()
        self.expected: Held = {}
        self.events: list[tuple[str, str]] = []

    def settle(self, wanted: Mapping[str, str | int]) -> Settled:
        """Bring it to this value."""
        before, after = self.value, str(wanted[SETTING])
        if before is None:
            return Settled((), (SysctlError(SETTING, "the kernel has no such setting"),))
        self.value = after
        return Settled((Change(SETTING, before, after),) if before != after else (), ())

    def say(self, event: str, **fields: object) -> None:
        """Take down an event."""
        self.events.append((event, str(fields.get("after", fields.get("value")))))
        self.told.set()

    def expect(self, held: Held) -> None:
        """Take down what is listened for."""
        self.expected = held

    async def becomes(self, value: str) -> float:
        """Wait until it is written so; the seconds that it took."""
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout(10):
            while self.value != value:
                self.told.clear()
                await self.told.wait()
        return asyncio.get_running_loop().time() - begun


def serving(kernel: Kernel) -> Directing:
    """One that is asked to keep the setting."""
    made = Directing(kernel, kernel.say, kernel.expect)
    made.serve(on=True)
    return made


def master(kernel: Kernel) -> Directing:
    """One of a node that is master."""
    made = serving(kernel)
    made.began("site")
    return made


@in_virtual_time
async def test_it_is_nobodys_business_unless_asked() -> None:
    """Where the directors are no servers nothing is written, listened for or waited for."""
    kernel = Kernel("7")
    made = Directing(kernel, kernel.say, kernel.expect)
    made.ended("site", HELD, 1.0)
    made.began("site")
    made.ended("site", HELD, 60.0)
    made.look()
    await made.left()
    assert (kernel.value, kernel.events, kernel.expected) == ("7", [], {})


@in_virtual_time
async def test_a_node_that_starts_as_backup_directs_nothing() -> None:
    """At once: nobody sent it anything."""
    kernel = Kernel()
    serving(kernel).ended("site", HELD, 60.0)
    assert kernel.value == "1"


@in_virtual_time
async def test_to_be_asked_is_not_yet_to_rest() -> None:
    """A process that goes on as master after a crash must not stop directing on the way."""
    kernel = Kernel("0")
    made = serving(kernel)
    assert kernel.value == "0"
    made.began("site")
    made.look()
    assert kernel.events == []


@in_virtual_time
async def test_a_master_directs_before_anything_else() -> None:
    """When `began` returns it is written; what was left of the last time is over."""
    kernel = Kernel("1")
    made = master(kernel)
    assert kernel.value == "0"
    made.ended("site", HELD, 0.1)
    made.began("site")
    await asyncio.sleep(0.2)
    assert (kernel.value, kernel.expected) == ("0", {})


@in_virtual_time
async def test_a_former_master_directs_until_every_address_was_announced() -> None:
    """The second announcement ends it, not the first, nor one of an address that was not held."""
    kernel = Kernel()
    made = master(kernel)
    made.ended("site", HELD, 60.0)
    assert kernel.expected == HELD
    made.announced(ONE)
    made.announced(ONE)
    made.announced(ip_address("192.0.2.7"))
    await asyncio.sleep(2 * WAY)
    assert kernel.value == "0"
    made.announced(TWO)
    assert await kernel.becomes("1") == pytest.approx(WAY)
    assert kernel.expected == {}


@in_virtual_time
async def test_announcements_are_not_waited_for_for_ever() -> None:
    """A new master that is heard and announces nothing has a second, however often it is heard."""
    kernel = Kernel()
    made = master(kernel)
    made.ended("site", HELD, 60.0)
    while kernel.value == "0":
        made.heard()
        await asyncio.sleep(0.05)
    assert SETTLE <= asyncio.get_running_loop().time() < SETTLE + 0.06


@in_virtual_time
async def test_who_hears_nobody_gives_up_in_time() -> None:
    """Cut off, a node stops directing when a peer has taken over for certain."""
    kernel = Kernel()
    made = master(kernel)
    made.ended("site", HELD, 0.3)
    assert await kernel.becomes("1") == pytest.approx(0.3)


@in_virtual_time
async def test_ending_twice_cuts_nothing_short() -> None:
    """A group that fails while it leaves is the same former master."""
    kernel = Kernel()
    made = master(kernel)
    made.ended("site", HELD, 0.3)
    made.ended("site", HELD, 60.0)
    assert kernel.value == "0"
    assert await kernel.becomes("1") == pytest.approx(0.3)


@in_virtual_time
async def test_an_end_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stops as master goes when it directs no more; but not later than its parent bears."""
    kernel = Kernel()
    made = master(kernel)
    made.ended("site", HELD, 0.3)
    await made.left()
    assert kernel.value == "1"
    await made.left()
    monkeypatch.setattr(directing, "LONGEST", 0.2)
    made.began("site")
    made.ended("site", HELD, 60.0)
    await made.left()
    assert kernel.value == "1"


@in_virtual_time
async def test_two_groups_direct_as_long_as_either_is_master() -> None:
    """The setting is the machine's."""
    kernel = Kernel()
    made = master(kernel)
    made.began("other")
    made.ended("site", HELD, 0.0)
    assert (kernel.value, kernel.expected) == ("0", {})
    made.ended("other", HELD, 0.1)
    assert await kernel.becomes("1") == pytest.approx(0.1)


@in_virtual_time
async def test_servers_no_more() -> None:
    """When the directors are no servers any more, a backup directs as it did before."""
    kernel = Kernel()
    made = serving(kernel)
    made.ended("site", HELD, 1.0)
    made.serve(on=False)
    assert kernel.value == "0"
    made.serve(on=True)
    made.look()
    assert kernel.value == "1"


@in_virtual_time
async def test_a_setting_that_comes_later_is_written_then() -> None:
    """The module is loaded by another process: no alarm for a moment, one for a longer time."""
    kernel = Kernel(None)
    made = serving(kernel)
    made.ended("site", HELD, 1.0)
    for _ in range(TRIES - 1):
        made.look()
    assert kernel.events == []
    for _ in range(5):
        made.look()
    assert kernel.events == [("sysctl.failed", "1")]
    kernel.value = "0"
    running = asyncio.create_task(made.run())
    assert await kernel.becomes("1") == pytest.approx(directing.AGAIN)
    running.cancel()


@in_virtual_time
async def test_a_master_that_cannot_direct_says_so_at_once() -> None:
    """Its clients would be reset."""
    kernel = Kernel(None)
    master(kernel)
    assert kernel.events == [("sysctl.failed", "0")]


# --- with real speakers ---------------------------------------------------------------------------


def directs(node: Node) -> bool:
    """What the kernel of a node says."""
    return node.sysctl(SETTING) == "0"


async def rests(node: Node, within: float = 3.0) -> None:
    """Wait until a node directs nothing."""
    async with asyncio.timeout(within * SLOWNESS):
        while directs(node):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)


CALM: dict[str, Any] = {"interval": 1.0, "lease": 6}
"""So that a guest which does not get its processor for half a second is no failover."""


async def serve(pair: Pair, **settings: Any) -> None:
    """lb1 is master, lb2 backup; they are servers, and have the address on lo."""
    for lb, priority in zip(pair, (200, 100), strict=True):
        lb.node.ip("address add 192.0.2.100/32 dev lo scope host")
        await lb.configure(instance(priority=priority, **(CALM | settings)), serve=True)
    lb1, lb2 = pair
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await lb1.event("vip.added")


def order(speaking: Speaking, since: int) -> list[tuple[str, object]]:
    """What was said of the setting and of the address, in order."""
    said = [(e.event, e.fields.get("after")) for e in speaking.events[since:]]
    return [one for one in said if one[0] in ("sysctl.changed", "vip.added", "vip.removed")]


def on_lo(node: Node) -> bool:
    """Whether a node has the address on lo."""
    return " 192.0.2.100/32 " in node.run("ip", "-o", "address", "show", "dev", "lo")


@pytest.mark.ipvs
async def test_the_setting_comes_before_the_address_and_goes_after_it(pair: Pair, net: Network) -> None:
    """A hand-over: the new master directs before it holds, the old one until it does not hold any more."""
    lb1, lb2 = pair
    await serve(pair)
    assert (directs(net["lb1"]), directs(net["lb2"])) == (True, False)
    since = len(lb1.events), len(lb2.events)
    assert (await lb1.ask(Failover(instance="public"))).ok
    await lb2.event("vip.added", since=since[1])
    await rests(net["lb1"])
    await lb1.event("sysctl.changed", since=since[0], after="1")
    assert order(lb2, since[1]) == [("sysctl.changed", "0"), ("vip.added", None)]
    assert order(lb1, since[0]) == [("vip.removed", None), ("sysctl.changed", "1")]
    assert directs(net["lb2"])
    assert on_lo(net["lb1"])
    assert on_lo(net["lb2"])


@pytest.mark.ipvs
async def test_a_silent_new_master_is_enough(pair: Pair, net: Network) -> None:
    """One that announces nothing is heard by its adverts."""
    await serve(pair, garp=Garp(repeat=0))
    assert (await pair[0].ask(Failover(instance="public"))).ok
    await pair[1].become(State.MASTER)
    await rests(net["lb1"])


@pytest.mark.ipvs
async def test_a_stop_leaves_a_real_server(pair: Pair, net: Network) -> None:
    """The master's speaker ends when it has written that nothing is directed here; a backup's, at once."""
    lb1, lb2 = pair
    await serve(pair)
    assert await lb1.stop() == 0
    assert not directs(net["lb1"])
    assert on_lo(net["lb1"])
    assert not lb1.holds(VIP)
    await lb2.become(State.MASTER)
    assert directs(net["lb2"])


@pytest.mark.ipvs
async def test_a_killed_speaker_goes_on_directing(pair: Pair, net: Network) -> None:
    """SIGKILL and a new process that goes on as master: nothing is written, the address on lo not adopted."""
    lb1, lb2 = pair
    await serve(pair)
    # Three intervals are the time in which the new process must be there: elected, they have long ones.
    for lb, priority in ((lb1, 200), (lb2, 100)):
        await lb.configure(instance(priority=priority, interval=10.0, lease=60), serve=True)
    await lb1.kill()
    since = len(lb1.events)
    await lb1.start()
    assert "resumed" in (await lb1.status()).why
    assert lb1.process is not None
    # What it said before its director was there stands in the log.
    said = [e.event for e in lb1.events[since:]] + [e["event"] for e in lb1.process.events]
    assert "sysctl.changed" not in said
    assert (directs(net["lb1"]), directs(net["lb2"])) == (True, False)
    assert on_lo(net["lb1"])
    assert (await lb2.status()).transitions == 0


@pytest.mark.ipvs
async def test_a_killed_speaker_that_comes_back_late_directs_nothing(pair: Pair, net: Network) -> None:
    """The peer has taken over: the first thing that the new process does is to leave that to it."""
    lb1, lb2 = pair
    await serve(pair, preempt=False)
    await lb1.kill()
    await lb2.become(State.MASTER)
    assert directs(net["lb1"])
    await lb1.start()
    await rests(net["lb1"])
    assert on_lo(net["lb1"])


@pytest.mark.ipvs
async def test_what_somebody_else_writes_is_put_right_and_told(pair: Pair, net: Network) -> None:
    """On master and backup, within a second or two."""
    lb1, lb2 = pair
    await serve(pair)
    for lb, wrong in ((lb1, "1"), (lb2, "0")):
        since = len(lb.events)
        lb.node.sysctl(SETTING, wrong)
        await lb.event("sysctl.changed", since=since, before=wrong)
        assert lb.node.sysctl(SETTING) != wrong


@pytest.mark.net
async def test_the_address_on_lo_outlives_a_killed_speaker(pair: Pair, net: Network) -> None:
    """A new process renews or removes what the one before it put on the wire, nothing of a real server's."""
    lb1, lb2 = pair
    for lb, priority in ((lb1, 200), (lb2, 100)):
        lb.node.ip("address add 192.0.2.100/32 dev lo scope host")
        await lb.configure(instance(priority=priority))
    await lb1.become(State.MASTER)
    await lb1.event("vip.added")
    await lb1.kill()
    await lb2.become(State.MASTER)
    await lb1.start()
    await lb1.become(State.BACKUP)
    await lb1.become(State.MASTER)
    await lb1.stop()
    assert on_lo(net["lb1"])
