"""Real servers that answer, count and fail as told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.lab.client import Client, start_client
from tests.lab.network import Network, topology
from tests.lab.process import run
from tests.lab.servers import RealServer, Service, real_server

pytestmark = pytest.mark.net
RS1, RS1_IPV6 = "10.0.1.11", "2001:db8:2::11"


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """A director and a server."""
    async with topology(servers=1) as built:
        yield built


@pytest.fixture
async def server(net: Network) -> RealServer:
    """The server, listening."""
    return await real_server(net["rs1"])


@pytest.fixture
async def client(net: Network) -> Client:
    """A client that sits on the director, next to the server."""
    return await start_client(net["lb1"])


@pytest.mark.parametrize("address", [RS1, RS1_IPV6])
@pytest.mark.parametrize(("kind", "port"), [("http", 8080), ("tcp", 7007), ("udp", 7007)])
async def test_every_service_says_its_name(
    server: RealServer, client: Client, address: str, kind: Service, port: int
) -> None:
    """HTTP, TCP and UDP answer over both families, with the name of the server, and count."""
    assert await client.ask(address, port, kind) == "rs1"
    assert (await server.counts())[kind] == 1


async def test_http_answers_as_told(net: Network, server: RealServer) -> None:
    """Status and body are what the test said last."""
    await server.answer(status=503, body="out of order")
    result = await run(net["lb1"], "curl", "-s", "-w", " %{http_code}", f"http://{RS1}:8080/any/path")
    assert result.output == "out of order 503"
    await server.answer()
    result = await run(net["lb1"], "curl", "-s", "-w", " %{http_code}", f"http://{RS1}:8080/")
    assert result.output == "rs1 200"


async def test_http_hangs_as_told(server: RealServer, client: Client) -> None:
    """A hanging server accepts the connection and never answers."""
    await server.answer(hang=True)
    with pytest.raises(AssertionError, match="TimeoutError"):
        await client.ask(RS1, 8080, patience=0.3)
    assert (await server.counts())["http"] == 1


@pytest.mark.parametrize(("kind", "port"), [("http", 8080), ("tcp", 7007)])
async def test_a_closed_service_refuses_until_it_opens(
    server: RealServer, client: Client, kind: Service, port: int
) -> None:
    """A closed service looks like a crashed one, and comes back."""
    await server.close(kind)
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        await client.ask(RS1, port, kind)
    await server.open(kind)
    assert await client.ask(RS1, port, kind) == "rs1"


async def test_a_slow_download_arrives_whole(net: Network, server: RealServer) -> None:
    """A download has the length that was asked for and takes about its time."""
    url = f"http://{RS1}:8080/download?bytes=100000&seconds=0.5"
    result = await run(
        net["lb1"], "curl", "-s", "-o", "/dev/null", "-w", "%{size_download} %{time_total}", url
    )
    size, seconds = result.output.split()
    assert int(size) == 100_000
    assert float(seconds) >= 0.5
