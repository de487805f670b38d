"""A thousand services with ten servers each: how long the real table takes, and how long the loop waits.

    python -m tests.lab.inside bench.scale [--services N] [--servers N]

A heartbeat in the same event loop notes the longest time that anything kept it waiting. The steps go
through the daemon's own reconciler into the kernel, in a network namespace of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from collections.abc import Awaitable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import checks
from checks.tcp import Tcp
from lvsha import log
from lvsha.config import CheckConfig, Config, NodeConfig, ServerConfig, ServiceConfig
from lvsha.daemon.director import Director
from lvsha.daemon.reconciler import Reconciler
from lvsha.desired import target_of
from lvsha.kernel.ipvs import Ipvs
from lvsha.model import Family, Mode, Protocol
from lvsha.overrides import Kind, Override, Selector
from tests.lab import namespace
from tests.lab.network import topology
from tests.lab.wired import wired

CHECK = CheckConfig("tcp", Tcp())


def configuration(services: int, servers: int) -> Config:
    """A table of that size; servers repeat over services as they do in life."""
    made = {}
    for n in range(services):
        vip = IPv4Address("192.0.2.100")
        members = tuple(
            ServerConfig(
                f"rs{m}", IPv4Address(f"10.{n // 250}.{n % 250}.{m + 1}"), 80, Mode.NAT, 1, check=CHECK
            )
            for m in range(servers)
        )
        name = f"s{n}"
        made[name] = ServiceConfig(
            name, Family.IPV4, vip, n + 1, Protocol.TCP, None, Mode.NAT, servers=members
        )
    return Config(NodeConfig("bench"), services=made)


class Heart:
    """Beats every millisecond and notes its longest pause."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        """Beat for ever."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - 0.001)
            last = now


def quiet() -> None:
    """Thousands of events are made as in the daemon, but not shown."""
    log.setup(os.open(os.devnull, os.O_WRONLY), console=False)


async def timed(what: str, heart: Heart, work: Awaitable[object]) -> None:
    """Do something and say how long it took and how long the loop waited meanwhile."""
    await asyncio.sleep(0.01)
    heart.longest = 0.0
    began = time.perf_counter()
    await work
    took = time.perf_counter() - began
    await asyncio.sleep(0.005)
    print(f"{what:44} {took * 1000:9.1f} ms   longest stall {heart.longest * 1000:6.1f} ms", flush=True)


async def measure(services: int, servers: int) -> None:
    """The life of a table: start, quiet look, one server down, one drain, everything by hand away, reload."""
    config = configuration(services, servers)
    heart = Heart()
    beating = asyncio.create_task(heart.beat())
    quiet()
    ipvs = await Ipvs.open()
    with TemporaryDirectory() as directory:
        director, reconciler = wired(config, ipvs, Path(directory), 3600)
        saying = asyncio.create_task(director.run())
        good = checks.Outcome(True, "connected")
        for service in config.services.values():
            for server in service.servers:
                target = target_of(server)
                assert target is not None
                director.report(target, good)
        gc.collect()
        gc.freeze()
        await timed(f"program {services} x {servers}", heart, reconciler.once())
        reconciler.look()
        await timed("look at everything, nothing to do", heart, reconciler.once())
        one = config.services["s7"]
        first = target_of(one.servers[0])
        assert first is not None
        for _ in range(3):
            director.report(first, checks.Outcome(False, "refused"))
        await timed("one server goes down", heart, reconciler.once())
        everywhere = Override(Selector(server="rs3"), Kind.DRAIN)
        await timed(
            f"drain rs3 in all {services} services", heart, draining(director, reconciler, everywhere)
        )
        here = Override(Selector(service="s9", server="rs5"), Kind.DRAIN)
        await timed("drain one server of one service", heart, draining(director, reconciler, here))
        changed = dict(config.services)
        changed["s11"] = replace(one, name="s11", port=11, servers=one.servers[:5])
        reload = reloading(director, reconciler, replace(config, services=changed))
        await timed("reload that changes one service", heart, reload)
        reload = reloading(director, reconciler, replace(config, services={}))
        await timed("reload that removes everything", heart, reload)
        saying.cancel()
    ipvs.close()
    beating.cancel()


async def draining(director: Director, reconciler: Reconciler, override: Override) -> None:
    """From the command to the kernel."""
    director.override(override)
    await reconciler.once()


async def reloading(director: Director, reconciler: Reconciler, config: Config) -> None:
    """From a parsed configuration to the kernel."""
    await director.reconfigure(config)
    await reconciler.once()


def main() -> None:
    """Measure in a namespace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=10)
    options = parser.parse_args()
    print(f"kernel {os.uname().release}, {os.cpu_count()} processor(s)", flush=True)
    with topology(servers=1) as net, namespace.entered(net["lb1"].namespace):
        asyncio.run(measure(options.services, options.servers))


if __name__ == "__main__":
    main()
