"""Two directors that are real servers as well, and a third server that is nothing else."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.speaker.directing import SETTING
from tests.lab.capture import capturing
from tests.lab.client import Client, start_client
from tests.lab.director import Director, directing
from tests.lab.network import Network, Node, topology
from tests.lab.process import SLOWNESS, Result, run
from tests.lab.servers import real_server

pytestmark = [pytest.mark.ipvs, pytest.mark.slow]

VIP, VIP6 = "192.0.2.100", "2001:db8:1::100"
ALL = ("lb1", "lb2", "rs1")
DIRECTORS = ("--director", "192.0.2.1", "--director", "192.0.2.2")
SETUP = ("--mode", "dr", "--vip", VIP, "--vip", VIP6, *DIRECTORS)
TTL = 64
"""Of what the client sends."""
_ICMPV6 = 58
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
interval = "1s"
group = "site"
addresses = ["192.0.2.100/24"]
[vrrp.public6]
interface = "front"
vrid = 51
interval = "1s"
group = "site"
addresses = ["fe80::100/64", "2001:db8:1::100/64"]

[sync]
interface = "back"
id = 7

[peer]
key = "hex:abababababababababababababababababababababababababababababababab"

{ipvs}
"""
SERVICE = """
[services.{name}]
address = "{vip}"
port = {port}
protocol = "{protocol}"
mode = "dr"
scheduler = "rr"
check = {{ kind = "tcp", port = 7007, interval = "1s", timeout = "5s", rise = 1 }}
servers = [
    {{ name = "lb1", address = "{net}1" }},
    {{ name = "lb2", address = "{net}2" }},
    {{ name = "rs1", address = "{net}11" }},
]
"""
SERVICES = (
    ("web", VIP, 8080, "tcp", "192.0.2."),
    ("echo", VIP, 7007, "tcp", "192.0.2."),
    ("datagrams", VIP, 7007, "udp", "192.0.2."),
    ("web6", VIP6, 8080, "tcp", "2001:db8:1::"),
    ("echo6", VIP6, 7007, "tcp", "2001:db8:1::"),
)


def config(ipvs: str = "[ipvs]\ndirectors_serve = true") -> str:
    """The pair's file: HTTP and an echo on both addresses, an echo by UDP on one."""
    tables = (SERVICE.format(name=n, vip=v, port=p, protocol=t, net=a) for n, v, p, t, a in SERVICES)
    return CONFIG.format(ipvs=ipvs) + "".join(tables)


@dataclass(frozen=True, slots=True)
class Site:
    """The pair, a server that is nothing else, and a client, all on one wire; sync has its own."""

    net: Network
    lb1: Director
    lb2: Director
    client: Client
    directory: Path

    async def answers(self, requests: int) -> Counter[str]:
        """Who answered so many requests on either address; `nobody`, where nobody did."""
        found = Counter[str]()
        for vip in (VIP, VIP6) * requests:
            try:
                found[await self.client.ask(vip, 8080, patience=1.5)] += 1
            except AssertionError:
                found["nobody"] += 1
        return found

    async def hold(self) -> int:
        """Have connections to every server on both addresses, and wait until both directors know them."""
        held = await self.client.hold(VIP, 7007, 12) + await self.client.hold(VIP6, 7007, 12)
        assert held == dict.fromkeys(ALL, 8)
        for director in (self.lb1, self.lb2):
            async with asyncio.timeout(20 * SLOWNESS):
                while await known(director) < held.total():  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.2)
        return held.total()

    async def directs(self, name: str) -> None:
        """Wait until this director directs and the other one does not."""
        wanted = {node: "0" if node == name else "1" for node in ("lb1", "lb2")}
        async with asyncio.timeout(10 * SLOWNESS):
            while {n: self.net[n].sysctl(SETTING) for n in wanted} != wanted:  # noqa: ASYNC110 - nor of this
                await asyncio.sleep(0.05)

    async def works(self, master: str) -> None:
        """What holds whoever is master: all serve, nothing circles, all know who is master, all is well."""
        self.net["client"].ip("neighbour flush dev front")
        wire = self.directory / "wire.pcap"
        async with capturing(self.net["lb1"], wire):
            assert await self.answers(6) == dict.fromkeys(ALL, 4)
            assert {await self.client.ask(VIP, 7007, "udp") for _ in range(6)} == set(ALL)
        assert {ttl for ttl in ttls(wire) if ttl < TTL - 1} == set()
        assert neighbours(self.net["client"]) == dict.fromkeys((VIP, VIP6), mac(self.net[master]))
        for director in (self.lb1, self.lb2):
            assert await errors(director) == []


async def serve(net: Network, name: str, directory: Path) -> None:
    """Make a machine a real server and start its servers."""
    done = await realserver(net[name], directory, "setup")
    assert (done.status, done.output.splitlines()[-1]) == (0, "all is well"), done
    await real_server(net[name])


async def realserver(node: Node, directory: Path, command: str) -> Result:
    """`realserver setup` or `undo` on a node; the nodes share one file system, so each has its own state."""
    options = ["--state", str(directory / f"{node}-realserver")]
    if command == "setup":
        options += [*SETUP, "--no-persist"]
    return await run(node, "realserver", command, *options, module="lvsha.cli", within=60)


async def errors(director: Director) -> list[tuple[str, str]]:
    """What the doctor calls an error, and what mends it; but not that adverts crossed on a slow guest."""
    found = await director.ask("GET", "/v1/doctor")
    return [
        (f["subject"], f["command"]) for f in found if f["severity"] == "error" and f["subject"] != "pair"
    ]


@asynccontextmanager
async def speaking(client: Client) -> AsyncIterator[None]:
    """Every held connection talks while the block runs: one without traffic is told to nobody."""
    enough = asyncio.Event()

    async def speak() -> None:
        while not enough.is_set():
            await client.alive()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(speak())
        yield
        enough.set()


async def known(director: Director) -> int:
    """Established connections that a director's kernel knows."""
    await director.ask("POST", "/v1/look")
    return sum(int(server["active"]) for server in await director.ask("GET", "/v1/servers"))


def ttls(file: Path) -> Iterator[int]:
    """The TTLs of the packets to the addresses in a capture (libpcap's format, Ethernet)."""
    data, at = file.read_bytes(), 24
    vips = {ip_address(VIP).packed, ip_address(VIP6).packed}
    while at < len(data):
        (length,) = struct.unpack_from("=I", data, at + 8)
        frame, at = data[at + 16 : at + 16 + length], at + 16 + length
        if frame[12:14] == b"\x08\x00" and frame[30:34] in vips:
            yield frame[22]
        elif frame[12:14] == b"\x86\xdd" and frame[38:54] in vips and frame[20] != _ICMPV6:
            yield frame[21]


def neighbours(node: Node) -> dict[str, str]:
    """The link-layer addresses that a node knows for the services' addresses."""
    shown = json.loads(node.run("ip", "-json", "neighbour", "show", "dev", "front"))
    return {each["dst"]: each["lladdr"] for each in shown if each["dst"] in (VIP, VIP6)}


def mac(node: Node) -> str:
    """The link-layer address of a node."""
    return str(json.loads(node.run("ip", "-json", "link", "show", "dev", "front"))[0]["address"])


def on_lo(node: Node) -> list[str]:
    """The services' addresses that a node has on lo."""
    shown = node.run("ip", "-o", "address", "show", "dev", "lo")
    return [vip for vip in (VIP, VIP6) if f" {vip}/" in shown]


def let_go(node: Node) -> None:
    """Have IPVS forget the way to this machine as an IPv6 server: else the kernel cannot remove `front`.

    It is a copy that no table knows (FLOWI_FLAG_KNOWN_NH in ip6_pol_route()) and leads by `lo`, while the
    route that it was copied from holds on to `front`. IPVS drops it when `lo` goes down (ip_vs_dst_event());
    the next packet would bring it back.
    """
    node.unplug("front")
    node.ip("link set lo down")


@asynccontextmanager
async def pair(directory: Path, text: str) -> AsyncIterator[Site]:
    """The pair with lb1 as master, every server up on both."""
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=1, server_segments=("front",)))
        for name in ("lb1", "lb2"):
            stack.callback(let_go, net[name])
        for name in ALL:
            await serve(net, name, directory)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        await lb1.event("role.changed", role="master")
        for director in (lb1, lb2):
            await director.ask("POST", "/v1/look")
        yield Site(net, lb1, lb2, await start_client(net["client"]), directory)


async def test_without_the_option_packets_circle(tmp_path: Path) -> None:
    """What the master directs to the other one comes back, and goes again, and so on; the doctor knows."""
    async with pair(tmp_path, config("")) as s:
        async with capturing(s.net["lb1"], tmp_path / "wire.pcap"):
            answers = await s.answers(12)
        assert answers["nobody"] > 0
        # A few times round: the rest comes too fast for the capture.
        assert min(ttls(tmp_path / "wire.pcap")) < TTL - 8
        wrong = [(f"address {vip}", "[ipvs] directors_serve = true") for vip in (VIP, VIP6)]
        assert [await errors(s.lb1), await errors(s.lb2)] == [wrong, wrong]


@pytest.mark.timeout(240)
async def test_all_three_serve_whoever_is_master(tmp_path: Path) -> None:
    """There and back by `failover`: no connection breaks, and before and after it nothing circles."""
    async with pair(tmp_path, config()) as s:
        await s.directs("lb1")
        await s.works("lb1")
        held = await s.hold()
        for director, master in ((s.lb1, "lb2"), (s.lb2, "lb1")):
            await s.client.load(VIP, 8080, interval=0.25, patience=10)
            done = await director.cli("failover")
            assert done.status == 0, done
            await s.directs(master)
            assert await s.client.alive() == held
            report = await s.client.finish()
            # What began in that moment is known to one of them alone, or directed by both.
            assert report.failures.total() <= 3, report
            await s.works(master)


@pytest.mark.timeout(240)
async def test_the_masters_machine_dies_and_comes_back(tmp_path: Path) -> None:
    """What it served itself is lost, nothing else; it serves again as backup, and directs again as master."""
    async with pair(tmp_path, config()) as s:
        held = await s.hold()
        assert s.lb1.process is not None
        mark = await s.lb2.mark()
        await s.lb1.process.kill()
        let_go(s.net["lb1"])
        s.net.reboot("lb1")
        shutil.rmtree(s.lb1.directory / "run")
        await s.lb2.event("role.changed", since=mark, role="master")
        assert s.net["lb2"].sysctl(SETTING) == "0"
        assert await s.client.alive() == held * 2 / 3
        await s.lb2.event("server.down", since=mark, service="web6", server="lb1")
        assert await s.answers(4) == dict.fromkeys(("lb2", "rs1"), 4)
        await serve(s.net, "lb1", tmp_path)
        await s.lb2.event("server.up", since=mark, service="web6", server="lb1")
        async with speaking(s.client):
            process = await s.lb1.start()
            await process.event("vip.added", within=60, address=f"{VIP6}/64")
        order = [e["event"] for e in process.events if e.get("name") == SETTING or e["event"] == "vip.added"]
        assert order[:3] == ["sysctl.changed", "sysctl.changed", "vip.added"]
        await s.directs("lb1")
        assert await s.client.alive() == held * 2 / 3
        await s.works("lb1")


@pytest.mark.timeout(240)
async def test_a_director_that_was_killed_is_put_right_by_its_next_start(tmp_path: Path) -> None:
    """Until then the kernel goes on directing there; an orderly stop leaves a server and nothing else."""
    async with pair(tmp_path, config()) as s:
        assert s.lb1.process is not None
        mark = await s.lb2.mark()
        await s.lb1.process.kill()
        await s.lb2.event("role.changed", since=mark, role="master")
        assert {s.net[name].sysctl(SETTING) for name in ("lb1", "lb2")} == {"0"}
        process = await s.lb1.start()
        await process.event("sysctl.changed", before="0", after="1")
        await process.event("role.changed", within=60, role="master")
        await s.directs("lb1")
        await s.works("lb1")
        mark = await s.lb2.mark()
        assert await process.stop() == 0
        assert s.net["lb1"].sysctl(SETTING) == "1"
        await s.lb2.event("role.changed", since=mark, role="master")
        assert await s.answers(6) == dict.fromkeys(ALL, 4)


async def test_a_server_is_made_and_unmade_while_it_is_master(tmp_path: Path) -> None:
    """`setup` and `undo` leave what the speaker holds, and the speaker what they made."""
    async with pair(tmp_path, config()) as s:
        lb1 = s.net["lb1"]
        again = await realserver(lb1, tmp_path, "setup")
        assert (again.status, again.output.splitlines()) == (0, ["nothing to do", "all is well"]), again
        assert (await realserver(lb1, tmp_path, "undo")).status == 0
        assert on_lo(lb1) == []
        assert await s.client.ask(VIP, 8080) in ALL
        command = "lvsha-cli realserver setup " + " ".join(SETUP)
        assert await errors(s.lb1) == [(f"address {vip}", command) for vip in (VIP, VIP6)]
        assert (await realserver(lb1, tmp_path, "setup")).status == 0
        await s.works("lb1")
        assert (await s.lb1.cli("failover")).status == 0
        await s.directs("lb2")
        assert on_lo(lb1) == [VIP, VIP6]
