"""The demonstration: a pair of directors with live traffic, a server that fails, a drain, a failover.

    python -m tests.lab.inside tests.lab.demo

Everything is real: two lvshad, the kernel's IPVS, three web servers, a client that asks every ten
milliseconds and holds connections open. It is told as it happens; nothing is played back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.lab.client import Client, Report, start_client
from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.servers import RealServer, real_server

VIP, GATEWAY = "192.0.2.100", "10.0.1.254"
CONFIG = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"

[peer]
key = "hex:6c7673686120697320612070616972206f66206469726563746f727321212121"

# The address that clients use and the servers' gateway move together.
[vrrp.public]
interface = "front"
vrid = 51
interval = "300ms"
group = "site"
addresses = ["192.0.2.100/24"]
[vrrp.gateway]
interface = "back"
vrid = 52
interval = "300ms"
group = "site"
addresses = ["10.0.1.254/24"]

[sync]
interface = "back"
id = 7

[ipvs]
sysctl = { sync_threshold = "0 1", sync_refresh_period = 1 }

[servers]
rs1 = { address = "10.0.1.11" }
rs2 = { address = "10.0.1.12" }
rs3 = { address = "10.0.1.13" }

[services.web]
address = "192.0.2.100"
port = 80
mode = "nat"
scheduler = "rr"
check = { kind = "http", path = "/healthz", interval = "500ms", timeout = "2s", rise = 2, fall = 3 }
servers = [
    { server = "rs1", port = 8080 },
    { server = "rs2", port = 8080 },
    { server = "rs3", port = 8080 },
]

[services.echo]
address = "192.0.2.100"
port = 7
mode = "nat"
scheduler = "rr"
check = { kind = "tcp", interval = "500ms", timeout = "2s" }
servers = [
    { server = "rs1", port = 7007 },
    { server = "rs2", port = 7007 },
    { server = "rs3", port = 7007 },
]
"""
SHOWN = {
    "server.down": "red",
    "server.up": "green",
    "service.ok": "green",
    "service.degraded": "yellow",
    "override.set": "yellow",
    "override.cleared": "green",
    "override.synced": "yellow",
    "drain.finished": "green",
    "role.changed": "magenta",
    "drift.repaired": "yellow",
    "process.exited": "red",
}
"""The events that are shown, and their colours."""

console = Console(
    file=os.fdopen(os.dup(1), "w"),
    highlight=False,
    force_terminal=bool(os.environ.get("FORCE_COLOR")) or None,
    width=int(os.environ.get("COLUMNS", "130")),
)


def title(text: str) -> None:
    """The next chapter."""
    console.print()
    console.rule(f"[bold]{text}", align="left")


def told(text: str) -> None:
    """What is done, or what came of it."""
    console.print(f"  {text}")


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that takes part."""

    net: Network
    lb1: Director
    lb2: Director
    rs: dict[str, RealServer]
    client: Client

    async def watch(self, seconds: float) -> Report:
        """Let the client ask for a while, and show who answered."""
        await self.client.load(VIP, 80, interval=0.01, patience=2)
        await asyncio.sleep(seconds)
        report = await self.client.finish()
        show(report)
        return report


def show(report: Report) -> None:
    """A bar for each server."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    for name in ("rs1", "rs2", "rs3"):
        count = report.served[name]
        share = count / max(1, report.served.total())
        table.add_row(f"  {name}", f"{count:5}", "█" * round(share * 40))
    console.print(table)
    failed = (
        f"[red]{report.failures.total()} failed[/] {dict(report.failures)}"
        if report.failures
        else "none failed"
    )
    told(f"{report.total} requests, {failed}, longest gap {report.longest_gap * 1000:.0f} ms")


async def follow(director: Director, name: str) -> None:
    """Show what a director says as it says it."""
    assert director.process is not None
    seen, begun = director.process.mark(), time.time()
    while True:
        for event in director.process.events[seen:]:
            seen += 1
            if (colour := SHOWN.get(event["event"])) is not None:
                fields = ("service", "server", "target", "role", "process", "why", "detail")
                words = "  ".join(str(event[f]) for f in fields if event.get(f) is not None)
                console.print(
                    f"  [dim]{time.time() - begun:6.2f} s {name}[/] [{colour}]{event['event']:16}[/] {words}"
                )
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    """The pair, the servers and the client, with everything up."""
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=3, gateway=254))
        servers = {name: await real_server(net[name]) for name in ("rs1", "rs2", "rs3")}
        lb1 = await stack.enter_async_context(directing(net["lb1"], CONFIG, directory, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], CONFIG, directory, name="lb2"))
        await lb1.event("role.changed", role="master", within=60)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(follow(lb, n), name=n) for lb, n in ((lb1, "lb1"), (lb2, "lb2"))]
        yield Site(net, lb1, lb2, servers, await start_client(net["client"]))
        for task in tasks:
            task.cancel()


async def story(s: Site) -> None:
    """What an operator sees in a bad week, in a minute."""
    title("Traffic: the client asks 100 times a second, three servers answer in turn")
    await s.watch(3)

    title("A server fails: rs2 answers 500")
    mark = await s.lb1.mark()
    await s.rs["rs2"].answer(status=500)
    await s.lb1.event("server.down", since=mark, server="rs2", service="web")
    await s.watch(2)
    told("rs2 answers 200 again")
    mark = await s.lb1.mark()
    await s.rs["rs2"].answer()
    await s.lb1.event("server.up", since=mark, server="rs2", service="web")
    await s.watch(2)

    title("Maintenance: lvsha-cli drain rs3 --reason 'new kernel'")
    held = await s.client.hold(VIP, 7, 30)
    told(f"30 connections are held open: {dict(sorted(held.items()))}")
    result = await s.lb1.cli("drain", "rs3", "--reason", "new kernel")
    console.print(result.output, style="dim")
    await s.watch(2)
    told(f"{await s.client.alive()} of 30 held connections are alive: rs3 finishes what it has")

    title("The master dies: kill -9 of everything on lb1, and its cables are pulled")
    assert s.lb1.process is not None
    await asyncio.sleep(2)  # the standby's table is refreshed every second
    await s.client.load(VIP, 80, interval=0.01, patience=2)
    await asyncio.sleep(1)
    mark = await s.lb2.mark()
    s.net["lb1"].unplug("front")
    s.net["lb1"].unplug("back")
    await s.lb1.process.kill()
    await s.lb2.event("role.changed", since=mark, role="master")
    await asyncio.sleep(2)
    show(await s.client.finish())
    told(f"[bold]{await s.client.alive()} of 30 held connections are alive[/] on the other director")
    console.print((await s.lb2.cli("servers")).output, style="dim")
    told("the drain of rs3 is in force here too")

    title("lb1 comes back")
    s.net["lb1"].plug("front")
    s.net["lb1"].plug("back")
    await s.client.load(VIP, 80, interval=0.01, patience=2)
    process = await s.lb1.start()
    follower = asyncio.create_task(follow(s.lb1, "lb1"), name="lb1 again")
    await process.event("role.changed", role="master", within=60)
    await asyncio.sleep(2)
    show(await s.client.finish())
    told(f"{await s.client.alive()} of 30 held connections are alive")
    console.print((await s.lb1.cli("vrrp")).output, style="dim")
    follower.cancel()

    title("The work is done: lvsha-cli undrain rs3")
    await s.lb1.cli("undrain", "rs3")
    await s.watch(2)


async def main() -> int:
    """Tell the story; 0 when it went as it should."""
    console.print(
        f"[bold]lvsha[/], a pair of directors on kernel {os.uname().release}: building the network ..."
    )
    # The lab's processes repeat all that they say on standard output; here the story is told instead.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with TemporaryDirectory() as directory:
        async with site(Path(directory)) as s:
            await story(s)
    console.print()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
