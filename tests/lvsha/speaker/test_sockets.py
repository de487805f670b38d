"""One socket for many instances, and interfaces that come and go under it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address

import pytest

from lvsha.kernel.links import Link
from lvsha.speaker.sockets import Sockets
from lvsha.wire.advert import GROUP_4, AdvertSocket, Datagram
from tests.lab.network import Network, Node, topology

pytestmark = pytest.mark.net

PDU = bytes.fromhex("3133640100640000c0000264")


@pytest.fixture
def net() -> Iterator[Network]:
    """Two directors."""
    with topology(directors=2, servers=0) as built:
        yield built


def hear(heard: asyncio.Queue[tuple[int, Datagram]], vrid: int, datagram: Datagram) -> None:
    """What the instance of that router does."""
    heard.put_nowait((vrid, datagram))


def link(node: Node) -> Link:
    """The interface `front` as it is now."""
    with node.entered():
        return Link(socket.if_nametoindex("front"), "front", bytes(6), 1500, up=True, running=True)


async def test_each_instance_hears_its_own(net: Network) -> None:
    """Two routers on one socket: each advert goes to the one that it is for."""
    failed: list[str] = []
    sockets = Sockets(lambda name, _: failed.append(name), lambda: None)
    heard: asyncio.Queue[tuple[int, Datagram]] = asyncio.Queue()
    with net["lb1"].entered():
        sockets.link(link(net["lb1"]))
        ears = {vrid: partial(hear, heard, vrid) for vrid in (51, 52)}
        for vrid, ear in ears.items():
            sockets.listen("front", 4, vrid, ear)
    with net["lb2"].entered():
        sender = AdvertSocket("front", link(net["lb2"]).index, 4)
    for vrid in (53, 52, 51):
        sender.send(PDU[:1] + bytes([vrid]) + PDU[2:], net["lb2"].address("front"), GROUP_4)
    async with asyncio.timeout(2):
        assert [(await heard.get())[0] for _ in range(2)] == [52, 51]
    # Somebody else's word: it is heard on.
    sockets.forget("front", 4, 51, ears[52])
    sockets.forget("front", 4, 52, ears[52])
    sender.send(PDU[:1] + b"\x34" + PDU[2:], net["lb2"].address("front"), GROUP_4)
    sender.send(PDU[:1] + b"\x33" + PDU[2:], net["lb2"].address("front"), GROUP_4)
    async with asyncio.timeout(2):
        assert (await heard.get())[0] == 51
    assert heard.empty()
    assert failed == []
    sender.close()
    sockets.close()


async def test_without_an_interface_nothing_is_sent(net: Network) -> None:
    """Sending says so, before the interface is there and after it went; with it, it works."""
    sockets = Sockets(lambda _, error: pytest.fail(str(error)), lambda: None)
    source = ip_address("192.0.2.1")
    sockets.listen("front", 4, 51, lambda _: None)
    with pytest.raises(OSError, match="no socket") as before:
        sockets.send("front", 4, PDU, source, GROUP_4)
    assert before.value.errno == errno.ENODEV
    with net["lb1"].entered():
        sockets.link(link(net["lb1"]))
    sockets.send("front", 4, PDU, source, GROUP_4)
    sockets.gone("front")
    with pytest.raises(OSError, match="no socket"):
        sockets.send("front", 4, PDU, source, GROUP_4)
    sockets.close()


async def test_a_socket_that_cannot_be_opened_is_told() -> None:
    """An interface that is gone again already is named."""
    failed: list[str] = []
    sockets = Sockets(lambda name, _: failed.append(name), lambda: None)
    sockets.listen("nosuch0", 4, 51, lambda _: None)
    sockets.link(Link(99, "nosuch0", bytes(6), 1500, up=True, running=True))
    assert failed == ["nosuch0"]
    sockets.close()


async def test_a_socket_that_was_refused_is_asked_for_again(net: Network) -> None:
    """Its trouble is told when it begins and when it is over; without an interface there is none."""
    told = asyncio.Event()
    sockets = Sockets(lambda *_: None, told.set)
    sockets.listen("front", 4, 51, lambda _: None)
    net["lb1"].sysctl("net.ipv4.igmp_max_memberships", 0)
    with net["lb1"].entered():
        sockets.link(link(net["lb1"]))
        async with asyncio.timeout(5):
            await told.wait()
            assert (sockets.trouble("front", 4), sockets.trouble("front", 6)) == (
                "No buffer space available",
                "",
            )
            told.clear()
            net["lb1"].sysctl("net.ipv4.igmp_max_memberships", 20)
            await told.wait()
    assert sockets.trouble("front", 4) == ""
    sockets.send("front", 4, PDU, ip_address("192.0.2.1"), GROUP_4)
    sockets.close()
