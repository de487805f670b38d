"""Tests of lvsha.daemon.takeover: which connections are taken up, when, and what is said of it."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lvsha.config import Config
from lvsha.daemon import takeover as module
from lvsha.daemon.takeover import Takeover, flows
from lvsha.errors import KernelError
from lvsha.kernel.conntrack import Flow
from lvsha.kernel.ipvs.connections import Connection
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.sourcenat.pool import by_nft
from lvsha.model import Mode, Protocol
from tests.lab.background import background
from tests.lab.hearing import Hearing
from tests.lab.network import Network
from tests.lab.services import config, server, service

VIP, LOCAL = ip_address("192.0.2.100"), ip_address("10.0.1.100")
WEB = replace(service(replace(server(1), mode=Mode.FULLNAT)), mode=Mode.FULLNAT, local_addresses=(LOCAL,))


def connection(port: int, state: str = "ESTABLISHED") -> Connection:
    """A client's connection to the service, from some port."""
    client, rs1 = ip_address("198.51.100.7"), ip_address("10.0.0.1")
    return Connection(Protocol.TCP, client, port, VIP, 80, rs1, 8080, state, 900)


@pytest.fixture
def namespace() -> Iterator[None]:
    """The test is in a namespace of its own."""
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        yield


@asynccontextmanager
async def running(cfg: Config, found: Iterable[Connection]) -> AsyncIterator[Takeover]:
    """A takeover that waits, over these connections."""
    takeover = Takeover(lambda: cfg, lambda: by_nft, lambda: found)
    async with background(takeover.run()):
        yield takeover


def test_what_is_closing_is_let_go() -> None:
    """A connection is taken up while it has something to lose: established, or closed on one side."""
    entry = WEB.source_nat
    assert entry is not None
    states = ["ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "TIME_WAIT", "SYN_RECV", "CLOSE", "NONE"]
    found = [connection(port, state) for port, state in enumerate(states, 1)]
    assert [flow.client_port for flow in flows(found, [entry], by_nft)] == [1, 2, 3]
    (flow, *_) = flows(found, [entry], by_nft)
    assert (flow.local, flow.server_port, flow.lifetime) == (LOCAL, 8080, 900)


@pytest.mark.net
@pytest.mark.usefixtures("namespace")
async def test_a_new_master_takes_connections_up(said: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and again for what arrives late; what is there already is not counted twice."""
    monkeypatch.setattr(module, "AGAIN", 0.05)
    found = [connection(port) for port in range(1001, 1004)]
    async with running(config(WEB), found) as takeover:
        takeover.began()
        first = await said.event("connections.taken_up")
        found.append(connection(1004))
        second = await said.event("connections.taken_up", connections=1)
    assert (first["connections"], second["connections"]) == (3, 1)
    table = await asyncio.to_thread(subprocess.check_output, ["conntrack", "-L"], text=True)
    assert table.count("dst=10.0.1.100") == 4


@pytest.mark.net
@pytest.mark.usefixtures("namespace")
async def test_what_ends_meanwhile_is_not_taken_up(said: Hearing) -> None:
    """No entry stands for a server that IPVS has replaced, or for a connection that it has forgotten."""
    before = [connection(port) for port in (1001, 1002, 1003)]
    after = [before[0], before[1]._replace(server=ip_address("10.0.0.2"))]
    reads = iter([before, after])
    cfg = config(WEB)
    await Takeover(lambda: cfg, lambda: by_nft, lambda: next(reads)).take_up()
    table = await asyncio.to_thread(subprocess.check_output, ["conntrack", "-L"], text=True)
    assert table.count("dst=10.0.1.100") == table.count("sport=1001") == 1
    assert said.all("connections.taken_up")[0]["connections"] == 1


async def test_what_the_kernel_refuses_is_told(said: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that cannot be made are an alert with the kernel's reason."""

    class Refusing:
        def close(self) -> None:
            """As `Conntrack.close`."""

        async def add(self, wanted: list[Flow]) -> dict[int, Refusal]:
            """As `Conntrack.add` without the capability."""
            return {index: Refusal(errno.EPERM) for index in range(len(wanted))}

        async def remove(self, doomed: list[Flow]) -> dict[int, Refusal]:
            """As `Conntrack.remove` of nothing."""
            assert doomed == []
            return {}

    monkeypatch.setattr(module.Conntrack, "open", Refusing)
    cfg, found = config(WEB), [connection(1001)]
    await Takeover(lambda: cfg, lambda: by_nft, lambda: found).take_up()
    assert said.all("connections.taken_up") == []
    assert "refused 1 of 1 entries of connection tracking: EPERM" in said.all("connections.lost")[0]["error"]


async def test_without_the_mode_nothing_is_read(said: Hearing) -> None:
    """A pair of another mode does not look at its connections when it fails over."""

    def unread() -> list[Connection]:
        raise AssertionError("was read")

    cfg = config(service(server(1)))
    await Takeover(lambda: cfg, lambda: by_nft, unread).take_up()
    assert said == []


async def test_a_table_that_cannot_be_read_is_told(said: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an alert, and the next time is another try."""
    monkeypatch.setattr(module, "AGAIN", 0.0)

    class Broken:
        def __iter__(self) -> Iterator[Connection]:
            raise KernelError("cannot be read")

    async with running(config(WEB), Broken()) as takeover:
        takeover.began()
        lost = await said.event("connections.lost")
    assert lost["error"] == "cannot be read"
