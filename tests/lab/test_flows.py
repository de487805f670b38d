"""What the client's program says of the flows that it holds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.lab.flows import Flows, Transport, start_flows
from tests.lab.network import Network, topology
from tests.lab.process import Process, call
from tests.lab.servers import RealServer, real_server

pytestmark = pytest.mark.net
RS1 = {4: "10.0.1.11", 6: "2001:db8:2::11"}
PORT = 7007


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
async def flows(net: Network) -> Flows:
    """The program, next to the server."""
    return await start_flows(net["lb1"], period=0.05, again=0.05, patience=1)


async def stranger(net: Network) -> Process:
    """Another server in the first one's place."""
    process = await call(net["rs1"], "tests.lab.servers:serve", "rs9", "8", "9", str(PORT), channel=True)
    await process.event("listening")
    return process


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_flows_live_while_their_server_answers(
    server: RealServer, flows: Flows, transport: Transport, family: int
) -> None:
    """Each is used again and again, and known by its port."""
    assert await flows.hold("a", RS1[family], PORT, transport, 3) == {"rs1": 3}
    await flows.mark()
    before = (await server.counts())[transport]
    fates = await flows.settle()
    assert fates.keys() == {("a", "rs1")}
    fate = fates["a", "rs1"]
    assert (fate.count, fate.alive, fate.moved, fate.renamed, fate.ended.total()) == (3, 3, 0, 0, 0)
    assert (await server.counts())[transport] >= before + 3
    ports = await flows.ports()
    assert {(kind, address) for kind, address, _ in ports} == {(transport, RS1[family])}
    assert len(ports) == 3


async def test_connections_end_with_their_server(server: RealServer, flows: Flows) -> None:
    """How, and when, is told; after the next mark they are forgotten."""
    await flows.hold("a", RS1[4], PORT, "tcp", 2)
    await flows.mark()
    await server.close("tcp")
    fate = (await flows.settle())["a", "rs1"]
    assert (fate.alive, sum(fate.ended[how] for how in ("reset", "closed"))) == (0, 2)
    assert 0 < fate.changed < 1
    await flows.mark()
    assert await flows.settle() == {}
    assert await flows.ports() == frozenset()


async def test_a_flow_of_udp_outlives_a_silence(server: RealServer, flows: Flows) -> None:
    """It asks again until it is answered; what it waited for is its pause."""
    await flows.hold("a", RS1[4], PORT, "udp", 2)
    await flows.mark()
    await server.close("udp")
    asked = (await server.counts())["udp"]
    await server.open("udp")
    fate = (await flows.settle())["a", "rs1"]
    assert (fate.alive, fate.count) == (2, 2)
    assert (await server.counts())["udp"] > asked


async def test_a_flow_of_udp_that_another_server_answers_has_moved(
    net: Network, server: RealServer, flows: Flows
) -> None:
    """From then on it is that one's."""
    await flows.hold("a", RS1[4], PORT, "udp", 2)
    await flows.mark()
    await server.close("udp")
    await stranger(net)
    fate = (await flows.settle())["a", "rs1"]
    assert (fate.alive, fate.moved) == (0, 2)
    assert fate.changed > 0
    await flows.mark()
    assert (await flows.settle())["a", "rs9"].alive == 2


async def test_a_flow_that_nobody_answers_ends(server: RealServer, flows: Flows) -> None:
    """When the client's patience is over."""
    await flows.hold("a", RS1[4], PORT, "udp", 1)
    await flows.mark()
    await server.close("udp")
    fate = (await flows.settle())["a", "rs1"]
    assert fate.ended == {"unanswered": 1}
    with pytest.raises(AssertionError, match="unanswered"):
        await flows.hold("b", RS1[4], PORT, "udp", 1)


async def test_a_server_that_is_new_to_a_flow_sees_where_it_comes_from(
    net: Network, server: RealServer, flows: Flows
) -> None:
    """A client that its server sees under another address is another client for it."""
    net["lb1"].ip("address add 10.0.1.77/24 dev back")
    net["rs1"].ip("route add 10.0.1.77/32 dev back")
    await flows.hold("a", RS1[4], PORT, "udp", 1)
    await flows.mark()
    words = "-t nat -A POSTROUTING -p udp -d 10.0.1.11 -j SNAT --to-source 10.0.1.77"
    net["lb1"].run("iptables-legacy", *words.split())
    # Connection tracking may have been at work before, and what it knows stays as it is.
    net["lb1"].run("conntrack", "-D", "-p", "udp", check=False)
    fate = (await flows.settle())["a", "rs1"]
    assert (fate.alive, fate.moved, fate.renamed) == (0, 0, 1)
