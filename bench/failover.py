"""Failover as a client sees it, lvsha beside keepalived: the same network, script and run.

    python -m bench.failover [--rounds N] [--interval 1 --interval 0.1 --interval 0.01]

A client sends a datagram to the virtual address every millisecond; a program on each director answers
it. The master's cable is cut at the front, and the outage is the time between the last answer before
and the first answer after. The cut comes at a given time after an advert, the same times for both, spread
evenly over the interval: when in it a master dies decides more than anything else. Then the cable is
mended and the higher priority takes the address back. Both systems run VRRP version 3 with priorities 200
and 100 and pre-emption, one after the other in every round, so that whatever else the machine does meets
both.

What a system itself is good for shows without that chance in a second figure, the silence: from the master's
last advert to the first gratuitous ARP of the other one, by the kernel's time stamps. The protocol asks for
the master-down interval (three intervals and the skew), and what is more than that is the system's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import selectors
import socket
import statistics
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.director import directing
from tests.lab.network import Network, topology
from tests.lab.process import Process, call, spawn

VIP, PORT = "192.0.2.100", 7
VRRP = 112
ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
"""include/uapi/asm-generic/socket.h."""
IP_FREEBIND = 15
"""include/uapi/linux/in.h: bind to an address that is not here yet."""
LVSHA = """
[nodes.lb1]
priority = 200
[nodes.lb2]
priority = 100
[vrrp.public]
interface = "front"
vrid = 51
interval = "{interval:g}s"
addresses = ["192.0.2.100/24"]
"""
KEEPALIVED = """
global_defs {{
    vrrp_version 3
}}
vrrp_instance public {{
    state BACKUP
    interface front
    virtual_router_id 51
    priority {priority}
    advert_int {interval:g}
    virtual_ipaddress {{
        192.0.2.100/24
    }}
}}
"""


def answer(_: list[str]) -> None:
    """On a director: send every datagram back from the address that it was sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        sock.bind((VIP, PORT))
        print(json.dumps({"event": "answering"}), flush=True)
        while True:
            data, peer = sock.recvfrom(100)
            with contextlib.suppress(OSError):
                sock.sendto(data, peer)


def ask(_: list[str]) -> None:
    """On the client: a datagram every millisecond; a line for each gap over 5 ms, when it has ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, selectors.DefaultSelector() as selector:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        last, due = 0.0, time.monotonic()
        while True:
            for _ready in selector.select(max(0.0, due - time.monotonic())):
                with contextlib.suppress(OSError):
                    sock.recv(100)
                    now = time.monotonic()
                    if last and now - last > 0.005:
                        print(json.dumps({"event": "gap", "seconds": now - last, "end": now}), flush=True)
                    elif not last:
                        print(json.dumps({"event": "answered"}), flush=True)
                    last = now
            if time.monotonic() >= due:
                due = max(due + 0.001, time.monotonic() - 0.01)
                with contextlib.suppress(OSError):
                    sock.sendto(b"x", (VIP, PORT))


def watch(_: list[str]) -> None:
    """On the client's link: a line when somebody else announces the address, with the silence before."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        print(json.dumps({"event": "watching"}), flush=True)
        heard: dict[bytes, float] = {}
        holder = b""
        while True:
            frame, ancillary, _flags, _sender = sock.recvmsg(200, 64)
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            now, source = seconds + nanoseconds / 1e9, frame[6:12]
            if frame[12:14] == b"\x08\x00" and frame[23] == VRRP:
                heard[source] = now
            elif frame[12:14] == b"\x08\x06" and frame[28:32] == socket.inet_aton(VIP) and source != holder:
                if holder in heard:
                    print(json.dumps({"event": "taken", "silence": now - heard[holder]}), flush=True)
                holder = source


@dataclass
class Contestant:
    """One system on a network of its own."""

    name: str
    net: Network
    client: Process
    watcher: Process
    outages: list[float] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)

    async def settle(self, interval: float, holder: str) -> None:
        """Wait until a node alone holds the address, and a little longer."""
        async with asyncio.timeout(30):
            while self._holders() != [holder]:  # noqa: ASYNC110 - keepalived tells nobody
                await asyncio.sleep(interval / 2)
        await asyncio.sleep(4 * interval + 0.2)

    async def round(self, interval: float, phase: float) -> None:
        """Cut the master off at a phase of its interval, see the outage, mend, see the way back."""
        await self.settle(interval, "lb1")
        await self._advert()
        await asyncio.sleep(phase * interval)
        mark = self.watcher.mark()
        self.outages.append(await self._gap(lambda: self.net["lb1"].unplug("front"), interval))
        self.silences.append(float((await self.watcher.event("taken", since=mark))["silence"]))
        self.net["lb1"].plug("front")
        await self.settle(interval, "lb1")

    async def _gap(self, cause: Callable[[], None], interval: float) -> float:
        mark, begun = self.client.mark(), time.monotonic()
        cause()
        async with asyncio.timeout(20 * interval + 20):
            while True:
                gap = await self.client.event("gap", since=mark, within=20 * interval + 20)
                mark = self.client.events.index(gap) + 1
                if gap["end"] - gap["seconds"] > begun - 0.05 and gap["seconds"] > 1.5 * interval:
                    return float(gap["seconds"])

    async def _advert(self) -> None:
        """Return right after an advert of the master."""
        with self.net["client"].entered(), contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP))
            sock.setblocking(False)
            group = socket.inet_aton("224.0.0.18") + socket.inet_aton("192.0.2.10")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            keep = stack.pop_all()
        with keep:
            await asyncio.get_running_loop().sock_recv(sock, 200)

    def _holders(self) -> list[str]:
        return [n for n in ("lb1", "lb2") if VIP in self.net[n].run("ip", "-br", "address", "show", "front")]


@contextlib.asynccontextmanager
async def contestant(name: str, interval: float, directory: Path) -> AsyncIterator[Contestant]:
    """A pair of directors of one system, with a client that asks."""
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=0))
        daemons: list[Process] = []
        for node, priority in (("lb1", 200), ("lb2", 100)):
            process = await call(net[node], "bench.failover:answer")
            await process.event("answering")
            if name == "lvsha":
                config = LVSHA.format(interval=interval)
                await stack.enter_async_context(directing(net[node], config, directory, name=node))
            else:
                home = directory / f"{node}-keepalived"
                home.mkdir()
                (home / "conf").write_text(KEEPALIVED.format(interval=interval, priority=priority))
                pids = [f"--{kind}={home / kind}" for kind in ("pid", "vrrp_pid", "checkers_pid")]
                daemons.append(await spawn(net[node], "keepalived", "-nlPD", "-f", str(home / "conf"), *pids))
        watcher = await call(net["client"], "bench.failover:watch")
        await watcher.event("watching")
        client = await call(net["client"], "bench.failover:ask")
        await client.event("answered", within=60)
        yield Contestant(name, net, client, watcher)
        for daemon in daemons:
            await daemon.stop()


def show(interval: float, contestants: list[Contestant]) -> None:
    """One row a contestant, and the ratio of the medians."""
    down = interval * (3 + (256 - 100) / 256)
    for c in contestants:
        outages = sorted(c.outages)
        over = sorted(silence - down for silence in c.silences)
        print(
            f"{interval * 1000:6.0f} ms adverts  {c.name:11} {len(outages):3} rounds   "
            f"median {statistics.median(outages) * 1000:7.1f} ms   worst {outages[-1] * 1000:7.1f} ms   "
            f"best {outages[0] * 1000:7.1f} ms   "
            f"beyond the master-down interval: median {statistics.median(over) * 1000:6.2f} ms   "
            f"worst {over[-1] * 1000:6.2f} ms",
            file=sys.stderr,
            flush=True,
        )
    ours, theirs = (statistics.median(c.outages) for c in contestants)
    print(f"{'':18} lvsha / keepalived, medians: {ours / theirs:.3f}", file=sys.stderr, flush=True)


async def compare(interval: float, rounds: int) -> None:
    """All rounds at one interval."""
    with TemporaryDirectory() as directory:
        async with contextlib.AsyncExitStack() as stack:
            contestants = [
                await stack.enter_async_context(contestant(name, interval, Path(directory)))
                for name in ("lvsha", "keepalived")
            ]
            for number in range(rounds):
                for c in contestants:
                    await c.round(interval, number / rounds)
            show(interval, contestants)


def main() -> None:
    """Compare at each interval; the table goes to standard error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--interval", type=float, action="append", metavar="SECONDS")
    options = parser.parse_args()
    for interval in options.interval or (1.0, 0.1, 0.01):
        asyncio.run(compare(interval, options.rounds))


if __name__ == "__main__":
    main()
