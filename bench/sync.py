"""How soon a connection is known to the other director, and how soon one that comes back knows them all.

    python -m tests.lab.inside bench.sync

Two directors in front of a server, whose sync daemons have a wire of their own. For each setting: connections
are opened one by one, silent ones and such that say one word, and it is looked when the standby knows them;
then the standby forgets everything, and it is looked when it knows nearly all connections again, which say
one word a second, and how many sync messages that took.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.client import Client, start_client
from tests.lab.network import Network, Node
from tests.lab.servers import real_server

VIP = "192.0.2.100"
HELD, ALONE = 200, 8
PATIENCE = 6.0
"""Seconds after which a connection counts as never told of."""
LIMIT = 90.0


@dataclass(frozen=True, slots=True)
class Setting:
    """Of net.ipv4.vs."""

    threshold: str
    refresh: int

    def __str__(self) -> str:
        return f"sync_threshold {self.threshold!r}, sync_refresh_period {self.refresh}"


SETTINGS = (Setting("3 50", 0), Setting("3 50", 10), Setting("0 1", 10), Setting("0 1", 2))


def layout() -> Network:
    """Client, two directors, one server, and the wire."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.segment("back", "10.0.1.0/24", "2001:db8:2::/64")
    net.segment("wire", "10.9.0.0/24", "2001:db8:9::/64")
    net.node("client", front=10)
    net.node("lb1", forward=True, front=1, back=1, wire=1)
    net.node("lb2", forward=True, front=2, back=2, wire=2)
    net.node("rs1", routes=["default via 10.0.1.1"], back=11)
    return net


def direct(node: Node, setting: Setting) -> None:
    """Settings, both roles of sync, one service."""
    node.sysctl("net.ipv4.vs.sync_threshold", setting.threshold)
    node.sysctl("net.ipv4.vs.sync_refresh_period", setting.refresh)
    for role in ("master", "backup"):
        node.run("ipvsadm", "--start-daemon", role, "--mcast-interface", "wire", "--syncid", "7")
    node.run("ipvsadm", "-R", stdin=f"-A -t {VIP}:7 -s rr\n-a -t {VIP}:7 -r 10.0.1.11:7007 -m\n")


def known(node: Node) -> set[int]:
    """The clients' ports of the established connections that a director knows."""
    with node.entered():
        lines = Path("/proc/thread-self/net/ip_vs_conn").read_text().splitlines()[1:]
    return {int(line.split()[2], 16) for line in lines if "ESTABLISHED" in line}


def messages(node: Node) -> int:
    """Packets that a director has sent on the wire."""
    with node.entered():
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    fields = next(line for line in lines if line.strip().startswith("wire:")).partition(":")[2].split()
    return int(fields[9])


async def births(client: Node, standby: Node, *, word: bool) -> list[float | None]:
    """Seconds until each of some connections is known; None: not in time."""
    found: list[float | None] = []
    for number in range(ALONE):
        with client.entered():
            connection = socket.create_connection((VIP, 7))
        born, port = time.monotonic(), connection.getsockname()[1]
        if word:
            connection.sendall(b"hello\n")
            connection.recv(100)
        # The kernel tells nobody.
        while not (there := port in known(standby)) and time.monotonic() - born < PATIENCE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        found.append(time.monotonic() - born if there else None)
        connection.close()
        # Not in step with the kernel's own clock.
        await asyncio.sleep(0.37 * (number % 3))
    return found


async def measure(net: Network, setting: Setting) -> None:
    """All about one setting."""
    for name in ("lb1", "lb2"):
        net.reboot(name)
        direct(net[name], setting)
    lb1, lb2 = net["lb1"], net["lb2"]
    lb1.ip(f"address add {VIP}/32 dev front")
    client = await start_client(net["client"])
    print(setting, flush=True)
    for word, what in ((False, "silent"), (True, "one word")):
        print(f"  {what:<10}{_spread(await births(net['client'], lb2, word=word))}", flush=True)
    await client.hold(VIP, 7, HELD)
    net.reboot("lb2")
    direct(lb2, setting)
    print(f"  returned  {await returned(client, lb1, lb2)}", flush=True)
    await client.process.kill()


async def returned(client: Client, lb1: Node, lb2: Node) -> str:
    """How a director that has forgotten everything learns it again."""
    begun, sent = time.monotonic(), messages(lb1)
    talking = asyncio.create_task(_talk(client))
    while (count := len(known(lb2))) < 0.95 * HELD and time.monotonic() - begun < LIMIT:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.1)
    took = time.monotonic() - begun
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    return f"{count} of {HELD} known after {took:.1f} s, {(messages(lb1) - sent) / took:.1f} messages/s"


async def _talk(client: Client) -> None:
    while True:
        await client.alive(patience=30)
        await asyncio.sleep(1)


def _spread(found: list[float | None]) -> str:
    times = [t for t in found if t is not None]
    never = f", {len(found) - len(times)} of {len(found)} never" if len(times) < len(found) else ""
    if not times:
        return f"never known (within {PATIENCE:g} s)"
    return (
        f"known after {min(times):.1f} to {max(times):.1f} s, median {statistics.median(times):.1f} s{never}"
    )


async def main() -> None:
    """Every setting in turn."""
    with layout() as net:
        await real_server(net["rs1"])
        for setting in SETTINGS:
            await measure(net, setting)


if __name__ == "__main__":
    asyncio.run(main())
