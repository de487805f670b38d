"""Somebody else announces an address that a real speaker holds."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from lvsha.speaker.messages import State
from lvsha.wire.announce import Announcer, announcement
from tests.lab.network import Network
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
