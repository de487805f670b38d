"""What becomes of established connections at a failover where nothing tells the other director of them.

    python -m tests.lab.inside bench.sloppy [--connections 20]

A pair in mode nat without `[sync]`, four servers, one client that holds connections; then the master dies.
With `sloppy_tcp = 1` a packet from the midst of a connection is scheduled like a new one. A connection lives
if the scheduler comes to the server that it began with: `mh` does, `wlc` only by luck. They speak in another
order than they were opened in, or `wlc` would deal them out as it did before.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.director import directing
from tests.lab.network import Node, topology
from tests.lab.servers import real_server

VIP = "192.0.2.100"
SERVERS = 4
PATIENCE = 10.0
"""Seconds after which a connection that says nothing is dead."""
SCHEDULERS = {"mh": '["mh-port"]', "wlc": "[]"}
CONFIG = """
[nodes.lb1]
priority = 200
[nodes.lb2]
priority = 100
[vrrp.public]
interface = "front"
vrid = 51
interval = "500ms"
addresses = ["192.0.2.100/24"]
excluded = [{{ address = "10.0.1.254/24", interface = "back" }}]
[ipvs]
sysctl = {{ sloppy_tcp = {sloppy} }}
[services.echo]
address = "192.0.2.100"
port = 7007
mode = "nat"
scheduler = "{scheduler}"
flags = {flags}
check = {{ kind = "tcp", interval = "1s", timeout = "5s" }}
servers = [{servers}]
"""


def config(scheduler: str, sloppy: int) -> str:
    """The pair's file."""
    servers = ", ".join(f'{{ name = "rs{n}", address = "10.0.1.{10 + n}" }}' for n in range(1, SERVERS + 1))
    return CONFIG.format(scheduler=scheduler, flags=SCHEDULERS[scheduler], sloppy=sloppy, servers=servers)


async def survivors(text: str, count: int, directory: Path) -> int:
    """How many of so many connections are alive after the master's death."""
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=SERVERS, gateway=254))
        for node in net.servers:
            await real_server(node)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        await lb1.event("role.changed", role="master", within=60)
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        connections = [connect(net["client"]) for _ in range(count)]
        since = await lb2.mark()
        for segment in ("front", "back"):
            net["lb1"].unplug(segment)
        assert lb1.process is not None
        await lb1.process.kill()
        await lb2.event("role.changed", since=since, role="master", within=60)
        return await asyncio.to_thread(alive, connections)


def connect(client: Node) -> socket.socket:
    """A connection that is in use."""
    with client.entered():
        connection = socket.create_connection((VIP, 7007), timeout=PATIENCE)
    assert speak(connection)
    assert connection.recv(100)
    return connection


def speak(connection: socket.socket) -> bool:
    """Send something."""
    try:
        return connection.send(b"still there?\n") > 0
    except OSError:
        return False


def alive(connections: list[socket.socket]) -> int:
    """How many still answer; closes all."""
    random.Random(1).shuffle(connections)
    spoken = [connection for connection in connections if speak(connection)]
    answered = 0
    for connection in spoken:
        with contextlib.suppress(OSError):
            answered += bool(connection.recv(100))
    for connection in connections:
        connection.close()
    return answered


async def story(count: int) -> list[str]:
    """Every scheduler with either setting, a row each."""
    rows = []
    for scheduler in SCHEDULERS:
        for sloppy in (0, 1):
            with TemporaryDirectory() as directory:
                alive = await survivors(config(scheduler, sloppy), count, Path(directory))
            rows.append(f"{scheduler:4} sloppy_tcp = {sloppy}   {alive:4} of {count} survive")
    return rows


def main() -> None:
    """Measure, then print: the directors' logs come before."""
    parser = argparse.ArgumentParser(description="What outlives a failover without connection sync.")
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    for row in asyncio.run(story(options.connections)):
        print(row, flush=True)


if __name__ == "__main__":
    main()
