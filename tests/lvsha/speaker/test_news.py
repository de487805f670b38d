"""Interfaces and addresses that change under a running speaker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from ipaddress import ip_address, ip_interface

import pytest

from lvsha.kernel.addresses import NETLINK_ROUTE, Held, Place
from lvsha.kernel.links import Link
from lvsha.kernel.netlink import Netlink
from lvsha.kernel.watch import AddressChanged, AddressGone, LinkGone
from lvsha.speaker.messages import State
from lvsha.speaker.news import News
from lvsha.speaker.shell import Shell
from lvsha.speaker.spec import Garp
from lvsha.wire.announce import Announcer
from lvsha.wire.conflict import ArpListener
from tests.lab.network import Network
from tests.lab.speaker import LOW, VIP, Pair, elect, hearing, instance

pytestmark = pytest.mark.net


async def test_a_cable_that_is_pulled_is_a_fault_at_once(pair: Pair, net: Network) -> None:
    """No carrier is FAULT, the address goes; plugged in again the node takes part again."""
    lb1, lb2 = pair
    await elect(pair)
    net["lb1"].unplug("front")
    fault = await lb1.become(State.FAULT)
    assert fault.why == "public: front has no carrier"
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
    assert "does not exist" in (await lb1.status()).faults["link front"]
    mark = len(lb1.events)
    lb1.node.ip("link set gone0 name front")
    await lb1.become(State.MASTER)
    await lb1.event("vip.added", since=mark)


class Looking(Shell):
    """The shell of an instance on `front`; how often it looked."""

    looks = 0

    def look(self) -> None:
        """As `shell.Shell`."""
        self.looks += 1
        super().look()


async def test_addresses_that_concern_nobody_cost_no_look(net: Network) -> None:
    """Containers come and go: only those of an instance's own interface, and virtual ones, are looked at."""
    shells: list[Looking] = []
    with contextlib.ExitStack() as stack:
        with net["lb1"].entered():
            announcer = stack.enter_context(contextlib.closing(Announcer()))
            netlink = stack.enter_context(contextlib.closing(Netlink.open(NETLINK_ROUTE, timeout=5)))
            news = News(netlink, announcer, lambda *_: None, lambda *_, **__: None, lambda: shells)
            for part in (news.node.sockets, news.node.conflicts):
                stack.enter_context(contextlib.closing(part))
            links = {
                n: Link(socket.if_nametoindex(n), n, bytes(6), 1500, True, True) for n in ("front", "back")
            }
            news.everything(list(links.values()), [])
            news.node.virtual = frozenset({ip_interface(VIP).ip})
            shells.append(Looking("x", [LOW], news.node, lambda _: None, lambda *_: None, gated=False))
            shells[0].open()

        def looks(address: str, where: str) -> int:
            before = shells[0].looks
            held = Held(Place(ip_interface(address), links[where].index), 0, None, 0)
            news.changed([AddressChanged(held)])
            news.changed([AddressGone(held)])
            return shells[0].looks - before

        found = [looks(a, w) for a, w in (("10.0.1.9/24", "back"), ("192.0.2.9/24", "front"), (VIP, "back"))]
        assert found == [0, 2, 2]
        shells[0].stop()


@pytest.mark.parametrize("told", [True, False], ids=["told", "looked for anew"])
async def test_an_address_of_an_interface_that_is_gone_is_told_with_its_name(
    net: Network, told: bool
) -> None:
    """The end of a removal may be read after the end of the interface."""
    said: list[tuple[str, object]] = []
    with contextlib.ExitStack() as stack:
        with net["lb1"].entered():
            announcer = stack.enter_context(contextlib.closing(Announcer()))
            netlink = stack.enter_context(contextlib.closing(Netlink.open(NETLINK_ROUTE, timeout=5)))
        news = News(
            netlink,
            announcer,
            lambda *_: None,
            lambda event, **fields: said.append((event, fields["interface"])),
            lambda: (),
        )
        link = Link(7, "vrrp4.51", bytes(6), 1500, up=True, running=True)
        news.everything([link], [])
        if told:
            news.changed([LinkGone(link)])
        else:
            news.everything([], [])
        news.removed([Place(ip_interface(VIP), link.index)])
    assert said == [("vip.removed", "vrrp4.51")]


async def test_a_port_of_a_bridge_is_deaf_and_serves_again_when_it_is_none(pair: Pair) -> None:
    """The bridge takes every advert: a backup would hear no master. Taken out, the interface is as before."""
    lb1, lb2 = pair
    await elect(pair)
    lb2.node.ip("link add br0 type bridge", "link set front master br0")
    fault = await lb2.become(State.FAULT)
    assert fault.why == "public: front is a port of a bridge, which takes all that comes in by it"
    lb2.node.ip("link set front nomaster", "link del br0")
    await lb2.become(State.BACKUP)
    await lb1.stop()
    await lb2.become(State.MASTER)


@pytest.mark.parametrize("lost", [["mtu 1200", "mtu 1500"], ["down", "up"]], ids=["too small", "down"])
async def test_an_interface_without_ipv6_for_a_while_is_heard_on_again(
    pair: Pair, net: Network, lost: list[str]
) -> None:
    """An MTU below 1280 ends IPv6 there, membership of the group too; a backup hears its master again."""
    lb1, lb2 = pair
    vip = "2001:db8:1::100/64"
    await lb1.configure(instance(vip, priority=200))
    await lb1.become(State.MASTER)
    await lb2.configure(instance(vip, priority=100))
    await lb2.become(State.BACKUP)
    lb2.node.ip(f"link set front {lost[0]}")
    await lb2.become(State.FAULT)
    lb2.node.ip(f"link set front {lost[1]}")
    lb2.node.ip("address replace fe80::2/64 dev front nodad")
    await lb2.become(State.BACKUP)
    with hearing(net["client"], 6) as ears:
        for _ in range(10):
            await ears.next()
        assert ears.sources == ["fe80::1"]
    assert (await lb2.status()).master == "fe80::1"


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


async def test_an_ipv6_address_that_is_there_with_another_prefix_length_is_taken_over(pair: Pair) -> None:
    """Put by hand as /128, it is held as configured by the master, and gone when that has resigned."""
    lb1, _ = pair
    lb1.node.ip("addr add 2001:db8:1::100/128 dev front nodad")
    vip = "2001:db8:1::100/64"
    await lb1.configure(instance(vip, priority=200))
    await lb1.become(State.MASTER)
    await lb1.event("vip.added", address=vip)
    assert (lb1.holds("2001:db8:1::100/128"), lb1.holds(vip)) == (False, True)
    await lb1.configure()
    await lb1.event("vip.removed", address=vip)
    assert "2001:db8:1::100" not in lb1.node.run("ip", "-o", "address", "show", "dev", "front")


async def test_another_prefix_length_comes_without_a_moment_of_none(pair: Pair) -> None:
    """A reload that changes a virtual address's prefix length leaves the master with it, over IPv6 too."""
    lb1, _ = pair
    for before, after in (("2001:db8:1::100/64", "2001:db8:1::100/128"), (VIP, "192.0.2.100/32")):
        await lb1.configure(instance(before, priority=200))
        await lb1.event("vip.added", address=before)
        mark = len(lb1.events)
        await lb1.configure(instance(after, priority=200))
        await lb1.event("vip.added", since=mark, address=after)
        await lb1.event("vip.removed", since=mark, address=before)
        assert (lb1.holds(before), lb1.holds(after)) == (False, True)
        await lb1.configure()
        await lb1.event("vip.removed", since=mark, address=after)


async def test_another_mac_is_announced(pair: Pair, net: Network) -> None:
    """A master whose interface has another MAC (a bond's new leader) tells its neighbours, then and later."""
    lb1, _ = pair
    refreshed = instance(priority=200, garp=Garp(refresh=0.2))
    await lb1.configure(refreshed)
    await lb1.become(State.MASTER)
    await lb1.event("vip.added")
    with net["client"].entered():
        listener = ArpListener("front")
    with contextlib.closing(listener):
        lb1.node.ip("link set front address 02:00:00:00:00:77")
        listener.watch([ip_address("192.0.2.100")])
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(listener.fileno(), heard.set)
        claims = []
        async with asyncio.timeout(10):
            # One from before may be on its way; a burst and a refresh follow.
            while len(claims) < 7:
                await heard.wait()
                heard.clear()
                with contextlib.suppress(BlockingIOError):
                    while True:
                        claims.append(listener.receive())
        loop.remove_reader(listener.fileno())
    assert {claim.mac for claim in claims[1:] if claim is not None} == {"02:00:00:00:00:77"}


async def test_another_address_of_its_own_is_no_fault(pair: Pair, net: Network) -> None:
    """A master that is given a new address, and then loses the old one, goes on from the new one."""
    lb1, lb2 = pair
    await elect(pair)
    lb1.node.ip("addr add 192.0.2.5/24 dev front", "addr del 192.0.2.1/24 dev front")
    with hearing(net["client"]) as ears:
        await ears.next(source="192.0.2.5")
    assert State.FAULT not in {role.state for role in lb1.roles}
    assert (await lb2.status()).transitions == 0


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
