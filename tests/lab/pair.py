"""Two lvshad on one network with a witness: the stage on which failures are played.

    async with staged(settings, 0.1, tmp_path) as stage:
        stage.kill("lb1", "speaker")
        await stage.alone("lb2")
        stage.line.story(VIP, stage.since, stage.now())

lb1 has the higher priority and is master when the stage is entered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lvsha.config.settings.vrrp import automatic_lease
from tests.lab.clock import set_clock
from tests.lab.director import Director
from tests.lab.network import Network, topology
from tests.lab.process import ROOT, SLOWNESS, Process, spawn, start
from tests.lab.servers import real_server
from tests.lab.speaker import Ears, hearing
from tests.lab.timeline import Timeline, timeline

VIP, GATEWAY, VIP6 = "192.0.2.100", "10.0.1.254", "2001:db8:1::100"
Part = Literal["parent", "speaker", "director"]
HOST = """"$@" & echo "{\\"event\\": \\"hosted\\", \\"pid\\": $!}"; wait; exec sleep 60"""
WHOLE: tuple[Part, ...] = ("parent", "speaker", "director")

NODES = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
"""
LONE = """
[vrrp.public]
interface = "front"
vrid = 51
interval = "{interval:g}s"
addresses = ["192.0.2.100/24"]
{settings}
"""
GROUP = """
[vrrp.public]
interface = "front"
vrid = 51
interval = "{interval:g}s"
group = "site"
addresses = ["192.0.2.100/24"]
[vrrp.public6]
interface = "front"
vrid = 51
interval = "{interval:g}s"
group = "site"
addresses = ["fe80::100/64", "2001:db8:1::100/64"]
[vrrp.gateway]
interface = "back"
vrid = 52
interval = "{interval:g}s"
group = "site"
addresses = ["10.0.1.254/24"]
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """The times that follow from the advertisement interval, in seconds."""

    interval: float

    @property
    def down(self) -> float:
        """After how long without an advert lb2 takes over (RFC 9568, 6.1; its priority is 100)."""
        return 3 * self.interval + self.skew

    @property
    def skew(self) -> float:
        """After how long lb2 takes over from a master that resigned."""
        return (256 - 100) / 256 * self.interval

    @property
    def lease(self) -> float:
        """After how long without renewal the kernel takes an address away."""
        return automatic_lease(self.interval)


class Daemon(Director):
    """A director whose processes can be killed one by one."""

    clock: Path | None = None
    """Where it has a wall clock of its own (`tests.lab.clock`)."""
    hosted = False
    """Run by a shell that outlives it; else what it leaves running is killed with it."""

    async def start(self) -> Process:
        """Start the daemon; it is not ready yet."""
        arguments = ["--config", str(self.file), "--log", "json", "--node", str(self.name)]
        if self.clock is not None:
            self.process = await start(self.node, "tests.lab.clock", str(self.clock), *arguments)
        elif self.hosted:
            program = (sys.executable, "-m", "lvsha", *arguments)
            self.process = await spawn(self.node, "sh", "-c", HOST, "sh", *program, directory=ROOT)
            await self.process.event("hosted")
        else:
            await super().start()
        assert self.process is not None
        return self.process

    def pids(self, parts: Iterable[Part] = WHOLE) -> list[int]:
        """The processes of these parts, as far as they have been started."""
        assert self.process is not None
        started = {each["process"] for each in self.process.events if each["event"] == "process.started"}
        wanted = [part for part in parts if part == "parent" or part in started]
        return [self._parent if part == "parent" else self.pid(part) for part in wanted]

    @property
    def _parent(self) -> int:
        assert self.process is not None
        hosted = [int(each["pid"]) for each in self.process.events if each["event"] == "hosted"]
        return hosted[0] if hosted else self.process.pid


@dataclass
class Stage:
    """The pair, its network, and who watches it."""

    net: Network
    terms: Terms
    daemons: dict[str, Daemon]
    line: Timeline
    ears: Ears
    since: float = 0.0
    """When the failure began; `begin` says so."""
    notes: list[str] = field(default_factory=list)
    """What was measured besides who held the address."""
    marks: dict[str, int] = field(default_factory=dict)

    @property
    def lb1(self) -> Daemon:
        """The master."""
        return self.daemons["lb1"]

    @property
    def lb2(self) -> Daemon:
        """The backup."""
        return self.daemons["lb2"]

    @staticmethod
    def now() -> float:
        """On the clock of the timeline."""
        return time.monotonic()

    def begin(self) -> float:
        """What counts begins here: times, events, adverts."""
        self.marks = {name: len(self._events(name)) for name in self.daemons}
        self.ears.mark()
        self.since = self.now()
        return self.since

    def signal(self, name: str, number: int, *parts: Part) -> None:
        """Send a signal to parts of a daemon (to the whole, unless they are named), the parent first."""
        for pid in self.daemons[name].pids(parts or WHOLE):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self, name: str, *parts: Part) -> None:
        """SIGSTOP."""
        self.signal(name, signal.SIGSTOP, *parts)

    def thaw(self, name: str, *parts: Part) -> None:
        """SIGCONT."""
        self.signal(name, signal.SIGCONT, *parts)

    async def kill_whole(self, name: str) -> None:
        """SIGKILL for all of a daemon's processes in one system call, as when the machine dies."""
        process = self.daemons[name].process
        assert process is not None
        await process.kill()

    async def start(self, *names: str) -> None:
        """Start daemons that have ended, and wait until they are ready."""
        for name in names:
            process = await self.daemons[name].start()
            self.marks[name] = 0
            await process.event("daemon.ready", within=60)

    def holders(self, address: str = VIP) -> frozenset[str]:
        """Who has an address now."""
        return self.line.holders(address, self.now())

    async def until(self, what: str, found: Callable[[], bool], within: float = 15) -> float:
        """Wait for something that nobody tells; when it was found."""
        try:
            async with asyncio.timeout(within * SLOWNESS):
                while not found():  # noqa: ASYNC110 - kernels and logs are read, not asked
                    await asyncio.sleep(0.005)
        except TimeoutError:
            told = self.line.story(VIP, self.since, self.now())
            raise AssertionError(f"not within {within} s: {what}; so far: {told}") from None
        return self.now()

    async def alone(self, *names: str, within: float = 15) -> float:
        """Wait until these nodes hold the address and no other; when that was."""
        wanted = frozenset(names)
        found = await self.until(f"{names} hold it", lambda: self.holders() == wanted, within)
        # By the witness's stamp: on a busy machine it is found later than it was.
        return max((each.at for each in list(self.line.changes) if each.address == VIP), default=found)

    async def quiet(self, seconds: float) -> None:
        """Watch for so long; what must not happen would be seen."""
        await asyncio.sleep(seconds)

    def events(self, name: str, event: str) -> list[dict[str, object]]:
        """Events of a daemon since `begin`."""
        return [each for each in self._events(name)[self.marks[name] :] if each["event"] == event]

    async def event(self, name: str, event: str, within: float = 20, **fields: object) -> None:
        """An event since `begin`: said, or waited for."""
        await self.daemons[name].event(event, since=self.marks[name], within=within, **fields)

    def transitions(self, name: str) -> list[str]:
        """The states that a node's instances went into since `begin`."""
        return [str(each["state"]) for each in self.events(name, "vrrp.state")]

    def adverts(self, name: str, since: float) -> int:
        """Adverts of a node that were heard since a moment."""
        source = str(self.net[name].address("front"))
        return sum(each.source == source and each.at >= since for each in self.ears.heard)

    def note(self, words: str) -> None:
        """Something measured, for the table."""
        self.notes.append(words)

    def _events(self, name: str) -> list[dict[str, object]]:
        process = self.daemons[name].process
        return [] if process is None else process.events


@asynccontextmanager
async def staged(
    instances: str,
    interval: float,
    directory: Path,
    *,
    clocks: bool = False,
    hosted: bool = False,
    servers: int = 0,
) -> AsyncIterator[Stage]:
    """A running pair with this configuration beside the nodes' own.

    With `clocks` each node has a wall clock of its own, with `hosted` what a killed parent leaves lives on.
    """
    config = NODES + instances
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=servers))
        for server in net.servers:
            await real_server(server)
        line = stack.enter_context(timeline(net.directors))
        ears = stack.enter_context(hearing(net["client"]))
        daemons = {name: _daemon(net, name, config, directory, clocks=clocks) for name in ("lb1", "lb2")}
        for daemon in daemons.values():
            daemon.hosted = hosted
            await stack.enter_async_context(_running(daemon))
        stage = Stage(net, Terms(interval), daemons, line, ears)
        await stage.alone("lb1", within=30)
        await stage.lb1.event("role.changed", role="master")
        await stage.lb2.event("vrrp.state", state="backup")
        # The first burst of announcements is no part of what is played.
        stage.begin()
        yield stage


def _daemon(net: Network, name: str, config: str, directory: Path, *, clocks: bool) -> Daemon:
    home = directory / name
    home.mkdir(parents=True, exist_ok=True)
    daemon = Daemon(net[name], home, name)
    daemon.write(config)
    if clocks:
        daemon.clock = home / "clock"
        set_clock(daemon.clock, 0.0)
    return daemon


@asynccontextmanager
async def _running(daemon: Daemon) -> AsyncIterator[None]:
    process = await daemon.start()
    try:
        await process.event("daemon.ready", within=60)
        yield
    finally:
        if daemon.process is not None and daemon.process.status is None:
            # What is frozen does not stop.
            for pid in daemon.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            await daemon.process.stop()
