"""Instances with a virtual MAC, on real wires."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from ipaddress import ip_interface

import pytest

from lvsha.kernel.addresses import NETLINK_ROUTE
from lvsha.kernel.links import Link
from lvsha.kernel.macvlan import Macvlans
from lvsha.kernel.netlink import Netlink
from lvsha.kernel.sysctl import Sysctl
from lvsha.speaker.conflicts import PATIENCE
from lvsha.speaker.messages import Hold, Release, State
from lvsha.speaker.spec import VirtualAddress
from lvsha.speaker.virtual_mac import VirtualMacs
from tests.lab.network import Network, Node
from tests.lab.process import run
from tests.lab.speaker import VIP, Pair, Speaking, hearing, instance

pytestmark = pytest.mark.net

MAC = {4: "00:00:5e:00:01:33", 6: "00:00:5e:00:02:33"}
VIP6 = "2001:db8:1::100/64"


def links(speaker: Speaking) -> dict[str, dict[str, object]]:
    """The interfaces of a node, by name."""
    return {link["ifname"]: link for link in json.loads(speaker.node.run("ip", "-j", "address"))}


async def elect(pair: Pair, vip: str) -> None:
    """lb1 is master with a virtual MAC, lb2 backup."""
    lb1, lb2 = pair
    await lb1.configure(instance(vip, priority=200, virtual_mac=True))
    await lb2.configure(instance(vip, priority=100, virtual_mac=True))
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await lb1.event("vip.added")


def reaches(node: Node, address: str) -> bool:
    """Whether a node can open a conversation with an address (refused is reached)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with node.entered():
        sock = socket.socket(family, socket.SOCK_STREAM)
    with sock:
        sock.settimeout(2)
        return sock.connect_ex((address, 9)) == 111


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_the_address_moves_with_its_mac(pair: Pair, net: Network, vip: str) -> None:
    """A neighbour's table stays as it is through a failover, and the address answers before and after."""
    lb1, lb2 = pair
    family, address = (6 if ":" in vip else 4), vip.partition("/")[0]
    name, mac = f"vrrp{family}.51", MAC[family]
    await elect(pair, vip)
    assert (links(lb1)[name]["address"], links(lb1)[name]["operstate"] != "DOWN") == (mac, True)
    assert "UP" not in links(lb2)[name]["flags"]  # type: ignore[operator]
    assert reaches(net["client"], address)
    assert mac in net["client"].run("ip", "neigh", "show", address)
    await lb1.stop()
    await lb2.event("vip.added")
    assert reaches(net["client"], address)
    assert mac in net["client"].run("ip", "neigh", "show", address)
    assert name not in links(lb1)


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_who_sets_it_down_does_not_silence_the_master(pair: Pair, net: Network, vip: str) -> None:
    """Set down by hand, a master's macvlan is up again, and its address answers."""
    lb1, _ = pair
    await elect(pair, vip)
    family = 6 if ":" in vip else 4
    with hearing(net["client"], family) as ears:
        lb1.node.ip(f"link set vrrp{family}.51 down")
        await ears.next()
        await ears.next()
    assert "UP" in links(lb1)[f"vrrp{family}.51"]["flags"]  # type: ignore[operator]
    assert reaches(net["client"], vip.partition("/")[0])


async def test_a_macvlan_that_has_gone_is_no_trouble(net: Network) -> None:
    """It went with the interface below, and is missed anyway: that it could not be set down is no news."""
    with net["lb1"].entered(), contextlib.closing(Netlink.open(NETLINK_ROUTE, timeout=5)) as netlink:
        macs = VirtualMacs(Macvlans(netlink), Sysctl())
        macs.set_up(Link(999, "vrrp4.51", bytes(6), 1500, up=True, running=True), up=False)
        await macs.settled()
    assert macs.troubles == {}


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_a_master_hears_another_one_of_the_same_mac(pair: Pair, vip: str) -> None:
    """Two masters speak from one virtual MAC, which each of them has up: the better one is heard."""
    lb1, lb2 = pair
    await elect(pair, vip)
    await lb1.ask(Hold(instance="public", why="a test"))
    await lb2.become(State.MASTER)
    await lb1.ask(Release(instance="public"))
    await lb1.become(State.MASTER)
    assert "has priority 200" in (await lb2.become(State.BACKUP)).why


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_two_masters_of_one_mac_that_hear_no_adverts_are_told_of_by_both(
    pair: Pair, net: Network, vip: str
) -> None:
    """Each hears the other announce the address from the MAC that is its own as well, and reports it once."""
    name, mac = ("vrrp6.51", MAC[6]) if ":" in vip else ("vrrp4.51", MAC[4])
    await elect(pair, vip)
    for speaker in pair:
        speaker.node.cut("front", "in", adverts=True)
    await pair[1].become(State.MASTER)
    wanted = {"address": vip.partition("/")[0], "interface": name, "mac": mac}
    for speaker in pair:
        assert (await speaker.event("vip.conflict")).fields == wanted
    assert [event.event for one in pair for event in one.events].count("vip.conflict") == 2
    for speaker in pair:
        speaker.node.mend("front")
    await pair[1].become(State.BACKUP)
    assert (await pair[0].status()).state is State.MASTER


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_a_failover_there_and_back_is_no_conflict(pair: Pair, vip: str) -> None:
    """An address and its MAC that move by a resignation, a silence and a pre-emption are claimed by one."""
    lb1, lb2 = pair
    await elect(pair, vip)
    await lb1.ask(Hold(instance="public", why="a test"))
    await lb2.become(State.MASTER)
    await lb1.ask(Release(instance="public"))
    await lb2.become(State.BACKUP)
    await lb1.kill()
    await lb2.become(State.MASTER)
    await lb1.start()
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await asyncio.sleep(2 * PATIENCE)
    assert not any(event.event == "vip.conflict" for one in pair for event in one.events)


@pytest.mark.parametrize("virtual", [False, True])
async def test_a_network_that_returns_frames_is_no_other_machine(
    pair: Pair, net: Network, virtual: bool
) -> None:
    """What is announced here and comes in again is no conflict."""
    lb1, _ = pair
    with net["client"].entered():
        mirror = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    mirror.bind(("front", 0x0806))
    mirror.setblocking(False)
    asyncio.get_running_loop().add_reader(mirror, lambda: mirror.send(mirror.recv(2048)))
    await lb1.configure(instance(virtual_mac=virtual))
    await lb1.event("vip.added")
    await asyncio.sleep(2 * PATIENCE)
    asyncio.get_running_loop().remove_reader(mirror)
    mirror.close()
    assert not any(event.event == "vip.conflict" for event in lb1.events)


async def test_adverts_come_from_the_virtual_mac(pair: Pair, net: Network) -> None:
    """The switches learn with every advert where the MAC is (RFC 9568, section 7.2)."""
    with net["client"].entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    with tap:
        tap.bind(("front", 0x0800))
        tap.settimeout(5)
        await elect(pair, VIP)
        frame = tap.recv(2048)
        while frame[23] != 112 or frame[36] == 0:
            frame = tap.recv(2048)
    assert frame[:12].hex(":") == "01:00:5e:00:00:12:" + MAC[4]


async def test_the_interface_below_does_not_answer_for_the_address(pair: Pair, net: Network) -> None:
    """Asked by ARP, the virtual MAC answers for the virtual address and the other for its own."""
    lb1, _ = pair
    await elect(pair, VIP)
    own = str(links(lb1)["front"]["address"])
    for address, mac in (("192.0.2.100", MAC[4]), ("192.0.2.1", own)):
        asked = await run(net["client"], "arping", "-c", "2", "-w", "3", "-I", "front", address)
        answers = {word.strip("[]()").lower() for word in asked.output.split() if word.count(":") == 5}
        assert answers == {mac}, asked


async def test_a_killed_speaker_finds_its_interface_again(pair: Pair, net: Network) -> None:
    """The macvlan and its address outlive the process, and the next one goes on with them."""
    lb1, lb2 = pair
    slow = {"interval": 1.0, "lease": 6, "virtual_mac": True}
    await lb1.configure(instance(priority=200, **slow))
    await lb2.configure(instance(priority=100, **slow))
    await lb1.become(State.MASTER)
    index = links(lb1)["vrrp4.51"]["ifindex"]
    with hearing(net["client"]) as ears:
        await ears.next()
        await lb1.kill()
        await lb1.start()
        await lb1.become(State.MASTER)
        await ears.next()
        assert ears.sources == ["192.0.2.1"]
    assert links(lb1)["vrrp4.51"]["ifindex"] == index
    assert (await lb2.status()).transitions == 0


async def test_without_the_option_the_interface_goes(pair: Pair) -> None:
    """A configuration that no longer wants a virtual MAC takes it away, and the address moves."""
    lb1, _ = pair
    await elect(pair, VIP)
    await lb1.configure(instance(priority=200))
    await lb1.event("vip.added", interface="front")
    assert lb1.holds()
    assert "vrrp4.51" not in links(lb1)


async def test_the_virtual_mac_moves_with_its_instance(pair: Pair) -> None:
    """On another interface now, the instance has its macvlan there, and the address on it."""
    lb1, _ = pair
    await elect(pair, VIP)
    moved = (VirtualAddress(ip_interface("10.0.1.100/24"), "back"),)
    await lb1.configure(instance(priority=200, virtual_mac=True, interface="back", addresses=moved))
    await lb1.event("vip.added", address="10.0.1.100/24", interface="vrrp4.51")
    assert links(lb1)["vrrp4.51"]["link"] == "back"


async def test_a_stranger_of_that_name_is_not_used(pair: Pair) -> None:
    """An interface that somebody else called so is left alone, and the instance says why it waits."""
    lb1, _ = pair
    lb1.node.ip("link add vrrp4.51 type veth peer name other0")
    await lb1.configure(instance(priority=200, virtual_mac=True))
    await lb1.become(State.FAULT)
    assert "somebody else's" in (await lb1.status()).faults["interface vrrp4.51"]
    await lb1.stop()
    assert "vrrp4.51" in links(lb1)
