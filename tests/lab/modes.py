"""A pair of directors in any mode, over IPv4 and IPv6, for TCP and UDP: one site, four services.

    async with site("tun", tmp_path) as s:
        await s.hold(10)                      # ten flows of each of the four cases
        await s.crash(s.lb1, s.lb2)
        await s.flows.settle()

Clients ask port 80. Servers listen at 8080 alone where the mode maps ports, else at 80. For `dr` and `tun`
they are made ready by `lvsha-cli realserver setup` and by nothing else, for `fullnat` they have no way to a
client at all. Everything that moves at a failover is in one VRRP instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lvsha.kernel.ipvs.connections import connections
from tests.lab.client import Client, start_client
from tests.lab.director import Director, directing
from tests.lab.flows import Flows, Transport, start_flows
from tests.lab.network import Network, Node, topology
from tests.lab.process import SLOWNESS, run
from tests.lab.servers import RealServer, real_server

Mode = Literal["nat", "dr", "tun", "fullnat"]
MODES: tuple[Mode, ...] = ("nat", "dr", "tun", "fullnat")
VIPS = {4: "192.0.2.100", 6: "2001:db8:1::100"}
POOLS = {4: ("10.0.1.100", "10.0.1.101"), 6: ("2001:db8:2::100", "2001:db8:2::101")}
PORT, MAPPED = 80, 8080
GATEWAY, NOWHERE = 254, 250
"""Numbers on the servers' wire: what the servers of mode nat answer by, and nobody."""
SEGMENTS: dict[Mode, tuple[str, ...]] = {
    "nat": ("back",),
    "dr": ("front",),
    "tun": ("front", "back"),
    "fullnat": ("back",),
}
"""Where the servers sit: those that answer clients themselves need the clients' wire."""
MAPS = frozenset({"nat", "fullnat"})
"""The modes in which a server's port may differ from the service's."""

PAIR = """
[nodes.lb1]
priority = 200
address = "10.0.1.1"
[nodes.lb2]
priority = 100
address = "10.0.1.2"
[peer]
key = "hex:6c7673686120697320612070616972206f66206469726563746f727321212121"
[sync]
interface = "back"
id = 7
[vrrp.public]
interface = "front"
vrid = 51
interval = "{interval:g}s"
preempt = {preempt}
addresses = ["192.0.2.100/24"]
excluded = [{excluded}]
[checks.tcp]
kind = "tcp"
interval = "{check:g}s"
timeout = "1s"
fall = {fall}
rise = 1
[checks.udp]
kind = "udp"
send = "well?"
expect = "well"
interval = "{check:g}s"
timeout = "1s"
fall = {fall}
rise = 1
"""
SERVICE = """
[services.{name}]
address = "{address}"
port = 80
protocol = "{transport}"
mode = "{mode}"
scheduler = "rr"
check = "{transport}"
local_addresses = [{local}]
servers = [{servers}]
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of traffic, and its service."""

    transport: Transport
    family: int
    """4 or 6."""

    def __str__(self) -> str:
        return f"{self.transport}{self.family}"

    @property
    def vip(self) -> str:
        """The address that clients ask."""
        return VIPS[self.family]

    def called(self, node: str) -> str:
        """A server's name in the configuration, which stands for one address."""
        return node if self.family == 4 else f"{node}six"


TRANSPORTS: tuple[Transport, ...] = ("tcp", "udp")
CASES = tuple(Case(transport, family) for family in (4, 6) for transport in TRANSPORTS)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast everything goes: seconds, and how often a check must fail."""

    interval: float = 1.0
    check: float = 0.5
    fall: int = 3
    preempt: bool = False


def configuration(mode: Mode, net: Network, pace: Pace, port: int | None = None) -> str:
    """The pair's file. `port`: of the servers; left out, the one that they listen at."""
    gateways = [f"10.0.1.{GATEWAY}/24", f"2001:db8:2::{GATEWAY}/64"] if mode == "nat" else []
    excluded = ['"2001:db8:1::100/64"', *(f'{{ address = "{a}", interface = "back" }}' for a in gateways)]
    text = PAIR.format(
        interval=pace.interval,
        check=pace.check,
        fall=pace.fall,
        preempt=str(pace.preempt).lower(),
        excluded=", ".join(excluded),
    )
    return text + "".join(_service(mode, net, case, port or listening(mode)) for case in CASES)


def _service(mode: Mode, net: Network, case: Case, port: int) -> str:
    segment = "front" if mode == "dr" else "back"
    local = POOLS[case.family] if mode == "fullnat" else ()
    bits = 64 if case.family == 6 else 24
    entries = [
        f'{{ name = "{case.called(str(node))}",'
        f' address = "{node.address(segment, case.family)}", port = {port} }}'
        for node in net.servers
    ]
    return SERVICE.format(
        name=case,
        address=case.vip,
        transport=case.transport,
        mode=mode,
        local=", ".join(f'{{ address = "{a}/{bits}", interface = "back" }}' for a in local),
        servers=", ".join(entries),
    )


def listening(mode: Mode) -> int:
    """The port that the servers listen at."""
    return MAPPED if mode in MAPS else PORT


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that takes part. Lb1 is master when it is entered."""

    mode: Mode
    net: Network
    lb1: Director
    lb2: Director
    servers: dict[str, RealServer]
    flows: Flows
    clients: dict[Case, Client]
    """One for each case, so that all can be under load at once."""

    async def hold(self, count: int) -> None:
        """Begin some more flows of each case."""
        for case in CASES:
            await self.flows.hold(str(case), case.vip, PORT, case.transport, count)

    async def synced(self, director: Director) -> None:
        """Wait until a director's kernel knows every flow."""
        wanted = await self.flows.ports()
        deadline = time.monotonic() + 20 * SLOWNESS
        while missing := wanted - known(director.node):
            words = f"{len(missing)} of {len(wanted)} flows have not reached {director.name}: {min(missing)}"
            assert time.monotonic() < deadline, words
            await asyncio.sleep(0.1)  # the kernel tells nobody

    async def crash(self, director: Director, successor: Director) -> None:
        """Everything of the master dies at once, and its cables with it."""
        mark = await successor.mark()
        for segment in ("front", "back"):
            director.node.unplug(segment)
        assert director.process is not None
        await director.process.kill()
        await successor.event("role.changed", since=mark, role="master")

    async def hand_over(self, director: Director, successor: Director, *, release: bool = True) -> None:
        """A planned failover; afterwards both may be master again, unless `release` is False."""
        mark = await successor.mark()
        result = await director.cli("failover", within=60)
        assert result.status == 0, result
        if release:
            await director.ask("POST", "/v1/vrrp/release", {})
        await successor.event("role.changed", since=mark, role="master")

    async def told(self, director: Director, event: str, *names: str, since: int = 0) -> None:
        """Wait until a director has said `server.up` or `.down` of servers in every case, and done it."""
        for case in CASES:
            for name in names:
                await director.event(event, since=since, service=str(case), server=case.called(name))
        await director.ask("POST", "/v1/look")


def known(node: Node) -> frozenset[tuple[str, str, int]]:
    """The flows that a director's kernel knows: transport, address of the service, the client's port."""
    with node.entered():
        return frozenset(
            (one.protocol.name.lower(), str(one.address), one.client_port)
            for one in connections()
            if one.state in ("ESTABLISHED", "UDP")
        )


async def serve(node: Node, mode: Mode) -> RealServer:
    """Start a server's program."""
    return await real_server(node, http=9, tcp=listening(mode), udp=listening(mode))


async def prepare(node: Node, mode: Mode, state: Path) -> list[str]:
    """What an operator does with a server: the commands, each run as it stands.

    A tunnel ends at an address of its service's family: the kernel syncs no others.
    """
    ways: list[tuple[str, ...]] = []
    match mode:
        case "dr":
            ways = [("--vip", VIPS[4], "--vip", VIPS[6])]
        case "tun":
            ways = [("--vip", VIPS[f], "--local", str(node.address("back", f))) for f in (4, 6)]
    told = []
    for number, way in enumerate(ways):
        place = ("--no-persist", "--state", str(state / f"{node}-{number}"))
        words = ("realserver", "setup", "--mode", mode, *way)
        result = await run(node, *words, *place, module="lvsha.cli", within=60)
        assert result.status == 0, result
        # A kernel without nf_tables warns of the MSS.
        assert "error  " not in result.output, result
        told.append(" ".join(words))
    return told


@contextlib.asynccontextmanager
async def site(mode: Mode, directory: Path, pace: Pace = Pace(), **flows: float) -> AsyncIterator[Site]:
    """The site with every server in service on both directors; `flows` as `start_flows` takes it."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = GATEWAY if mode == "nat" else NOWHERE
        net = await stack.enter_async_context(
            topology(directors=2, servers=3, gateway=gateway, server_segments=SEGMENTS[mode])
        )
        for node in net.servers:
            await prepare(node, mode, directory)
        servers = {node.name: await serve(node, mode) for node in net.servers}
        text = configuration(mode, net, pace)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        # Lb1's election is over before lb2's begins.
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        await lb1.event("role.changed", role="master", within=60)
        client = net["client"]
        clients = {case: await start_client(client) for case in CASES}
        made = Site(mode, net, lb1, lb2, servers, await start_flows(client, **flows), clients)
        for director in (lb1, lb2):
            await made.told(director, "server.up", *servers)
        yield made
