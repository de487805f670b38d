"""Calm under load: how many false alarms two pairs raise while the machine has no time for them.

    python -m bench.calm [--minutes 10] [--interval 0.01] [--servers 2000] [--alone]

A pair of lvsha and a pair of keepalived run beside each other with the same adverts. Every processor is
kept busy by programs of ordinary priority, and lvsha's directors check thousands of servers every second.
Nothing is broken in all that time, so every transition after the start is a false alarm.

Meanwhile the weights of ten servers are changed in IPVS, again and again. On a kernel without it the
directors check and report, but have no table to program; there a program on each changes a hundred routes
instead, under the lock that the virtual addresses need too. `python -m tests.lab.inside bench.calm` runs
it where IPVS is; a slow guest may want `--alone`: without the other pair, whose own false alarms are a load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.failover import KEEPALIVED, LVSHA
from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.process import Process, call, spawn

HAS_IPVS = Path("/proc/net/ip_vs").exists()
FIRST = IPv4Address("10.1.0.0")
SETTLE = 10.0
"""Seconds after the last program was started until the count begins."""


def burn(_: list[str]) -> None:
    """Use a processor."""
    print('{"event": "burning"}', flush=True)
    while True:
        pass


def reroute(_: list[str]) -> None:
    """On a director: add a hundred routes and remove them, for ever."""
    routes = [f"198.51.100.{n}/32" for n in range(1, 101)]
    lines = [f"route add {r} dev back" for r in routes] + [f"route del {r} dev back" for r in routes]
    while True:
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        print(f'{{"event": "rerouted", "steps": {len(lines)}}}', flush=True)


def listen(argv: list[str]) -> None:
    """Accept every connection to port 80 of any address here, and close it."""
    (count,) = argv
    # It stands for thousands of machines, none of which is busy.
    os.setpriority(os.PRIO_PROCESS, 0, -15)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def serve() -> None:
        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(close, "0.0.0.0", 80, backlog=4096)
        print(f'{{"event": "listening", "servers": {count}}}', flush=True)
        await server.serve_forever()

    asyncio.run(serve())


def services(count: int, every: float) -> str:
    """Services of a hundred servers each, every server checked each `every` seconds."""
    lines = []
    for start in range(0, count, 100):
        name = f"s{start // 100}"
        members = ", ".join(
            f'{{ name = "{name}-{n}", address = "{FIRST + start + n + 1}", port = 80 }}' for n in range(100)
        )
        lines.append(
            f'[services.{name}]\naddress = "192.0.2.101"\nport = {start // 100 + 1}\nmode = "nat"\n'
            f'check = {{ kind = "tcp", interval = "{every:g}s", timeout = "900ms" }}\nservers = [{members}]\n'
        )
    return "".join(lines)


@contextlib.asynccontextmanager
async def lvsha(
    interval: float, servers: int, every: float, directory: Path
) -> AsyncIterator[list[Director]]:
    """A pair of lvsha whose directors check thousands of servers."""
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=1))
        addresses = [f"address add {FIRST + n + 1}/32 dev lo" for n in range(servers)]
        net["rs1"].ip(*addresses)
        await (await call(net["rs1"], "bench.calm:listen", str(servers))).event("listening")
        directors = []
        for node in ("lb1", "lb2"):
            net[node].ip("route add 10.1.0.0/16 via 10.0.1.11")
            director = directing(net[node], LVSHA.format(interval=interval), directory, name=node)
            directors.append(await stack.enter_async_context(director))
        await directors[0].event("role.changed", role="master", within=120)
        # Not before: who has no IPVS and needs it does not become master.
        for each in directors:
            await each.reload(LVSHA.format(interval=interval) + services(servers, every))
        for each in directors:
            for number in range(0, servers, 100):
                await each.event("service.ok", service=f"s{number // 100}", within=300)
        yield directors


@contextlib.asynccontextmanager
async def keepalived(interval: float, directory: Path) -> AsyncIterator[list[Process]]:
    """A pair of keepalived."""
    async with contextlib.AsyncExitStack() as stack:
        net: Network = await stack.enter_async_context(topology(directors=2, servers=0))
        processes = []
        for node, priority in (("lb1", 200), ("lb2", 100)):
            home = directory / f"{node}-keepalived"
            home.mkdir()
            (home / "conf").write_text(KEEPALIVED.format(interval=interval, priority=priority))
            pids = [f"--{kind}={home / kind}" for kind in ("pid", "vrrp_pid", "checkers_pid")]
            processes.append(await spawn(net[node], "keepalived", "-nlPD", "-f", str(home / "conf"), *pids))
        await processes[0].line("Entering MASTER STATE", within=60)
        yield processes
        for process in processes:
            await process.stop()


async def measure(minutes: float, interval: float, servers: int, every: float, *, alone: bool) -> None:
    """Run the pairs under load and count."""
    with TemporaryDirectory() as home:
        beside: contextlib.AbstractAsyncContextManager[list[Process]]
        beside = contextlib.nullcontext([]) if alone else keepalived(interval, Path(home))
        async with lvsha(interval, servers, every, Path(home)) as ours, beside as theirs:
            watchers = await watching(ours, interval)
            burners = [await call(None, "bench.calm:burn") for _ in range(2 * (os.cpu_count() or 1))]
            for burner in burners:
                await burner.event("burning")
            # To start a program stops a guest of one's own for longer than a master-down interval.
            await asyncio.sleep(SETTLE)
            marks = [await d.mark() for d in ours]
            lines = [len(p.output) + len(p.errors) for p in theirs]
            began = time.monotonic()
            ticking = [asyncio.create_task(reprogram(d)) for d in ours if HAS_IPVS]
            routing = [await call(d.node, "bench.calm:reroute") for d in ours if not HAS_IPVS]
            await asyncio.sleep(minutes * 60)
            for task in ticking:
                # One that has ended was refused, and nothing was changed.
                if not task.cancel():
                    task.result()
            for busy in (*burners, *routing):
                await busy.kill()
            took = time.monotonic() - began
            mine = sum(count_ours(d, m) for d, m in zip(ours, marks, strict=True))
            other = None if alone else sum(count_theirs(p, n) for p, n in zip(theirs, lines, strict=True))
            report(took, interval, servers, mine, other, ours)
            steps = sum(e["steps"] for r in routing for e in r.events if e["event"] == "rerouted")
            print(f"  routes changed: {steps}", file=sys.stderr)
            falls(ours, marks)
            explain(ours, marks, watchers)


async def watching(directors: list[Director], interval: float) -> list[Process]:
    """Who tells of the machine's own stalls, and of the silences at both ends of the wire."""
    count = os.cpu_count() or 1
    processors = [await call(None, "bench.stalls:canary", str(n), "0.005") for n in range(count)]
    ends = [
        await call(d.node, "bench.stalls:hear", "front", "192.0.2.1", str(2 * interval)) for d in directors
    ]
    for each in (*processors, *ends):
        await each.event("watching")
    return [*processors, *ends]


async def reprogram(director: Director) -> None:
    """Change the weights of ten servers, again and again."""
    weight = 1
    while True:
        weight = 3 - weight
        for number in range(10):
            body = {"target": f"s0/s0-{number}", "kind": "weight", "weight": weight}
            await director.ask("POST", "/v1/overrides", body)


def count_ours(director: Director, mark: int) -> int:
    """Transitions since the mark."""
    assert director.process is not None
    return sum(e["event"] == "vrrp.state" for e in director.process.events[mark:])


def count_theirs(process: Process, lines: int) -> int:
    """Transitions since that many lines."""
    said = [*process.output, *process.errors][lines:]
    return sum("STATE" in line and "Entering" in line for line in said)


def report(
    took: float, interval: float, servers: int, mine: int, other: int | None, directors: list[Director]
) -> None:
    """The table, on standard error."""
    late = [
        e["seconds"]
        for d in directors
        if d.process is not None
        for e in d.process.events
        if e["event"] == "vrrp.late"
    ]
    steps = sum(
        e["event"] == "step.applied" for d in directors if d.process is not None for e in d.process.events
    )
    print(
        f"{took / 60:.1f} minutes, {interval * 1000:g} ms adverts, {servers} servers checked by each "
        f"director, {2 * (os.cpu_count() or 1)} busy programs on {os.cpu_count()} processors\n"
        f"  lvsha       {mine} transitions; adverts reported late: {len(late)}"
        f"{f', at worst {max(late) * 1000:.1f} ms' if late else ''}; steps in IPVS: {steps}\n"
        f"{'' if other is None else f'  keepalived  {other} transitions'}",
        file=sys.stderr,
    )


def falls(directors: list[Director], marks: list[int]) -> None:
    """Servers that were called down, on standard error: none of them was."""
    said = [d.process.events[m:] for d, m in zip(directors, marks, strict=True) if d.process is not None]
    down = sum(e["event"] == "server.down" for events in said for e in events)
    print(f"  servers of lvsha's called down: {down}", file=sys.stderr)


def explain(directors: list[Director], marks: list[int], watchers: list[Process]) -> None:
    """What the machine and the wire did, and what stood around each transition, on standard error."""
    told = sorted((e for w in watchers for e in w.events if "at" in e), key=lambda e: float(e["at"]))
    worst = [
        max((e["seconds"] for e in told if e["event"] == kind), default=0.0) for kind in ("stall", "silence")
    ]
    print(
        f"  the machine kept its highest priority waiting for {worst[0] * 1000:.1f} ms at worst; the longest "
        f"silence of the master on the wire that was over 2 intervals: {worst[1] * 1000:.1f} ms",
        file=sys.stderr,
    )
    for director, mark in zip(directors, marks, strict=True):
        assert director.process is not None
        for event in director.process.events[mark:]:
            if event["event"] == "vrrp.state":
                surround(f"{director.node} is {event['state']}: {event['why']}", event["timestamp"], told)


def surround(title: str, timestamp: str, told: list[dict[str, Any]]) -> None:
    """A transition and what was told within a second of it."""
    print(f"  {timestamp} {title}", file=sys.stderr)
    at = datetime.fromisoformat(timestamp).timestamp()
    for event in told:
        if abs(event["at"] - at) < 1:
            print(f"    {event['at'] - at:+.3f} s {event}", file=sys.stderr)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description="False alarms under load, beside keepalived.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--interval", type=float, default=0.01)
    parser.add_argument("--servers", type=int, default=2000)
    parser.add_argument("--every", type=float, default=1, help="seconds between two checks of a server")
    parser.add_argument("--alone", action="store_true", help="no keepalived beside it")
    options = parser.parse_args()
    asyncio.run(
        measure(options.minutes, options.interval, options.servers, options.every, alone=options.alone)
    )


if __name__ == "__main__":
    main()
