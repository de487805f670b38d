"""What the director says: the start gate, the grace, holding, trackers of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from lvsha.kernel.addresses import NETLINK_ROUTE
from lvsha.kernel.netlink import Netlink
from lvsha.speaker.messages import (
    Configure,
    Event,
    Failover,
    Hold,
    Ready,
    Release,
    Report,
    Resign,
    State,
    Track,
)
from lvsha.speaker.speaker import Speaker
from lvsha.speaker.spec import ServiceTracker
from lvsha.speaker.state import Files
from lvsha.wire.announce import Announcer
from tests.lab.network import Network
from tests.lab.speaker import HIGH, LOW, Pair, Speaking, elect, hearing, instance

pytestmark = pytest.mark.net


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


async def test_a_node_that_does_not_know_the_connections_takes_nothing_from_a_living_master(
    pair: Pair, net: Network
) -> None:
    """`Ready(preempt=False)`: the better node waits, however long, until it is told that it may."""
    lb1, lb2 = pair
    lb1.ready = False
    await lb2.configure(LOW)
    await lb2.become(State.MASTER)
    with hearing(net["client"]) as ears:
        await lb1.configure(HIGH)
        # Long enough behind the gate that it would take over at once when that opens.
        await asyncio.sleep(0.6)
        await lb1.ask(Ready(preempt=False))
        await asyncio.sleep(1.0)
        assert ears.sources == ["192.0.2.2"]
        await lb1.ask(Ready())
        await lb1.become(State.MASTER)
        await lb2.become(State.BACKUP)


async def test_a_node_that_waits_takes_over_where_there_is_no_master(pair: Pair) -> None:
    """It may not pre-empt, but when the other one dies it is master as soon as ever."""
    lb1, lb2 = pair
    lb1.ready = False
    await lb2.configure(LOW)
    await lb2.become(State.MASTER)
    await lb1.configure(HIGH)
    await lb1.ask(Ready(preempt=False))
    await lb2.kill()
    await lb1.become(State.MASTER, within=2)


async def test_a_speaker_that_is_killed_goes_on_waiting(pair: Pair) -> None:
    """What may not be taken over yet is not taken over by a new process either."""
    lb1, lb2 = pair
    lb1.ready = False
    await lb2.configure(LOW)
    await lb2.become(State.MASTER)
    await lb1.configure(HIGH)
    await lb1.ask(Ready(preempt=False))
    await lb1.kill()
    await lb1.start()
    await asyncio.sleep(1.0)
    assert (await lb1.status()).state is State.BACKUP
    assert (await lb2.status()).state is State.MASTER
    assert (await lb1.report()).gate


async def test_adverts_that_wait_are_heard_before_the_gate_opens(pair: Pair, net: Network) -> None:
    """A node that was stopped finds `Ready` and its master's adverts: the master is not taken over from."""
    lb1, lb2 = pair
    lb2.ready = False
    await lb1.configure(HIGH)
    await lb1.become(State.MASTER)
    await lb2.configure(LOW)
    with hearing(net["client"]) as ears:
        await ears.next()
        await lb2.stopped()
        await lb2.link.send(Ready())
        for _ in range(6):
            await ears.next()
        lb2.thaw()
        status = await lb2.status()
        assert (status.state, status.transitions) == (State.BACKUP, 0)
        await ears.next(source="192.0.2.1")
        assert ears.sources == ["192.0.2.1"]


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


async def test_time_in_which_all_stood_still_is_no_absence_of_the_directors(pair: Pair) -> None:
    """A machine that was paused for longer than the grace had both on it: nobody is missed."""
    lb1, _ = pair
    await lb1.configure(HIGH, grace=1.0)
    await lb1.become(State.MASTER)
    await lb1.stopped()
    lb1.beats = False
    await asyncio.sleep(1.5)
    lb1.thaw()
    await lb1.become(State.BACKUP)
    lb1.beats = True
    await lb1.become(State.MASTER)
    assert (await lb1.report()).gate
    assert [event for event in lb1.events if event.event == "director.lost"] == []


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


async def test_what_is_tracked_no_more_is_forgotten(pair: Pair) -> None:
    """A fault whose tracker has left the configuration does not come back with the next speaker."""
    lb1, _ = pair
    await lb1.configure(instance(priority=200, trackers=(ServiceTracker(name="web"),)))
    await lb1.ask(Track(instance="public", name="web", fault=True, why="no server"))
    await lb1.become(State.FAULT)
    await lb1.configure(HIGH)
    await lb1.become(State.MASTER)
    await lb1.kill()
    await lb1.start()
    await lb1.become(State.MASTER)
    assert (await lb1.status()).faults == {}


def unwritable(node: Speaking) -> None:
    """Nothing can be kept any more in the runtime directory, as when its file system is full."""
    for name in ("speaker.json.new", "speaker.beat.new"):
        (node.runtime / name).mkdir()


async def test_who_cannot_keep_anything_resigns_all_the_same(pair: Pair) -> None:
    """A speaker whose director stays away resigns, and lives, where the runtime directory is full."""
    lb1, _ = pair
    await lb1.configure(HIGH, grace=0.5)
    await lb1.become(State.MASTER)
    unwritable(lb1)
    lb1.beats = lb1.ready = False
    await lb1.become(State.BACKUP)
    pid = (await lb1.report()).pid
    assert pid == lb1.pid
    await lb1.event("state.unwritable", file="speaker.json")


async def test_who_cannot_keep_anything_hands_over_all_the_same(pair: Pair) -> None:
    """The hand-over is answered, and ends: when the peer dies, this node is master again."""
    lb1, lb2 = pair
    await elect(pair)
    unwritable(lb1)
    assert (await lb1.ask(Failover(instance="public"))).ok
    await lb2.become(State.MASTER)
    await lb2.kill()
    await lb1.become(State.MASTER)


async def test_who_cannot_keep_anything_goes_on_after_a_crash(pair: Pair) -> None:
    """A speaker that was killed comes back as master, although it can write nothing."""
    lb1, _ = pair
    await lb1.configure(instance(priority=200, interval=1.0))
    await lb1.become(State.MASTER)
    unwritable(lb1)
    await lb1.kill()
    await lb1.start()
    status = await lb1.status()
    assert (status.state, status.why[:7]) == (State.MASTER, "resumed")


async def test_who_is_told_to_stop_hears_nothing_more(net: Network, tmp_path: Path) -> None:
    """A command that comes while the speaker ends begins no instance, and leaves nothing for the next one."""
    said = Said()
    with net["lb1"].entered(), contextlib.ExitStack() as stack:
        announcer = stack.enter_context(contextlib.closing(Announcer()))
        netlink = stack.enter_context(contextlib.closing(Netlink.open(NETLINK_ROUTE, timeout=5)))
        speaker = Speaker(netlink, announcer, Files(tmp_path), said)
    speaker.stopping.set()
    speaker.command(Configure(node="lb1", instances=(HIGH,), realtime=False, id=1))
    assert speaker.roles() == []
    assert said.reports == []
    assert Files(tmp_path).load() is None


class Said:
    """What a speaker says."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def send(self, report: Report) -> None:
        """As `speaker.Talk`."""
        self.reports.append(report)

    def say(self, event: str, **fields: object) -> None:
        """As `speaker.Talk`."""
        self.reports.append(Event(event=event, fields=fields))

    def hang_up(self) -> None:
        """As `speaker.Talk`."""
