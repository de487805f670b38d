"""How soon the kernel follows: a server that fails, a server that recovers, a drain.

    python -m tests.lab.inside bench.latency [--rounds N]

A director checks three real web servers every 200 ms with fall 3 and rise 2 and programs the real kernel.
The moment of the change is read off the table itself (/proc/net/ip_vs), every millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab import namespace
from tests.lab.director import Director, directing
from tests.lab.network import Node, topology
from tests.lab.servers import RealServer, real_server

INTERVAL, FALL, RISE = 0.2, 3, 2
CONFIG = f"""
[checks.web]
kind = "http"
interval = "{INTERVAL}s"
timeout = "1s"
rise = {RISE}
fall = {FALL}
jitter = 0.0
[services.web]
address = "192.0.2.100"
port = 80
mode = "nat"
scheduler = "rr"
check = "web"
servers = [
    {{ name = "rs1", address = "10.0.1.11", port = 8080 }},
    {{ name = "rs2", address = "10.0.1.12", port = 8080 }},
    {{ name = "rs3", address = "10.0.1.13", port = 8080 }},
]
"""


def weight(node: Node, address: str) -> int | None:
    """The weight of a server in the node's table; None: it is not there."""
    needle = "".join(f"{int(part):02X}" for part in address.split("."))
    with namespace.entered(node.namespace):
        table = Path("/proc/thread-self/net/ip_vs").read_text()
    for line in table.splitlines():
        if needle in line and "->" in line:
            return int(line.split()[3])
    return None


async def until(node: Node, address: str, wanted: int | None, since: float) -> float:
    """Seconds from `since` until the table shows that weight."""
    while weight(node, address) != wanted:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0.001)
    return time.perf_counter() - since


async def change(
    node: Node, address: str, wanted: int | None, cause: Callable[[], Awaitable[object]]
) -> float:
    """Cause something and see how long the table takes to show it."""
    since = time.perf_counter()
    seen = asyncio.create_task(until(node, address, wanted, since))
    await cause()
    return await seen


async def rounds(node: Node, lb1: Director, rs2: RealServer, count: int) -> dict[str, list[float]]:
    """Every change so many times."""
    drain = {"target": "rs3", "kind": "drain"}
    clear = {"target": "rs3", "kinds": ["drain"]}
    seen: dict[str, list[float]] = {}
    for _ in range(count):
        for name, address, wanted, cause in (
            ("fails (answers 500)", "10.0.1.12", None, lambda: rs2.answer(status=500)),
            ("recovers", "10.0.1.12", 1, rs2.answer),
            ("drain by the API", "10.0.1.13", 0, lambda: lb1.ask("POST", "/v1/overrides", drain)),
            ("undrain by the API", "10.0.1.13", 1, lambda: lb1.ask("POST", "/v1/overrides/clear", clear)),
            ("drain by lvsha-cli", "10.0.1.13", 0, lambda: lb1.cli("drain", "rs3")),
            ("undrain by lvsha-cli", "10.0.1.13", 1, lambda: lb1.cli("undrain", "rs3")),
        ):
            seen.setdefault(name, []).append(await change(node, address, wanted, cause))
    return seen


async def measure(count: int) -> None:
    """Build, measure, show."""
    with TemporaryDirectory() as directory:
        async with topology(servers=3) as net:
            servers = {name: await real_server(net[name]) for name in ("rs1", "rs2", "rs3")}
            async with directing(net["lb1"], CONFIG, Path(directory)) as lb1:
                for name in servers:
                    await lb1.event("server.up", server=name)
                await lb1.ask("POST", "/v1/look")
                seen = await rounds(net["lb1"], lb1, servers["rs2"], count)
    print(
        f"check every {INTERVAL * 1000:.0f} ms, fall {FALL}, rise {RISE}: a failure may take "
        f"{FALL * INTERVAL * 1000:.0f} ms, a recovery {RISE * INTERVAL * 1000:.0f} ms",
        file=sys.stderr,
    )
    for name, times in seen.items():
        print(
            f"  {name:22} {len(times):3} times   median {statistics.median(times) * 1000:7.1f} ms   "
            f"worst {max(times) * 1000:7.1f} ms",
            file=sys.stderr,
        )


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description="How soon the kernel follows.")
    parser.add_argument("--rounds", type=int, default=10)
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
