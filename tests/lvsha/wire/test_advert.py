"""Adverts as the kernel carries them, between two machines on one wire."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from lvsha.wire.advert import AdvertSocket, Datagram, frame, group
from tests.lab.network import Network, Node

pytestmark = pytest.mark.net

PDU = bytes.fromhex("3133640100640000c0000264")
Open = Callable[[Node, int], AdvertSocket]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens advert sockets on the front wire, which listen to router 51, and closes them."""
    made: list[AdvertSocket] = []

    def one(node: Node, family: int) -> AdvertSocket:
        with node.entered():
            made.append(AdvertSocket("front", socket.if_nametoindex("front"), family))
        made[-1].listen([51])
        return made[-1]

    yield one
    for each in made:
        each.close()


def take(sock: AdvertSocket, seconds: float = 1.0) -> Datagram | None:
    """The next advert, or None when none comes for so long."""
    return sock.receive() if select.select([sock], [], [], seconds)[0] else None


def source_of(node: Node, family: int) -> str:
    """The address that a node sends adverts from."""
    if family == 4:
        return str(node.address("front"))
    words = node.run("ip", "-6", "-o", "addr", "show", "dev", "front", "scope", "link").split()
    return words[3].partition("/")[0]


@pytest.mark.parametrize("family", [4, 6])
def test_a_multicast_advert_arrives_with_its_headers(net: Network, opened: Open, family: int) -> None:
    """An advert to the group reaches the other machine, and not its own sender."""
    one, two = opened(net["lb1"], family), opened(net["lb2"], family)
    source = ip_address(source_of(net["lb1"], family))
    one.send(PDU, source, group(family))
    assert take(two) == Datagram(PDU, source, group(family), 255)
    assert take(one, 0.05) is None


@pytest.mark.parametrize("family", [4, 6])
def test_a_unicast_advert_arrives_with_its_headers(net: Network, opened: Open, family: int) -> None:
    """An advert to one peer is sent from the address that was asked for."""
    one, two = opened(net["lb1"], family), opened(net["lb2"], family)
    source, target = net["lb1"].address("front", family), net["lb2"].address("front", family)
    one.send(PDU, source, target)
    assert take(two) == Datagram(PDU, source, target, 255)


@pytest.mark.parametrize("family", [4, 6])
def test_only_the_wanted_routers_wake_the_process(net: Network, opened: Open, family: int) -> None:
    """The kernel keeps adverts of other virtual routers away, also after the wish has changed."""
    one, two = opened(net["lb1"], family), opened(net["lb2"], family)
    source, target = net["lb1"].address("front", family), net["lb2"].address("front", family)
    other = PDU[:1] + bytes([52]) + PDU[2:]
    one.send(other, source, target)
    assert take(two, 0.05) is None
    two.listen(range(1, 256))
    one.send(other, source, target)
    assert take(two) == Datagram(other, source, target, 255)


def test_a_wrong_checksum_is_not_dropped_in_silence(net: Network, opened: Open) -> None:
    """Over IPv6 too, an advert comes up as it was sent: who drops it shall be able to count it."""
    one, two = opened(net["lb1"], 6), opened(net["lb2"], 6)
    source, target = net["lb1"].address("front", 6), net["lb2"].address("front", 6)
    one.send(PDU[:6] + b"\xff\xff" + PDU[8:], source, target)
    taken = take(two)
    assert taken is not None
    assert taken.payload[6:8] == b"\xff\xff"


def test_a_source_that_is_not_ours_is_refused(net: Network, opened: Open) -> None:
    """The kernel does not send from an address that the machine lacks, and the caller is told."""
    with pytest.raises(OSError, match=r".+"):
        opened(net["lb1"], 4).send(PDU, ip_address("192.0.2.77"), group(4))


def test_overflow_is_counted(net: Network, opened: Open) -> None:
    """Adverts that come faster than they are read are counted by the kernel."""
    one, two = opened(net["lb1"], 4), opened(net["lb2"], 4)
    assert two.overflowed() == 0
    for _ in range(2000):
        one.send(PDU, net["lb1"].address("front"), group(4))
    received = 0
    while take(two, 0.05) is not None:
        received += 1
    assert received + two.overflowed() == 2000
    assert two.overflowed() > 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_frame_made_here_is_the_kernels(net: Network, opened: Open, family: int) -> None:
    """But for its IP id, a frame that is built for a virtual MAC is the one that the kernel would send."""
    one = opened(net["lb1"], family)
    source, kind = ip_address(source_of(net["lb1"], family)), 0x0800 if family == 4 else 0x86DD
    with net["lb2"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind)) as tap:
        tap.bind(("front", kind))
        tap.settimeout(1)
        one.send(PDU, source, group(family))
        seen = tap.recv(2048)
        while seen[23 if family == 4 else 20] != 112:
            seen = tap.recv(2048)
    made = frame(PDU, source, group(family), seen[6:12])
    if family == 4:
        assert seen[:18] + seen[20:24] + seen[26:] == made[:18] + made[20:24] + made[26:]
    else:
        # The kernel puts a flow label of its own into an IPv6 header.
        assert seen[:15] + seen[18:] == made[:15] + made[18:]
        assert (seen[15] & 0xF0, made[15:18]) == (0, bytes(3))


def test_the_frame_on_the_wire_is_keepaliveds(net: Network, opened: Open) -> None:
    """TTL 255, class 0xC0, no don't-fragment, the group's MAC: as keepalived 2.2.7 was seen to send."""
    one = opened(net["lb1"], 4)
    with net["lb2"].entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as tap:
        tap.bind(("front", 0x0800))
        tap.settimeout(1)
        one.send(PDU, net["lb1"].address("front"), group(4))
        frame = tap.recv(2048)
        while frame[23] != 112:
            frame = tap.recv(2048)
    assert frame[:6] == bytes.fromhex("01005e000012")
    header = frame[14:34]
    assert (header[0], header[1], header[8]) == (0x45, 0xC0, 255)
    assert header[6:8] == b"\0\0"
    assert frame[34 : 34 + len(PDU)] == PDU
