"""Flows that a client holds and keeps using, to see what becomes of each when something fails.

    flows = await start_flows(net["client"])
    await flows.hold("udp4", "192.0.2.100", 80, "udp", 10)     # {"rs1": 5, "rs2": 5}
    await flows.mark()
    ...                                                         # something fails
    fates = await flows.settle()                                # each was used again, or has ended
    assert fates["udp4", "rs1"].alive == 5

A flow is a TCP connection, or for UDP a client's port. It is used every few seconds: one line there, the same
line back. UDP loses datagrams and nobody repeats them but the program, so this one does, as a resolver would.
A flow is alive when it is answered by the server that it had, which sees it under the address and port that
it had: for the server a flow of UDP that comes from elsewhere is another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from tests.lab.network import Node
from tests.lab.process import Process, call

Transport = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of flows since the mark. Times are seconds after it."""

    count: int = 0
    alive: int = 0
    """Still answered by the server that they had, which sees them as before."""
    moved: int = 0
    """Answered by another server now."""
    renamed: int = 0
    """Answered by the same server, which sees another client's address or port."""
    ended: Counter[str] = field(default_factory=Counter)
    """Ended ones, by how."""
    pause: float = 0.0
    """The longest that a use waited for its answer."""
    changed: float = 0.0
    """When the last of those that moved, were renamed or ended did so."""

    def __add__(self, other: Fate) -> Fate:
        return Fate(
            self.count + other.count,
            self.alive + other.alive,
            self.moved + other.moved,
            self.renamed + other.renamed,
            self.ended + other.ended,
            max(self.pause, other.pause),
            max(self.changed, other.changed),
        )


Fates = Mapping[tuple[str, str], Fate]
"""By the flows' name and the server that they had at the mark."""


@dataclass(frozen=True, slots=True)
class Flows:
    """A test's hold on the program that holds them."""

    process: Process

    async def hold(
        self, name: str, address: str, port: int, transport: Transport, count: int
    ) -> Counter[str]:
        """Begin some more flows under a name; how many each server has. Raises AssertionError."""
        answer = await self._ask(
            "hold", within=300, name=name, address=address, port=port, transport=transport, count=count
        )
        assert "failure" not in answer, f"{transport} {address}:{port}: {answer['failure']}"
        return Counter(answer["served"])

    async def mark(self) -> None:
        """What becomes of flows counts from here; those that have ended are forgotten."""
        await self._ask("mark")

    async def settle(self, *, within: float = 60) -> Fates:
        """Wait until each flow was answered after this call, or has ended."""
        answer = await self._ask("settle", within=within)
        return {
            (each.pop("name"), each.pop("server")): Fate(**{**each, "ended": Counter(each["ended"])})
            for each in answer["fates"]
        }

    async def ports(self) -> frozenset[tuple[str, str, int]]:
        """The flows that have not ended: transport, address of the service, the client's port."""
        return frozenset((*each,) for each in (await self._ask("ports"))["ports"])

    async def _ask(self, do: str, within: float = 20, **fields: object) -> dict[str, Any]:
        return await self.process.ask({"do": do, **fields}, within=within)


async def start_flows(node: Node, *, period: float = 0.3, again: float = 0.2, patience: float = 20) -> Flows:
    """Start the program on a node.

    `period`: seconds between two uses of a flow; `again`: until a datagram is repeated; `patience`: after
    which a flow without an answer has ended.
    """
    options = (str(period), str(again), str(patience))
    process = await call(node, "tests.lab.flows:serve", *options, channel=True)
    await process.event("ready")
    return Flows(process)


# --- the program --------------------------------------------------------------------------------


class _Line(Protocol):
    """One end of a flow."""

    port: int

    async def ask(self, text: bytes) -> bytes:
        """Send a text and return its answer. Raises OSError or EOFError when that is for ever in vain."""


class _Stream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.port: int = writer.get_extra_info("sockname")[1]

    async def ask(self, text: bytes) -> bytes:
        self._writer.write(text + b"\n")
        return (await self._reader.readuntil(b"\n")).rstrip()


class _Datagrams:
    def __init__(self, sock: socket.socket, again: float) -> None:
        self._sock, self._again = sock, again
        self._loop = asyncio.get_running_loop()
        self.port: int = sock.getsockname()[1]

    async def ask(self, text: bytes) -> bytes:
        while True:
            due = self._loop.time() + self._again
            # A port that is closed for the moment is no end: who sends again may come to another server.
            with contextlib.suppress(TimeoutError, OSError):
                await self._loop.sock_sendall(self._sock, text)
                async with asyncio.timeout_at(due):
                    while True:
                        answer = await self._loop.sock_recv(self._sock, 1500)
                        if answer.endswith(b" " + text):
                            return answer
            await asyncio.sleep(due - self._loop.time())


@dataclass(slots=True)
class _Flow:
    name: str
    transport: Transport
    address: str
    line: _Line
    now: tuple[str, ...] = ()
    """Who answered last: the server, and the address and port that it saw."""
    home: tuple[str, ...] = ()
    """The same at the mark."""
    answered: float = 0.0
    asked: float = 0.0
    """0: waits for no answer."""
    pause: float = 0.0
    changed: float = 0.0
    end: str = ""

    async def use(self, number: int) -> None:
        text = b"%d" % number
        self.asked = time.monotonic()
        server, address, port, _ = (await self.line.ask(text)).decode().split(" ")
        self.answered = time.monotonic()
        self.pause = max(self.pause, self.answered - self.asked)
        self.asked = 0.0
        before, self.now = self.now, (server, address, port)
        if before and before != self.now:
            self.changed = self.answered

    def fate(self, since: float) -> Fate:
        waiting = time.monotonic() - self.asked if self.asked and not self.end else 0.0
        return Fate(
            1,
            alive=int(not self.end and self.now == self.home),
            moved=int(not self.end and self.now[0] != self.home[0]),
            renamed=int(not self.end and self.now[0] == self.home[0] and self.now != self.home),
            ended=Counter([self.end] if self.end else []),
            pause=max(self.pause, waiting),
            changed=max(0.0, self.changed - since),
        )


class _Program:
    def __init__(self, period: float, again: float, patience: float) -> None:
        self._period, self._again, self._patience = period, again, patience
        self._flows: list[_Flow] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._marked = 0.0
        self._news = asyncio.Event()

    async def run(self) -> None:
        print(json.dumps({"event": "ready"}), flush=True)
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0))
        while line := await reader.readline():
            order = json.loads(line)
            answer = await getattr(self, f"do_{order.pop('do')}")(**order)
            writer.write(json.dumps(answer or {}).encode() + b"\n")

    async def do_hold(
        self, name: str, address: str, port: int, transport: Transport, count: int
    ) -> dict[str, Any]:
        served: Counter[str] = Counter()
        for number in range(count):
            try:
                async with asyncio.timeout(self._patience):
                    flow = _Flow(name, transport, address, await self._open(address, port, transport))
                    await flow.use(0)
            except (OSError, EOFError) as error:
                return {"failure": _reason(error)}
            flow.home = flow.now
            served[flow.now[0]] += 1
            self._flows.append(flow)
            self._tasks.add(asyncio.create_task(self._keep(flow, self._period * number / count)))
        return {"served": served}

    async def do_mark(self) -> None:
        self._flows = [flow for flow in self._flows if not flow.end]
        for flow in self._flows:
            flow.home, flow.pause, flow.changed = flow.now, 0.0, 0.0
        self._marked = time.monotonic()

    async def do_settle(self) -> dict[str, Any]:
        since = time.monotonic()
        while not all(flow.end or flow.answered > since for flow in self._flows):
            self._news.clear()
            await self._news.wait()
        fates: dict[tuple[str, str], Fate] = defaultdict(Fate)
        for flow in self._flows:
            fates[flow.name, flow.home[0]] += flow.fate(self._marked)
        return {"fates": [{"name": n, "server": s, **_plain(fate)} for (n, s), fate in fates.items()]}

    async def do_ports(self) -> dict[str, Any]:
        return {"ports": [(f.transport, f.address, f.line.port) for f in self._flows if not f.end]}

    async def _open(self, address: str, port: int, transport: Transport) -> _Line:
        if transport == "tcp":
            return _Stream(*await asyncio.open_connection(address, port))
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((address, port))
        return _Datagrams(sock, self._again)

    async def _keep(self, flow: _Flow, pause: float) -> None:
        """Use a flow until it ends."""
        number = 0
        try:
            while True:
                await asyncio.sleep(pause)
                number, pause = number + 1, self._period
                async with asyncio.timeout(self._patience):
                    await flow.use(number)
                self._news.set()
        except (OSError, EOFError) as error:
            flow.end, flow.changed = _reason(error), time.monotonic()
            self._news.set()


def _plain(fate: Fate) -> dict[str, Any]:
    # dataclasses.asdict() makes another Counter of a Counter.
    return {each.name: getattr(fate, each.name) for each in fields(fate)}


def _reason(error: OSError | EOFError) -> str:
    match error:
        case TimeoutError():
            return "unanswered"
        case ConnectionResetError() | BrokenPipeError():
            return "reset"
        case EOFError():
            return "closed"
    return f"{type(error).__name__}: {error}"


def serve(argv: list[str]) -> None:
    """The process on the node: PERIOD AGAIN PATIENCE."""
    # One descriptor a flow.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    period, again, patience = map(float, argv)
    asyncio.run(_Program(period, again, patience).run())
