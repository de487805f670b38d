"""Connection sync of a pair on a real kernel: kept running, and waited for by a node that comes back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.client import Client, start_client
from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.servers import real_server

pytestmark = [pytest.mark.ipvs, pytest.mark.slow]

VIP = "192.0.2.100"
CONFIG = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"

[vrrp.public]
interface = "front"
vrid = 51
interval = "200ms"
addresses = ["192.0.2.100/24"]
excluded = [{{ address = "10.0.1.254/24", interface = "back" }}]

[sync]
interface = "{interface}"
id = 7
{sync}

[services.echo]
address = "192.0.2.100"
port = 7
mode = "nat"
scheduler = "rr"
check = {{ kind = "tcp", interval = "1s", timeout = "5s" }}
servers = [
    {{ name = "rs1", address = "10.0.1.11", port = 7007 }},
    {{ name = "rs2", address = "10.0.1.12", port = 7007 }},
]
"""
PEER = f'[peer]\nkey = "hex:{"ab" * 32}"\n'


def config(*, interface: str = "back", sync: str = "") -> str:
    """The pair's file."""
    return CONFIG.format(interface=interface, sync=sync)


@dataclass(frozen=True, slots=True)
class Site:
    """A pair in front of two servers, with a client."""

    net: Network
    lb1: Director
    lb2: Director
    client: Client

    def reboot(self, name: str = "lb1") -> None:
        """A director's machine is started again: nothing is left in its kernel, nor in /run."""
        self.net.reboot(name)
        shutil.rmtree({"lb1": self.lb1, "lb2": self.lb2}[name].directory / "run")


@asynccontextmanager
async def pair(directory: Path, text: str) -> AsyncIterator[Site]:
    """The pair with lb1 as master."""
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=2, gateway=254))
        for node in net.servers:
            await real_server(node)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        await lb1.event("role.changed", role="master")
        yield Site(net, lb1, lb2, await start_client(net["client"]))


LONE = """
[sync]
interface = "back"
id = 7
"""
SERVICE = """
[services.web]
address = "192.0.2.100"
port = 80
mode = "nat"
check = "none"
servers = [ { name = "rs1", address = "10.0.1.11" } ]
"""


@asynccontextmanager
async def alone(directory: Path, text: str) -> AsyncIterator[Director]:
    """One director, not in front of anything."""
    async with topology(servers=0) as net, directing(net["lb1"], text, directory) as lb1:
        yield lb1


def daemons(director: Director) -> list[str]:
    """The kernel's own word on its roles."""
    return director.node.run("ipvsadm", "-l", "--daemon").splitlines()


async def known(director: Director) -> int:
    """Established connections that a director's kernel knows."""
    await director.ask("POST", "/v1/look")
    return sum(int(s["active"]) for s in await director.ask("GET", "/v1/servers"))


async def test_a_stopped_role_is_started_again_and_told(tmp_path: Path) -> None:
    """`ipvsadm --stop-daemon` by hand: repaired at the next look, and said, for each role."""
    async with pair(tmp_path, config()) as s:
        before = daemons(s.lb1)
        assert len(before) == 2
        for role in ("master", "backup"):
            mark = await s.lb1.mark()
            s.net["lb1"].run("ipvsadm", "--stop-daemon", role)
            assert {f["subject"]: f["severity"] for f in await s.lb1.ask("GET", "/v1/doctor")}[
                "sync"
            ] == "error"
            await s.lb1.ask("POST", "/v1/look")
            await s.lb1.event("drift.repaired", since=mark, steps=[f"start sync {role} on back id 7"])
            await s.lb1.event("sync.started", since=mark, role=role)
        assert daemons(s.lb1) == before


async def test_sync_that_leaves_the_configuration_is_stopped(tmp_path: Path) -> None:
    """By a reload: both roles end. What somebody starts by hand afterwards, the same even, is left alone."""
    async with alone(tmp_path, SERVICE + LONE) as lb1:
        assert len(daemons(lb1)) == 2
        mark = await lb1.mark()
        await lb1.reload(SERVICE)
        for role in ("master", "backup"):
            await lb1.event("sync.stopped", since=mark, role=role, interface="back", sync_id=7)
        assert daemons(lb1) == []
        lb1.node.run("ipvsadm", "--start-daemon", "backup", "--mcast-interface", "back", "--syncid", "7")
        await lb1.ask("POST", "/v1/look")
        assert len(daemons(lb1)) == 1


async def test_sync_that_left_the_configuration_meanwhile_is_stopped(tmp_path: Path) -> None:
    """A start without `[sync]`, and without a service even, ends what an earlier one began."""
    async with alone(tmp_path, LONE) as lb1:
        assert lb1.process is not None
        await lb1.process.stop()
        assert len(daemons(lb1)) == 2
        lb1.write("")
        process = await lb1.start()
        for role in ("master", "backup"):
            await process.event("sync.stopped", role=role)
        assert daemons(lb1) == []


async def test_sync_that_was_never_configured_is_somebody_elses(tmp_path: Path) -> None:
    """A daemon that an operator started goes on through looks and restarts."""
    async with topology(servers=0) as net:
        net["lb1"].run("ipvsadm", "--start-daemon", "master", "--mcast-interface", "back", "--syncid", "7")
        for _ in range(2):
            async with directing(net["lb1"], SERVICE, tmp_path) as lb1:
                await lb1.ask("POST", "/v1/look")
                assert len(daemons(lb1)) == 1


async def test_a_group_of_ipv6_is_tried_until_there_is_an_address(tmp_path: Path) -> None:
    """Without a link-local address the kernel refuses; once it is there sync starts by itself and works."""
    text = config(sync='group = "ff02::81"')
    async with topology(directors=2, servers=1, gateway=254) as net, AsyncExitStack() as stack:
        await real_server(net["rs1"])
        net["lb1"].run("ip", "-6", "address", "flush", "dev", "back")
        text = text.replace('    { name = "rs2", address = "10.0.1.12", port = 7007 },\n', "")
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, tmp_path, name="lb2"))
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, tmp_path, name="lb1"))
        failed = await lb1.event("sync.failed", role="master", interface="back")
        assert "back has no address or no route for the group (yet)" in failed["error"]
        mark = await lb1.mark()
        net["lb1"].ip("address add fe80::1/64 dev back nodad")
        await lb1.event("sync.started", since=mark, role="master")
        assert all("ff02::81" in line for line in daemons(lb1))
        await lb1.event("role.changed", role="master")
        client = await start_client(net["client"])
        await client.hold(VIP, 7, 4)
        await told(lb2, 4)


async def test_an_interface_that_is_made_anew_is_used_anew(tmp_path: Path) -> None:
    """Removed: an alarm. Back under its name: both roles are started on it, and tell of connections again."""
    async with pair(tmp_path, config()) as s:
        lb1, lb2 = s.net["lb1"], s.net["lb2"]
        cable(s.net)
        for director in (s.lb1, s.lb2):
            await director.reload(config(interface="wire"))
            await director.event("sync.started", role="backup", interface="wire")
        await s.client.hold(VIP, 7, 3)
        await told(s.lb2, 3)
        marks = [await s.lb1.mark(), await s.lb2.mark()]
        lb1.ip("link del wire")
        for director, mark in zip((s.lb1, s.lb2), marks, strict=True):
            await director.ask("POST", "/v1/look")
            failed = await director.event("sync.failed", since=mark, role="master", interface="wire")
            assert "no interface wire, or it is down" in failed["error"]
        cable(s.net)
        for director, mark in zip((s.lb1, s.lb2), marks, strict=True):
            for role in ("master", "backup"):
                await director.event("sync.started", since=mark, role=role, interface="wire", within=40)
        await s.client.hold(VIP, 7, 3)
        await told(s.lb2, 6)
        assert lb2.run("ipvsadm", "-l", "--daemon").count("wire") == 2


def cable(net: Network) -> None:
    """A wire between the directors alone."""
    lb1, lb2 = net["lb1"], net["lb2"]
    lb1.ip(f"link add wire type veth peer name wire netns {lb2.namespace}")
    for number, node in enumerate((lb1, lb2), 1):
        node.ip(f"address add 10.9.0.{number}/24 dev wire", "link set wire up")


async def told(director: Director, connections: int) -> None:
    """Wait until a director knows so many connections."""
    async with asyncio.timeout(30):
        while (count := await known(director)) < connections:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.2)
        assert count == connections


HELD = 400


@pytest.mark.timeout(240)
async def test_a_node_that_comes_back_waits_for_the_connections(tmp_path: Path) -> None:
    """Killed with its table, the better node takes over again only when it knows them, and none breaks."""
    async with pair(tmp_path, PEER + config()) as s:
        await s.client.hold(VIP, 7, HELD)
        await told(s.lb2, HELD)
        assert s.lb1.process is not None
        mark = await s.lb2.mark()
        await s.lb1.process.kill()
        await s.lb2.event("role.changed", since=mark, role="master")
        s.reboot()
        assert await s.client.alive() == HELD
        speaking = asyncio.create_task(speak(s.client))
        process = await s.lb1.start()
        waiting = await process.event("sync.catching_up", within=60)
        assert waiting["connections"] < HELD / 2
        caught = await process.event("sync.caught_up", within=60)
        assert caught["why"] == f"knows {caught['connections']} of the peer's {HELD} connections"
        assert caught["connections"] >= 0.95 * HELD
        await process.event("role.changed", role="master")
        names = [e["event"] for e in process.events]
        assert names.index("sync.caught_up") < names.index("role.changed")
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        assert await s.client.alive() >= 0.95 * HELD


@pytest.mark.timeout(240)
async def test_a_node_that_was_cut_off_waits_for_the_connections(tmp_path: Path) -> None:
    """Its cables pulled and put back: what it knew is of long ago, and it waits as after a reboot."""
    async with pair(tmp_path, PEER + config()) as s:
        lb1 = s.net["lb1"]
        await s.client.hold(VIP, 7, 20)
        await told(s.lb2, 20)
        mark = await s.lb2.mark()
        for segment in ("front", "back"):
            lb1.unplug(segment)
        await s.lb2.event("role.changed", since=mark, role="master")
        await s.client.release()
        await s.client.hold(VIP, 7, 20)
        mark = await s.lb1.mark()
        speaking = asyncio.create_task(speak(s.client))
        for segment in ("front", "back"):
            lb1.plug(segment)
        caught = await s.lb1.event("sync.caught_up", since=mark, within=60)
        assert caught["peer_connections"] == 20
        await s.lb1.event("role.changed", since=mark, role="master")
        assert s.lb1.process is not None
        names = [e["event"] for e in s.lb1.process.events[mark:]]
        assert "vip.added" not in names[: names.index("sync.caught_up")]
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        assert await s.client.alive() == 20


@pytest.mark.timeout(240)
async def test_a_node_that_was_cut_off_does_not_count_what_it_had_before(tmp_path: Path) -> None:
    """As many as the peer has, all ended meanwhile, and the new ones silent: they are not taken for those."""
    text = PEER + config(sync='catch_up = "20s"')
    async with pair(tmp_path, text) as s:
        lb1 = s.net["lb1"]
        await s.client.hold(VIP, 7, 20)
        await told(s.lb2, 20)
        mark = await s.lb2.mark()
        for segment in ("front", "back"):
            lb1.unplug(segment)
        await s.lb2.event("role.changed", since=mark, role="master")
        await s.client.release()
        await s.client.hold(VIP, 7, 20)
        # What the kernel has still to tell of them goes out before lb1 can hear it.
        await asyncio.sleep(4)
        mark = await s.lb1.mark()
        for segment in ("front", "back"):
            lb1.plug(segment)
        behind = await s.lb1.event("sync.behind", since=mark, within=60)
        assert behind["peer_connections"] == 20
        assert behind["why"].endswith("20 of 20 connections are from before, not told of since")


@pytest.mark.timeout(240)
async def test_a_standby_that_knows_nothing_is_not_handed_over_to(tmp_path: Path) -> None:
    """Just rebooted: refused, with both counts. Once it has been told it is taken, and none breaks."""
    async with pair(tmp_path, PEER + config()) as s:
        await s.client.hold(VIP, 7, 200)
        await told(s.lb2, 200)
        assert s.lb2.process is not None
        await s.lb2.process.kill()
        s.reboot("lb2")
        # It has another MAC than before, which lb1 would learn within a minute; a machine keeps its own.
        s.net["lb1"].ip("neigh flush dev front")
        mark = await s.lb1.mark()
        process = await s.lb2.start()
        await s.lb1.event("peer.connected", since=mark)
        refused = await s.lb1.cli("failover")
        assert refused.status == 1
        assert "lb2 knows 0 of 200 established connections: wait" in refused.errors
        assert "200 here, 0 on lb2" in (await s.lb1.cli("status")).output
        speaking = asyncio.create_task(speak(s.client))
        await told(s.lb2, 200)
        done = await s.lb1.cli("failover")
        assert done.status == 0, done
        assert "lb2 knows 200 of 200 established connections" in done.output
        await process.event("role.changed", role="master")
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        assert await s.client.alive() == 200


async def speak(client: Client) -> None:
    """Keep every held connection talking: one without traffic is told to nobody."""
    while True:
        await client.alive()
        await asyncio.sleep(1)


async def test_a_node_that_waits_does_not_wait_for_the_dead(tmp_path: Path) -> None:
    """While it catches up the master dies: it takes over at once, whatever it knows."""
    async with pair(tmp_path, PEER + config(sync='catch_up = "120s"')) as s:
        await s.client.hold(VIP, 7, 20)
        await told(s.lb2, 20)
        assert s.lb1.process is not None
        assert s.lb2.process is not None
        await s.lb1.process.kill()
        await s.lb2.event("role.changed", role="master")
        s.reboot()
        process = await s.lb1.start()
        await process.event("sync.catching_up", within=60)
        await asyncio.sleep(3)
        assert not [e for e in process.events if e["event"] == "sync.caught_up"]
        await s.lb2.process.kill()
        await process.event("role.changed", role="master", within=5)
        await process.event("sync.caught_up", why="this node is master already")
