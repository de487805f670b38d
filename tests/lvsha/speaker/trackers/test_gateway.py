"""Neighbours that must answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lvsha.speaker.spec import GatewayTracker
from lvsha.speaker.trackers import gateway
from lvsha.speaker.trackers.base import Standing
from tests.lab import namespace
from tests.lab.network import Network, topology

pytestmark = pytest.mark.net


@pytest.fixture
def net() -> Iterator[Network]:
    """A director and its neighbour."""
    with topology(directors=1, servers=0) as built:
        yield built


@pytest.mark.parametrize("family", [4, 6])
async def test_a_neighbour_answers(net: Network, family: int) -> None:
    """Nothing is said against a neighbour that is there; one that is not is named."""
    with net["lb1"].entered():
        assert await gateway.ask(net["client"].address("front", family), None, 1, 1.0) == ""


async def test_silence_is_told(net: Network) -> None:
    """A neighbour that is not there is named, with the time that it was given."""
    with net["lb1"].entered():
        why = await gateway.ask(ip_address("192.0.2.99"), None, 1, 0.1)
    assert why == "192.0.2.99 did not answer an echo request within 0.1 s"


async def test_an_answer_that_waits_counts_when_the_time_is_over(net: Network) -> None:
    """A process that was held up finds both at once, and believes the answer."""
    with net["lb1"].entered():
        asked = asyncio.create_task(gateway.ask(net["client"].address("front"), None, 1, 0.1))
        await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - the event loop does not run, and the answer comes
    assert await asked == ""


async def test_no_route_is_told(net: Network) -> None:
    """No way to the gateway is its failure."""
    with net["lb1"].entered():
        assert "unreachable" in await gateway.ask(ip_address("203.0.113.9"), None, 1, 0.1)


async def test_an_answer_that_is_waited_for_puts_nothing_off(net: Network) -> None:
    """A gateway that is silent is asked every interval, and lost after as many of them as were told."""
    told: asyncio.Queue[Standing] = asyncio.Queue()
    tracker = GatewayTracker(name="g", gateway=ip_address("192.0.2.10"), interval=1.0, timeout=1.0, fall=3)
    with namespace.entered(net["lb1"].namespace):
        task = asyncio.create_task(gateway.watch(tracker, "front", told.put_nowait))
        assert (await told.get()).ok
        begun = asyncio.get_running_loop().time()
        net["client"].cut("front")
        assert not (await told.get()).ok
        # Asked after 1, 2 and 3 s, and the last answer waited for; one after another it would be 6 s.
        assert 3.4 < asyncio.get_running_loop().time() - begun < 5.4
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_loss_and_return_are_told_once(net: Network) -> None:
    """After enough silence a verdict, after enough answers the other."""
    told: asyncio.Queue[Standing] = asyncio.Queue()
    tracker = GatewayTracker(
        name="g", gateway=ip_address("192.0.2.10"), interval=0.02, timeout=0.1, rise=2, fall=3, weight=-9
    )
    with namespace.entered(net["lb1"].namespace):
        task = asyncio.create_task(gateway.watch(tracker, "front", told.put_nowait))
        assert (await told.get()).ok
        net["client"].cut("front")
        assert (await told.get()).weight == -9
        net["client"].mend("front")
        assert (await told.get()).ok
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
