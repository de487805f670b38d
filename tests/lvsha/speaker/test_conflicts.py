"""Somebody else announces an address that a real speaker holds."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from lvsha.speaker.conflicts import PATIENCE, Conflicts
from lvsha.speaker.messages import State
from lvsha.speaker.spec import Garp
from lvsha.wire.announce import Announcer, announcement
from lvsha.wire.conflict import ArpListener, NeighbourListener
from tests.lab.network import Network, Node
from tests.lab.speaker import HIGH, VIP, Pair, instance

pytestmark = pytest.mark.net

MAC = bytes.fromhex("020000000099")


@pytest.mark.parametrize("vip", [VIP, "2001:db8:1::100/64"])
async def test_another_holder_is_told_once(pair: Pair, net: Network, vip: str) -> None:
    """A hundred claims make one event, with the other's MAC; a backup hears nothing of it."""
    lb1, lb2 = pair
    await lb1.configure(instance(vip, priority=200))
    await lb2.configure(instance(vip, priority=100))
    await lb1.event("vip.added")
    address = ip_address(vip.partition("/")[0])
    with net["client"].entered():
        announcer = Announcer()
    for _ in range(100):
        announcer.send("front", announcement(address, MAC))
    conflict = await lb1.event("vip.conflict")
    assert conflict.fields == {"address": str(address), "interface": "front", "mac": "02:00:00:00:00:99"}
    await asyncio.sleep(0.1)
    assert [event.event for event in (*lb1.events, *lb2.events)].count("vip.conflict") == 1
    announcer.close()


async def test_a_failover_is_no_conflict(pair: Pair) -> None:
    """What the pair itself announces while the address moves is not told as a conflict."""
    lb1, lb2 = pair
    await lb1.configure(HIGH)
    await lb2.configure(instance(priority=100))
    await lb1.event("vip.added")
    await lb1.stop()
    await lb2.event("vip.added")
    await lb1.start()
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await asyncio.sleep(0.2)
    assert not any(event.event == "vip.conflict" for event in (*lb1.events, *lb2.events))


@pytest.mark.parametrize("vip", [VIP, "2001:db8:1::100/64"])
async def test_who_claims_an_address_is_told_alone_that_it_is_here(
    pair: Pair, net: Network, vip: str
) -> None:
    """The claimant hears where the address is; a third machine hears the claim and nothing else."""
    lb1, lb2 = pair
    await lb1.configure(instance(vip, priority=200, garp=Garp(delay=0)))
    await lb1.event("vip.added")
    address = ip_address(vip.partition("/")[0])
    with claims(lb2.node, address) as third, claims(net["client"], address) as claimant:
        with net["client"].entered(), contextlib.closing(Announcer()) as announcer:
            mac = bytes.fromhex(net["client"].mac("front").replace(":", ""))
            announcer.send("front", announcement(address, mac))
        async with asyncio.timeout(5):
            assert await claimant() == lb1.node.mac("front")
            assert await third() == net["client"].mac("front")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await third()


async def test_what_is_expected_is_heard_and_is_no_conflict(net: Network) -> None:
    """A new master's announcements of what was held here: each is told, until they are expected no more."""
    heard: asyncio.Queue[object] = asyncio.Queue()
    conflicts: list[object] = []
    four, six, other = (ip_address(a) for a in ("192.0.2.100", "2001:db8:1::100", "192.0.2.101"))
    with net["lb1"].entered():
        made = Conflicts(lambda _, claim: conflicts.append(claim), heard.put_nowait)
        made.expect({"front": frozenset({four, six})})
    with net["client"].entered(), contextlib.closing(Announcer()) as announcer:
        for address in (other, four, six):
            announcer.send("front", announcement(address, MAC))
        async with asyncio.timeout(5):
            assert {await heard.get(), await heard.get()} == {four, six}
        made.expect({})
        announcer.send("front", announcement(four, MAC))
    await asyncio.sleep(2 * PATIENCE)
    made.close()
    assert (heard.empty(), conflicts) == (True, [])


async def test_the_loop_does_not_wait_for_the_end_of_an_ear(
    net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet socket takes its time to close, and adverts are due: another thread closes it."""
    closed: asyncio.Queue[int] = asyncio.Queue()
    loop, close = asyncio.get_running_loop(), ArpListener.close

    def tell(listener: ArpListener) -> None:
        close(listener)
        loop.call_soon_threadsafe(closed.put_nowait, threading.get_ident())

    monkeypatch.setattr(ArpListener, "close", tell)
    with net["lb1"].entered():
        made = Conflicts(lambda *_: None)
        made.watch("public", {"front": frozenset({IPv4Address("192.0.2.100")})})
    made.watch("public", {})
    async with asyncio.timeout(5):
        assert await closed.get() != threading.get_ident()


@contextlib.contextmanager
def claims(node: Node, address: IPv4Address | IPv6Address) -> Iterator[Callable[[], Awaitable[str]]]:
    """Who claims an address as a node hears it: a call for the next one's MAC."""
    with node.entered():
        listener = ArpListener("front") if address.version == 4 else NeighbourListener("front")

    async def hear() -> str:
        while True:
            try:
                claim = listener.receive()
            except BlockingIOError:
                await asyncio.sleep(0.005)
            else:
                if claim is not None:
                    return claim.mac

    with contextlib.closing(listener):
        listener.watch([address])
        yield hear
