"""Groups that fail over together, witnesses, and changes of the configuration, on real wires."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest

from lvsha.kernel.addresses import NETLINK_ROUTE, Held, Place
from lvsha.kernel.links import Link
from lvsha.kernel.netlink import Netlink
from lvsha.speaker.messages import Failover, Hold, State
from lvsha.speaker.news import News
from lvsha.speaker.shell import Shell
from lvsha.speaker.spec import InstanceSpec, ScriptTracker, VirtualAddress
from lvsha.vrrp.packet import Advert, pack
from lvsha.wire.advert import GROUP_4, AdvertSocket
from lvsha.wire.announce import Announcer
from tests.lab.network import Network, Node
from tests.lab.speaker import HIGH, LOW, VIP, Pair, elect, hearing, instance

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


async def test_a_witness_that_is_back_does_not_cost_the_master_its_role(pair: Pair, net: Network) -> None:
    """One cable brings back both: the witness's answer first, the master's advert a moment later."""
    _, lb2 = pair
    client, interval = net["client"], 1.0
    # The witness is a router that is used all the time, its MAC known.
    lb2.node.ip(f"neighbour replace 192.0.2.10 lladdr {client.mac('front')} dev front nud permanent")
    await lb2.configure(instance(priority=100, interval=interval, lease=6, witness=ip_address("192.0.2.10")))
    with playing(net["lb1"]) as master, echoes(client) as asked:
        master.say(interval)
        lb2.node.cut("front")
        await lb2.event("tracker.failed", tracker="witness")
        lb2.node.mend("front")
        await asyncio.get_running_loop().sock_recv(asked, 100)
        await asyncio.sleep(interval / 10)
        master.say(interval)
        status = await lb2.status()
        assert (status.state, status.transitions) == (State.BACKUP, 0), lb2.roles
        # Where there is no master, there is one soon.
        await lb2.become(State.MASTER)


async def test_a_backup_that_was_paused_hears_its_master_before_it_takes_over(
    pair: Pair, net: Network
) -> None:
    """Its machine was away with all that was sent to it, and wakes just before its time is over."""
    lb1, lb2 = pair
    slow = {"interval": 1.0, "lease": 6}
    await lb1.configure(instance(priority=200, **slow))
    await lb1.become(State.MASTER)
    await lb2.configure(instance(priority=100, **slow))
    with hearing(net["client"]) as ears:
        await ears.next()
        await lb2.stopped()
        lb2.node.cut("front", "in")
        for _ in range(3):
            await ears.next()
        lb2.node.mend("front")
        lb2.thaw()
        await ears.next(source="192.0.2.1")
        assert (await lb2.status()).transitions == 0
        assert ears.sources == ["192.0.2.1"]


async def test_a_look_at_the_clock_hears_first_what_waits(net: Network) -> None:
    """A process that was held up finds its time over and an advert in its socket: it takes nothing over."""
    loop = asyncio.get_running_loop()
    with held_up(net["lb2"]) as shell, playing(net["lb1"]) as master:
        master.say(0.1)
        async with asyncio.timeout(5):
            while shell.peer is None:  # noqa: ASYNC110 - a socket is read, and nobody is told
                await asyncio.sleep(0.001)
        due = shell.group.deadline
        assert due is not None
        # From here on the event loop does not run: nobody has read what comes.
        master.say(0.1)
        while loop.time() <= due:
            time.sleep(0.001)  # noqa: ASYNC251
        shell.catch_up()
        assert (shell.state, shell.transitions) == (State.BACKUP, 0)


@contextlib.contextmanager
def held_up(node: Node) -> Iterator[Shell]:
    """The shell of a backup, in the test's own process and event loop."""
    shells: list[Shell] = []
    with contextlib.ExitStack() as stack:
        with node.entered():
            announcer = stack.enter_context(contextlib.closing(Announcer()))
            netlink = stack.enter_context(contextlib.closing(Netlink.open(NETLINK_ROUTE, timeout=5)))
            news = News(netlink, announcer, lambda *_: None, lambda *_, **__: None, lambda: shells)
            for part in (news.node.sockets, news.node.conflicts):
                stack.enter_context(contextlib.closing(part))
            front = Link(socket.if_nametoindex("front"), "front", bytes(6), 1500, up=True, running=True)
            news.everything([front], [Held(Place(ip_interface("192.0.2.2/24"), front.index), 0, None, 0)])
            shells.append(Shell("x", [LOW], news.node, lambda _: None, lambda *_: None, gated=False))
            shells[0].open()
        shells[0].start()
        yield shells[0]


class Played:
    """A master that says what the test would have it say, when the test would have it."""

    def __init__(self, node: Node) -> None:
        with node.entered():
            self._socket = AdvertSocket("front", socket.if_nametoindex("front"), 4)
        self._source = node.address("front")

    def say(self, interval: float, priority: int = 200) -> None:
        """One advert."""
        advert = Advert(3, 51, priority, interval, (ip_interface(VIP).ip,))
        self._socket.send(pack(advert, self._source, GROUP_4), self._source, GROUP_4)

    def close(self) -> None:
        """Say nothing more."""
        self._socket.close()


@contextlib.contextmanager
def playing(node: Node) -> Iterator[Played]:
    """A master on a node that has no speaker running as one."""
    with contextlib.closing(Played(node)) as played:
        yield played


@contextlib.contextmanager
def echoes(node: Node) -> Iterator[socket.socket]:
    """The echo requests that reach a node."""
    with node.entered():
        ears = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
    with ears:
        yield ears


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


@pytest.mark.parametrize("changes", [{"vrid": 53}, {"version": 2}])
async def test_who_keeps_its_addresses_does_not_resign(
    pair: Pair, net: Network, changes: dict[str, int]
) -> None:
    """A backup that is reloaded after the master, while it still waits, hears it again: no split, no role."""
    lb1, lb2 = pair
    high, low = (instance(priority=priority, interval=1.0) for priority in (200, 100))
    await lb1.configure(high)
    await lb2.configure(low)
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    with hearing(net["client"]) as ears:
        await lb1.configure(replace(high, **changes))  # type: ignore[arg-type]
        await ears.next(priority=200)
        await lb2.configure(replace(low, **changes))  # type: ignore[arg-type]
        await ears.next(priority=200)
        assert {each.priority for each in ears.heard} == {200}
    assert [(await each.status()).transitions for each in pair] == [1, 0]


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in one group"])
async def test_instances_may_swap_their_router_ids(pair: Pair, grouped: bool) -> None:
    """Both nodes are reloaded so: each instance hears its master under the id that another had before."""
    lb1, lb2 = pair
    there: dict[str, Any] = {"group": "front"} if grouped else {}

    def two(priority: int, *vrids: int) -> list[InstanceSpec]:
        one = instance(priority=priority, vrid=vrids[0], interval=1.0, **there)
        return [
            one,
            replace(inside(priority), interface="front", vrid=vrids[1], interval=1.0, group=one.group),
        ]

    await lb1.configure(*two(200, 51, 52))
    await lb2.configure(*two(100, 51, 52))
    for name in ("public", "inside"):
        await lb1.become(State.MASTER, name)
        await lb2.become(State.BACKUP, name)
    await lb1.configure(*two(200, 52, 53))
    await lb2.configure(*two(100, 52, 53))
    await asyncio.sleep(4.5)
    assert [each.state for each in (await lb2.report()).instances] == [State.BACKUP, State.BACKUP]
    assert [each.transitions for each in (await lb1.report()).instances] == [1, 1]


async def test_who_moves_to_another_interface_resigns_on_the_old_one(pair: Pair) -> None:
    """The peer there takes over the addresses within a skew, not after three intervals."""
    lb1, lb2 = pair
    high = instance(priority=200, interval=1.0)
    await lb1.configure(high)
    await lb2.configure(instance(priority=100, interval=1.0))
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await lb1.configure(replace(inside(200), name="public", vrid=51, group=None, interval=1.0))
    assert (await lb2.become(State.MASTER)).why == "192.0.2.1 resigned"


async def test_adverts_that_move_alone_leave_the_addresses(pair: Pair, net: Network) -> None:
    """Where only the adverts go over another interface, the addresses stay: nothing is resigned."""
    lb1, _ = pair
    high = instance(priority=200, interval=1.0)
    await lb1.configure(high)
    await lb1.become(State.MASTER)
    with hearing(net["client"]) as ears, hearing(net["lb2"], interface="back") as behind:
        await lb1.configure(replace(high, interface="back"))
        await behind.next(priority=200)
        assert not [each for each in (*ears.heard, *behind.heard) if each.priority == 0]
    assert (await lb1.status()).transitions == 1


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


async def test_a_held_instance_that_is_removed_holds_its_group_no_longer(pair: Pair) -> None:
    """What was said of an instance ends with it; when it comes back, the director says it again."""
    lb1, _ = pair
    outside, within = group(200)
    await lb1.configure(outside, within)
    await lb1.become(State.MASTER, "inside")
    await lb1.ask(Hold(instance="inside", why="work"))
    await lb1.become(State.BACKUP)
    await lb1.configure(outside)
    await lb1.become(State.MASTER)


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


def scripted(*command: str, **settings: Any) -> InstanceSpec:
    """The better node, as long as a program ends well."""
    usual: dict[str, Any] = {"name": "script", "interval": 0.1, "timeout": 5.0, "user": "root"}
    return instance(priority=200, trackers=(ScriptTracker(command=command, **(usual | settings)),))


async def test_a_node_hears_its_trackers_before_it_takes_over(pair: Pair) -> None:
    """A node that begins, and is slow to find out that it must not be master, has not been it meanwhile."""
    lb1, lb2 = pair
    await lb2.configure(LOW)
    await lb2.become(State.MASTER)
    await lb1.configure(scripted("/bin/sh", "-c", "sleep 1; exit 1"))
    await lb1.become(State.FAULT)
    assert {role.state for role in lb1.roles} == {State.BACKUP, State.FAULT}
    await lb1.configure()
    await lb1.configure(scripted("/bin/sh", "-c", "sleep 1"))
    await lb1.become(State.MASTER)


async def test_a_tracker_that_is_set_otherwise_stands_until_its_next_word(pair: Pair) -> None:
    """A reload that changes how a failed tracker is watched makes no master of this node for a moment."""
    lb1, _ = pair
    failing = "/bin/sh", "-c", "sleep 1; exit 1"
    await lb1.configure(scripted(*failing))
    await lb1.become(State.FAULT)
    mark = len(lb1.roles)
    await lb1.configure(scripted(*failing, interval=0.2))
    await asyncio.sleep(1.5)
    assert {role.state for role in lb1.roles[mark:]} == {State.FAULT}
    await lb1.configure(instance(priority=200))
    await lb1.become(State.MASTER)


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
