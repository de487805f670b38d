"""How fast the kernel's table is written and read, beside ipvsadm on the same kernel in the same run.

    python -m tests.lab.inside bench.ipvs [--services N] [--servers N] [--rounds N]

Each round fills an empty table by `ipvsadm -R` and by lvsha, in turns, and reads it by `ipvsadm -Sn`
and by lvsha; the best round of each counts, as a busy machine disturbs the others. What matters are
the ratios: the figures themselves are this machine's. `stall` is the longest time that a task of
the same event loop was kept waiting while lvsha was at work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import subprocess
import time
from collections.abc import Awaitable, Iterator
from ipaddress import IPv4Address

from lvsha.kernel.ipvs import Ipvs
from lvsha.model import AddressKey, Method, Protocol, Server, ServerKey, Service
from lvsha.plan import AddServer, AddService, DeleteService, Step
from tests.lab import namespace

Times = dict[str, list[float]]
"""Seconds of each round, by what was done."""


def table(services: int, servers: int) -> list[Step]:
    """The steps to a table of that size; servers repeat over services as they do in life."""
    keys = [
        AddressKey(Protocol.TCP, IPv4Address("198.51.100.0") + n // 1000 % 256, 1000 + n % 1000)
        for n in range(services)
    ]
    steps: list[Step] = [AddService(key, Service("wlc")) for key in keys]
    for n, key in enumerate(keys):
        first = IPv4Address("10.0.0.1") + n % 50 * servers
        steps += [
            AddServer(key, ServerKey(first + m, 8080), Server(Method.MASQUERADE, m % 10 + 1))
            for m in range(servers)
        ]
    return steps


def rules(steps: list[Step]) -> str:
    """The same table in ipvsadm's words."""
    lines = []
    for step in steps:
        match step:
            case AddService(AddressKey() as key, service):
                lines.append(f"-A -t {key.address}:{key.port} -s {service.scheduler}")
            case AddServer(AddressKey() as key, server, settings):
                lines.append(f"-a -t {key.address}:{key.port} -r {server} -m -w {settings.weight}")
    return "\n".join([*lines, ""])


class Heart:
    """Beats every millisecond and notes its longest pause."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        """For ever."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - before - 0.001)


async def timed(work: Awaitable[object]) -> float:
    """Seconds that it takes."""
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


async def ipvsadm(*arguments: str, stdin: str = "") -> str:
    """Run ipvsadm to its end."""
    program = await asyncio.create_subprocess_exec(
        "ipvsadm", *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await program.communicate(stdin.encode())
    assert program.returncode == 0
    return output.decode()


async def write_by_ipvsadm(times: Times, text: str) -> None:
    """One round of ipvsadm."""
    times["-R"].append(await timed(ipvsadm("-R", stdin=text)))
    times["-Sn"].append(await timed(ipvsadm("-Sn")))


async def write_by_lvsha(times: Times, steps: list[Step], heart: Heart) -> None:
    """One round of lvsha."""
    ipvs = await Ipvs.open()
    beating = asyncio.create_task(heart.beat())
    times["apply"].append(await timed(ipvs.apply(steps)))
    times["observe"].append(await timed(ipvs.observe()))
    beating.cancel()
    services = (await ipvs.observe()).services
    assert sum(len(state.servers) for state in services.values()) == len(steps) - len(services)
    times["delete"].append(await timed(ipvs.apply([DeleteService(key) for key in services])))
    ipvs.close()


def measure(services: int, servers: int, rounds: int) -> None:
    """Print the figures."""
    steps = table(services, servers)
    text = rules(steps)
    heart = Heart()
    times: Times = {"-R": [], "apply": [], "-Sn": [], "observe": [], "delete": []}
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        with fresh_namespace():
            asyncio.run(write_by_ipvsadm(times, text))
        with fresh_namespace():
            asyncio.run(write_by_lvsha(times, steps, heart))
    best = {name: min(values) for name, values in times.items()}
    faster, longer = best["-R"] / best["apply"], best["observe"] / best["-Sn"]
    print(f"{services} services, {servers} servers each: {len(steps)} steps; best of {rounds}")
    print(f"write   lvsha {best['apply']:8.3f} s {len(steps) / best['apply']:8.0f} steps/s")
    print(f"        ipvsadm -R {best['-R']:8.3f} s   lvsha is {faster:.1f} times as fast")
    print(f"read    lvsha {best['observe']:8.3f} s with all counters")
    print(f"        ipvsadm -Sn {best['-Sn']:7.3f} s   lvsha takes {longer:.1f} times as long")
    print(f"remove  lvsha {best['delete']:8.3f} s")
    print(f"stall   {heart.longest * 1000:.1f} ms")


@contextlib.contextmanager
def fresh_namespace() -> Iterator[None]:
    """The thread is in a namespace of its own.

    A table that was emptied is not an empty one: removed servers lie in a trash list for minutes, which
    the kernel searches from end to end for every server that is added (ip_vs_trash_get_dest).
    """
    name = f"bench-ipvs-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with namespace.entered(name):
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    measure(wanted.services, wanted.servers, wanted.rounds)


if __name__ == "__main__":
    main()
