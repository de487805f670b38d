"""A pair of directors in mode fullnat, for tests on either firewall of the kernel.

The servers' default route leads nowhere: what they answer reaches the client only if they see a local
address. `local` says which one a client must get, by the kernel's own function written down once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.lab.client import Client, start_client
from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.process import SLOWNESS, spawn
from tests.lab.servers import RealServer, real_server

VIP, VIP6 = "192.0.2.100", "2001:db8:1::100"
POOL = ("10.0.1.100", "10.0.1.101")
POOL6 = ("2001:db8:2::100", "2001:db8:2::101")
WEB, ECHO, DNS = 80, 7, 53
CONFIG = """
[nodes.lb1]
priority = 200
address = "10.0.1.1"
[nodes.lb2]
priority = 100
address = "10.0.1.2"

[vrrp.public]
interface = "front"
vrid = 51
interval = "1s"
preempt = false
addresses = ["192.0.2.100/24"]
excluded = ["2001:db8:1::100/64"]

[sync]
interface = "back"
id = 7
[ipvs]
sysctl = { sync_threshold = "0 1", sync_refresh_period = 1 }

[servers]
rs1 = { address = "10.0.1.11" }
rs2 = { address = "10.0.1.12" }
rs1six = { address = "2001:db8:2::11" }
rs2six = { address = "2001:db8:2::12" }
"""
PEER = f'[peer]\nkey = "hex:{"ab" * 32}"\n'
_SERVICE = """
[services.{name}]
address = "{address}"
port = {port}
protocol = "{protocol}"
mode = "fullnat"
scheduler = "rr"
local_addresses = [{local}]
check = {{ kind = "tcp", port = 7007, interval = "{every:g}s", timeout = "2s" }}
servers = [{servers}]
"""


def config(
    pool: Sequence[str] = POOL, pool6: Sequence[str] = POOL6, servers: int = 2, every: float = 1.0
) -> str:
    """Web, echo and DNS over IPv4 and IPv6, each from a pool of its family.

    `every`: seconds between the checks of a server, of which the two directors make two dozen each time.
    """
    text = CONFIG
    for six in (False, True):
        pools = pool6 if six else pool
        local = ", ".join(f'{{ address = "{a}/{64 if six else 24}", interface = "back" }}' for a in pools)
        for name, protocol, port, at in (
            ("web", "tcp", WEB, 8080),
            ("echo", "tcp", ECHO, 7007),
            ("dns", "udp", DNS, 7007),
        ):
            entries = ", ".join(
                f'{{ server = "rs{n}{"six" if six else ""}", port = {at} }}' for n in range(1, servers + 1)
            )
            text += _SERVICE.format(
                name=f"{name}{6 if six else ''}",
                address=VIP6 if six else VIP,
                port=port,
                protocol=protocol,
                local=local,
                servers=entries,
                every=every,
            )
    return text


@dataclass(frozen=True, slots=True)
class Site:
    """The pair, its servers and a client."""

    net: Network
    lb1: Director
    lb2: Director
    rs: dict[str, RealServer]
    client: Client

    async def synced(self, director: Director, count: int) -> None:
        """Wait until a director's kernel knows so many established connections."""
        deadline = time.monotonic() + 20 * SLOWNESS
        while (known := director.node.run("ipvsadm", "-Lnc").count("ESTABLISHED")) < count:
            assert time.monotonic() < deadline, f"{known} of {count} connections reached {director.name}"
            await asyncio.sleep(0.1)  # the kernel tells nobody

    async def crash(self, director: Director, successor: Director) -> None:
        """Everything of a director dies at once, and its cables with it."""
        mark = await successor.mark()
        for segment in ("front", "back"):
            director.node.unplug(segment)
        assert director.process is not None
        await director.process.kill()
        await successor.event("role.changed", since=mark, role="master")

    async def back(self, director: Director) -> None:
        """It is there again, as backup."""
        for segment in ("front", "back"):
            director.node.plug(segment)
        process = await director.start()
        await process.event("daemon.ready", within=60)

    async def hand_over(self, director: Director, successor: Director) -> None:
        """A planned failover."""
        mark = await successor.mark()
        result = await director.cli("failover")
        assert result.status == 0, result
        await successor.event("role.changed", since=mark, role="master")


@contextlib.asynccontextmanager
async def site(directory: Path, text: str) -> AsyncIterator[Site]:
    """The site with lb1 as master and every server in service."""
    async with contextlib.AsyncExitStack() as stack:
        # Number 250 is nobody: the servers have no way back to a client.
        net = await stack.enter_async_context(topology(directors=2, servers=2, gateway=250))
        net["client"].ip(*(f"address add 192.0.2.{n}/24 dev front" for n in range(11, 31)))
        net["client"].ip(*(f"address add 2001:db8:1::{n}/64 dev front nodad" for n in range(11, 31)))
        servers = {name: await real_server(net[name]) for name in ("rs1", "rs2")}
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        await lb1.event("role.changed", role="master", within=60)
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        for director in (lb1, lb2):
            await director.ask("POST", "/v1/look")
        yield Site(net, lb1, lb2, servers, await start_client(net["client"]))


def local(client: str, pool: Sequence[str] = POOL) -> str:
    """The local address that a client gets: jhash() of include/linux/jhash.h, and reciprocal_scale()."""
    packed = ip_address(client).packed
    words = struct.unpack(f"<{len(packed) // 4}I", packed)
    a = b = c = (0xDEADBEEF + len(packed) + 0x6C767368) & 0xFFFFFFFF
    while len(words) > 3:
        a, b, c = ((x + y) & 0xFFFFFFFF for x, y in zip((a, b, c), words[:3], strict=True))
        a, b, c = _mix(a, b, c)
        words = words[3:]
    a, b, c = ((x + y) & 0xFFFFFFFF for x, y in zip((a, b, c), (*words, 0, 0), strict=False))
    return pool[_final(a, b, c) * len(pool) >> 32]


def _rol(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & 0xFFFFFFFF


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & 0xFFFFFFFF) ^ _rol(c, bits)
        c = (c + b) & 0xFFFFFFFF
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rol(b, bits)) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b


async def syn(net: Network, client: Client, address: str, seen: str, *, source: str | None = None) -> str:
    """The first packet of a connection that reaches rs1 from a local address, as tcpdump shows it.

    `source`: the client's address, where it has several.
    """
    words = f"src host {seen} and dst port 7007"
    dump = await spawn(net["rs1"], "tcpdump", "-nlc", "1", "-i", "back", *words.split())
    await dump.line("listening on")
    for _ in range(2):
        await client.served(address, ECHO, "tcp", source=source)
    await dump.wait()
    (packet,) = dump.output
    assert "Flags [S]" in packet
    return packet
