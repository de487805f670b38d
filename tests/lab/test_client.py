"""The client's account of what it got."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.lab.client import start_client
from tests.lab.network import Network, topology
from tests.lab.servers import real_server

pytestmark = pytest.mark.net
RS1 = "10.0.1.11"


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """A director and a server."""
    async with topology(servers=1) as built:
        yield built


async def test_a_load_counts_answers_failures_and_the_gap(net: Network) -> None:
    """A load that a server's absence interrupts shows answers, refusals, and a gap as long as the absence."""
    server, client = await real_server(net["rs1"]), await start_client(net["lb1"])
    await client.load(RS1, 8080, interval=0.01)
    while (await client.report()).served["rs1"] < 10:
        pass
    await server.close("http")
    while (await client.report()).failures.total() < 20:
        pass
    await server.open("http")
    before = (await client.report()).served["rs1"]
    while (await client.report()).served["rs1"] < before + 10:
        pass
    report = await client.finish()
    assert report.served["rs1"] >= 20
    assert sum("Refused" in reason for reason in report.failures) == 1
    assert 0.15 < report.longest_gap < 5
    assert report.slowest < 1


async def test_held_connections_die_with_their_server(net: Network) -> None:
    """Held connections are alive until their server drops them."""
    server, client = await real_server(net["rs1"]), await start_client(net["lb1"])
    assert await client.hold(RS1, 7007, 5) == {"rs1": 5}
    assert await client.alive() == 5
    await server.close("tcp")
    assert await client.alive() == 0
    await client.release()
    assert (await server.counts())["tcp"] == 10
