"""A speaker on a node of a test network, with a small director of its own, and ears on the wire.

async with speaking(net["lb1"], tmp_path) as lb1:
    await lb1.configure(instance(priority=200))
    await lb1.become(State.MASTER)

The director says what a real one says: the instances and `Ready` on every connection, a beat every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any, TypeVar

from lvsha.errors import UnavailableError
from lvsha.kernel.watch import AddressChanged, AddressGone, Watch
from lvsha.speaker.link import Connected, Disconnected, SpeakerLink
from lvsha.speaker.messages import (
    Beat,
    Command,
    Configure,
    Event,
    InstanceStatus,
    Ready,
    Reply,
    RoleChange,
    State,
    Status,
    StatusReport,
)
from lvsha.speaker.spec import InstanceSpec, VirtualAddress
from lvsha.wire.advert import AdvertSocket
from tests.lab.network import Node
from tests.lab.process import SLOWNESS, Process, start

Found = TypeVar("Found")
VIP = "192.0.2.100/24"
PATIENCE = 10.0
"""Seconds that anything is waited for natively; in a guest all waits are longer by its slowness."""
SIOCGSTAMPNS = 0x8907
"""include/uapi/asm-generic/sockios.h: answered by sock_gettstamp() in net/core/sock.c."""
_TIMESPEC = struct.Struct("@qq")


def instance(*vips: str, **settings: Any) -> InstanceSpec:
    """An instance on the wire `front`, with an interval of 0.1 s, unless told otherwise."""
    addresses = tuple(VirtualAddress(ip_interface(vip), "front") for vip in vips or (VIP,))
    usual: dict[str, Any] = {"name": "public", "interface": "front", "vrid": 51, "interval": 0.1, "lease": 3}
    return InstanceSpec(**(usual | {"addresses": addresses} | settings))


class Speaking:
    """One speaker and its director."""

    def __init__(self, node: Node, runtime: Path) -> None:
        self.node = node
        self.runtime = runtime
        self.link = SpeakerLink(runtime / "speaker.sock", retry=0.01)
        self.roles: list[RoleChange] = []
        self.events: list[Event] = []
        self.process: Process | None = None
        self.ready = True
        """Whether the director says that it is."""
        self.beats = True
        self._configure: Configure | None = None
        self._news = asyncio.Event()
        self._connections = 0

    @property
    def pid(self) -> int:
        """The speaker's process."""
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Start the process and wait for its socket."""
        seen = self._connections
        self.process = await start(self.node, "lvsha.speaker", "--runtime", str(self.runtime))
        await self._until(lambda: self._connections > seen or None)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process is not None
        await self.process.kill()

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        return await self.process.stop()

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self.process is not None
        self.process.signal(signal.SIGSTOP)

    async def stopped(self) -> None:
        """SIGSTOP, and wait until it has stopped."""
        self.freeze()
        async with asyncio.timeout(PATIENCE * SLOWNESS):
            while _state(self.pid) != "T":  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.signal(signal.SIGCONT)

    async def configure(self, *specs: InstanceSpec, grace: float = 30.0, serve: bool = False) -> Reply:
        """Have these instances, and no others, from now on; `serve`: the directors are servers as well."""
        self._configure = Configure(node=self.node.name, instances=specs, grace=grace, directors_serve=serve)
        answer = await self.ask(self._configure)
        if self.ready:
            await self.ask(Ready())
        return answer

    async def ask(self, command: Command, within: float = PATIENCE) -> Reply:
        """Say something; the reply."""
        answer = await self.link.ask(command, within=within * SLOWNESS)
        assert isinstance(answer, Reply)
        return answer

    async def report(self) -> StatusReport:
        """All that the speaker knows."""
        answer = await self.link.ask(Status(), within=PATIENCE * SLOWNESS)
        assert isinstance(answer, StatusReport)
        return answer

    async def status(self, name: str = "public") -> InstanceStatus:
        """One instance as it stands."""
        return next(each for each in (await self.report()).instances if each.name == name)

    async def become(self, state: State, name: str = "public", within: float = PATIENCE) -> RoleChange:
        """Wait until the last that was said of an instance is this state."""

        def last() -> RoleChange | None:
            known = [role for role in self.roles if role.instance == name]
            return known[-1] if known and known[-1].state is state else None

        return await self._until(last, within)

    async def event(self, name: str, since: int = 0, within: float = PATIENCE, **fields: object) -> Event:
        """An event with these fields: already said, or waited for."""

        def find() -> Event | None:
            said = (each for each in self.events[since:] if each.event == name)
            return next((each for each in said if fields.items() <= each.fields.items()), None)

        return await self._until(find, within)

    def holds(self, vip: str = VIP) -> bool:
        """Whether the kernel has an address."""
        shown = self.node.run("ip", "-o", "address", "show", "dev", "front")
        return f" {vip} " in shown

    async def run(self) -> None:
        """Be the director."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.link.run())
            tasks.create_task(self._beat())
            async for message in self.link.messages():
                match message:
                    case Connected():
                        tasks.create_task(self._tell())
                    case RoleChange():
                        self.roles.append(message)
                    case Event():
                        self.events.append(message)
                    case Disconnected():
                        pass
                self._news.set()

    async def _tell(self) -> None:
        with contextlib.suppress(UnavailableError):
            if self._configure is not None:
                await self.ask(self._configure)
                if self.ready:
                    await self.ask(Ready())
            self._connections += 1
            self._news.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            if self.beats and self.link.connected:
                with contextlib.suppress(UnavailableError):
                    await self.link.send(Beat())

    async def _until(self, look: Callable[[], Found | None], within: float = PATIENCE) -> Found:
        try:
            async with asyncio.timeout(within * SLOWNESS):
                while (found := look()) is None:
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            said = "\n".join(map(str, [*self.roles, *self.events]))
            words = "\n".join(self.process.errors + self.process.output) if self.process else ""
            raise AssertionError(
                f"{self.node}: not within {within} s; what was said:\n{said}\n{words}"
            ) from None


def _state(pid: int) -> str:
    """How the kernel calls the state of a process (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@asynccontextmanager
async def speaking(node: Node, directory: Path) -> AsyncIterator[Speaking]:
    """A running speaker with its director; killed at the end, if it still runs."""
    made = Speaking(node, directory / node.name)
    director = asyncio.create_task(made.run(), name=f"director of {node}")
    try:
        await made.start()
        yield made
    finally:
        if made.process is not None and made.process.status is None:
            made.thaw()
            await made.process.kill()
        director.cancel()
        await asyncio.gather(director, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Heard:
    """An advert on the wire."""

    at: float
    """When it came, on the monotonic clock: by the kernel, for whoever reads it may be held up."""
    source: str
    priority: int
    payload: bytes = field(repr=False)


class Ears:
    """Every multicast advert of one family that a node hears."""

    def __init__(self, node: Node, family: int = 4, interface: str = "front") -> None:
        with node.entered():
            self._socket = AdvertSocket(interface, socket.if_nametoindex(interface), family)
        self._arrival()
        self._socket.listen(range(1, 256))
        self.heard: list[Heard] = []

    @property
    def sources(self) -> list[str]:
        """Who was master, one after another: sources of adverts other than resignations, without repeats."""
        names = [each.source for each in self.heard if each.priority]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def mark(self) -> None:
        """Forget what was heard until now."""
        self.heard.clear()

    async def next(self, within: float = PATIENCE, **wanted: object) -> Heard:
        """The next advert with these fields, not among those heard until now."""
        begin = len(self.heard)
        async with asyncio.timeout(within * SLOWNESS):
            while True:
                for each in self.heard[begin:]:
                    if all(getattr(each, name) == value for name, value in wanted.items()):
                        return each
                begin = len(self.heard)
                await asyncio.sleep(0.002)

    def _read(self) -> None:
        while True:
            try:
                datagram = self._socket.receive()
            except BlockingIOError:
                return
            if datagram is not None and len(datagram.payload) >= 8:
                payload = datagram.payload
                self.heard.append(Heard(self._arrival(), str(datagram.source), payload[2], payload))

    def _arrival(self) -> float:
        """When the packet came that was read last; the first question makes the kernel note it."""
        try:
            stamp = fcntl.ioctl(self._socket.fileno(), SIOCGSTAMPNS, bytes(_TIMESPEC.size))
        except FileNotFoundError:
            return time.monotonic()
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        return time.monotonic() - (time.time() - float(seconds + nanoseconds / 1e9))

    def open(self) -> None:
        """Begin to hear."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Hear no more."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()


@contextmanager
def hearing(node: Node, family: int = 4, interface: str = "front") -> Iterator[Ears]:
    """Ears while the block runs; needs a running event loop."""
    ears = Ears(node, family, interface)
    ears.open()
    try:
        yield ears
    finally:
        ears.close()


class Comings:
    """Addresses that came to a node and went, in order."""

    def __init__(self, node: Node) -> None:
        with node.entered():
            self._watch = Watch()

    def read(self) -> list[tuple[str, str]]:
        """`("came" or "went", address)` since the last call; a renewal is no coming."""
        found: list[tuple[str, str]] = []
        for change in self._watch.receive():
            if isinstance(change, AddressChanged):
                found.append(("came", str(change.held.place.address)))
            elif isinstance(change, AddressGone):
                found.append(("went", str(change.held.place.address)))
        return found

    async def went(self, address: str, within: float = PATIENCE) -> None:
        """Wait until an address goes."""
        async with asyncio.timeout(within * SLOWNESS):
            while ("went", address) not in self.read():
                await self._news()

    async def _news(self) -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._watch.fileno(), told.set)
        try:
            await told.wait()
        finally:
            loop.remove_reader(self._watch.fileno())

    def close(self) -> None:
        """Watch no more."""
        self._watch.close()


@contextmanager
def watching(node: Node) -> Iterator[Comings]:
    """Watch a node's addresses while the block runs."""
    comings = Comings(node)
    try:
        yield comings
    finally:
        comings.close()


Pair = tuple[Speaking, Speaking]
HIGH, LOW = instance(priority=200), instance(priority=100)


async def elect(pair: Pair) -> None:
    """lb1 is master, lb2 backup."""
    lb1, lb2 = pair
    await lb1.configure(HIGH)
    await lb2.configure(LOW)
    await lb1.become(State.MASTER)
    await lb2.become(State.BACKUP)
    await lb1.event("vip.added")
