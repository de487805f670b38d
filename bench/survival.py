"""How many established connections outlive a failover, in every mode, and how long the longest waits.

    python -m tests.lab.inside bench.survival [--connections 1000] [--mode nat --mode dr ...]

A pair of directors with the kernel's connection sync, real servers, and a client that holds connections and
uses each every few seconds. Four things happen one after the other: a planned failover, the way back, the
master's death (killed, and its cables cut), and its return with pre-emption. A connection counts as alive
when it has been used since; the longest pause is the longest that any use waited for its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.process import Process, call, run
from tests.lab.servers import real_server

VIP, PORT = "192.0.2.100", 7007
PERIOD = 3.0
"""Seconds between two uses of a connection."""
PATIENCE = 40.0
"""Seconds after which a connection that does not answer is dead."""
PAIR = """
[nodes.lb1]
priority = 200
[nodes.lb2]
priority = 100
[sync]
interface = "back"
id = 7
[ipvs]
sysctl = { sync_threshold = "0 1", sync_refresh_period = 2 }
[vrrp.public]
interface = "front"
vrid = 51
interval = "500ms"
group = "site"
addresses = ["192.0.2.100/24"]
"""
GATEWAY = """
[vrrp.gateway]
interface = "back"
vrid = 52
interval = "500ms"
group = "site"
addresses = ["10.0.1.254/24"]
"""
SERVICE = """
[services.echo]
address = "192.0.2.100"
port = 7007
mode = "{mode}"
scheduler = "rr"
check = {{ kind = "tcp", interval = "2s", timeout = "1s" }}
servers = [{servers}]
"""
LOCAL = 'local_addresses = [{ address = "10.0.1.100/24", interface = "back" }]\n'
NETWORKS = {"nat": ("back",), "fullnat": ("back",), "dr": ("front",), "tun": ("front", "back")}
"""Where the servers sit in each mode: those that answer clients themselves need the clients' wire."""


def configuration(mode: str, net: Network) -> str:
    """The pair's file for a mode."""
    segment = "front" if mode == "dr" else "back"
    servers = ", ".join(f'{{ name = "{n.name}", address = "{n.address(segment)}" }}' for n in net.servers)
    text = SERVICE.format(mode=mode, servers=servers)
    if mode == "fullnat":
        text += LOCAL
    return PAIR + (GATEWAY if mode == "nat" else "") + text


# --- the client ---------------------------------------------------------------------------------


@dataclass
class Held:
    """One connection."""

    used: float = 0.0
    dead: str = ""


class Holder:
    """Holds connections and uses each every few seconds."""

    def __init__(self) -> None:
        self.held: list[Held] = []
        self.longest = 0.0
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Obey the channel."""
        print(json.dumps({"event": "ready"}), flush=True)
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0))
        while line := await reader.readline():
            answer = await self.obey(json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """`open` some more, `mark` a beginning, or `report` since."""
        match order["do"]:
            case "open":
                for number in range(order["count"]):
                    streams = await asyncio.open_connection(VIP, PORT)
                    held = Held()
                    self.held.append(held)
                    self.tasks.add(asyncio.create_task(self.use(held, *streams, number)))
                return {}
            case "mark":
                self.longest = 0.0
                return {"at": time.monotonic()}
            case _:
                since = order["since"]
                return {
                    "alive": sum(h.used > since for h in self.held if not h.dead),
                    "dead": [h.dead for h in self.held if h.dead],
                    "longest": self.longest,
                }

    async def use(
        self, held: Held, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        """Use one connection until it dies."""
        await asyncio.sleep(PERIOD * (number % 100) / 100)
        try:
            while True:
                begun = time.monotonic()
                writer.write(b"still there?\n")
                async with asyncio.timeout(PATIENCE):
                    if not await reader.readline():
                        raise ConnectionError("closed")
                held.used = time.monotonic()
                self.longest = max(self.longest, held.used - begun)
                await asyncio.sleep(PERIOD)
        except (OSError, EOFError) as error:
            held.dead = f"{type(error).__name__}: {error}"


def hold(_: list[str]) -> None:
    """The process on the client."""
    asyncio.run(Holder().run())


# --- the story ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that takes part."""

    net: Network
    lb1: Director
    lb2: Director
    client: Process

    async def mark(self) -> float:
        """From here on: the moment on the client's clock."""
        return float((await self.client.ask({"do": "mark"}, within=60))["at"])

    async def after(self, since: float, count: int) -> str:
        """Wait until every connection was used again, or died, and say what came of it."""
        deadline = time.monotonic() + PATIENCE + PERIOD
        while True:
            answer = await self.client.ask({"do": "report", "since": since}, within=60)
            if answer["alive"] + len(answer["dead"]) >= count or time.monotonic() > deadline:
                return f"{answer['alive']:5} of {count}   longest pause {answer['longest']:6.2f} s"
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def site(mode: str, directory: Path) -> AsyncIterator[Site]:
    """A pair of this mode with lb1 as master."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = 254 if mode == "nat" else 250
        net = await stack.enter_async_context(
            topology(directors=2, servers=3, gateway=gateway, server_segments=NETWORKS[mode])
        )
        for node in net.servers:
            await real_server(node)
            if mode in ("dr", "tun"):
                state = ("--no-persist", "--state", str(directory / f"{node}-{mode}"))
                result = await run(
                    node, "realserver", "setup", "--mode", mode, "--vip", VIP, *state, module="lvsha.cli"
                )
                assert result.status == 0, result
        text = configuration(mode, net)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        await lb1.event("role.changed", role="master", within=90)
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        client = await call(net["client"], "bench.survival:hold", channel=True)
        await client.event("ready")
        yield Site(net, lb1, lb2, client)


async def synced(director: Director, count: int) -> None:
    """Wait until a director's kernel knows the connections."""
    async with asyncio.timeout(120):
        while director.node.run("ipvsadm", "-Lnc").count("ESTABLISHED") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.5)  # the kernel tells nobody


async def role(director: Director, name: str, since: int) -> None:
    """Wait for a role."""
    await director.event("role.changed", since=since, role=name, within=90)


async def story(mode: str, count: int, directory: Path) -> None:
    """All four things, a line each."""
    async with site(mode, directory) as s:
        await s.client.ask({"do": "open", "count": count}, within=300)
        await synced(s.lb2, count)

        begun = await s.mark()
        since = await s.lb2.mark()
        await s.lb1.cli("failover", within=60)
        await role(s.lb2, "master", since)
        say(mode, "planned failover", await s.after(begun, count))

        await synced(s.lb1, count)
        begun = await s.mark()
        since = await s.lb1.mark()
        await s.lb1.cli("release", within=60)
        await role(s.lb1, "master", since)
        say(mode, "and back", await s.after(begun, count))

        await synced(s.lb2, count)
        begun = await s.mark()
        since = await s.lb2.mark()
        for segment in ("front", "back"):
            s.net["lb1"].unplug(segment)
        assert s.lb1.process is not None
        await s.lb1.process.kill()
        await role(s.lb2, "master", since)
        say(mode, "the master dies", await s.after(begun, count))

        begun = await s.mark()
        for segment in ("front", "back"):
            s.net["lb1"].plug(segment)
        process = await s.lb1.start()
        await process.event("role.changed", role="master", within=120)
        say(mode, "it returns and pre-empts", await s.after(begun, count))


def say(mode: str, what: str, came: str) -> None:
    """One row."""
    print(f"{mode:8} {what:26} {came}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure every mode asked for."""
    parser = argparse.ArgumentParser(description="How many connections outlive a failover.")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--mode", action="append", choices=list(NETWORKS))
    options = parser.parse_args()
    print(f"kernel {os.uname().release}, {options.connections} connections", file=sys.stderr, flush=True)
    for mode in options.mode or list(NETWORKS):
        with TemporaryDirectory() as directory:
            asyncio.run(story(mode, options.connections, Path(directory)))


if __name__ == "__main__":
    main()
