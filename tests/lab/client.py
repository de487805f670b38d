"""A client on a test network: it keeps asking and counting, and holds connections to see whether they live.

client = await start_client(net["client"])
await client.load("192.0.2.100", 80)                 # an HTTP request every 10 ms from now on
held = await client.hold("192.0.2.100", 7007, 20)    # {"rs1": 10, "rs2": 10}
...                                                  # fail something over
assert await client.alive() == 20
report = await client.finish()
assert report.longest_gap < 1 and not report.failures
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tests.lab.network import Node
from tests.lab.process import Process, call

Kind = Literal["http", "tcp", "udp"]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the requests of a load."""

    served: Counter[str]
    """Answers by server."""
    failures: Counter[str]
    """Failed requests by reason."""
    longest_gap: float
    """Longest time in seconds without an answer, from the start of the load to the report."""
    slowest: float
    """Seconds that the slowest answer took."""
    troubled: float = 0
    """Seconds from the start of the load until the last request that failed was begun."""

    @property
    def total(self) -> int:
        """All requests that have ended."""
        return self.served.total() + self.failures.total()


@dataclass(frozen=True, slots=True)
class Served:
    """An answer."""

    server: str
    """The name of the server that gave it."""
    seen: str
    """The client's address as the server saw it."""


@dataclass(frozen=True, slots=True)
class Client:
    """A test's hold on a running client."""

    process: Process

    async def ask(self, address: str, port: int, kind: Kind = "http", *, patience: float = 5) -> str:
        """One request; the name of the server that answered. Raises AssertionError when none did."""
        return (await self.served(address, port, kind, patience=patience)).server

    async def served(
        self, address: str, port: int, kind: Kind = "http", *, source: str | None = None, patience: float = 5
    ) -> Served:
        """One request, from an address of the client's; who answered, and whom it saw.

        Raises AssertionError when nobody did.
        """
        answer = await self._ask(
            "ask", patience + 5, address=address, port=port, kind=kind, source=source, patience=patience
        )
        assert "failure" not in answer, f"{kind} {address}:{port}: {answer['failure']}"
        return Served(**answer)

    async def load(
        self, address: str, port: int, kind: Kind = "http", *, interval: float = 0.01, patience: float = 1
    ) -> None:
        """A new connection with a request every `interval` seconds; unanswered for `patience`: failed."""
        await self._ask("load", address=address, port=port, kind=kind, interval=interval, patience=patience)

    async def report(self) -> Report:
        """The load's account so far."""
        return _report(await self._ask("report"))

    async def finish(self) -> Report:
        """End the load, let its last requests end, and return its account."""
        return _report(await self._ask("finish", 30))

    async def hold(
        self, address: str, port: int, count: int, *, source: str | None = None, source_port: int = 0
    ) -> Counter[str]:
        """Open connections to an echo server, use each once, and keep them; how many each server has.

        They come from `source`, and from `source_port` and the ports that follow it (0: any).
        """
        answer = await self._ask(
            "hold", 60, address=address, port=port, count=count, source=source, source_port=source_port
        )
        return Counter(answer["served"])

    async def alive(self, *, patience: float = 5, size: int = 5) -> int:
        """How many held connections still answer, each from the server that it began with.

        `size`: bytes that are sent there and back over each of them.
        """
        return int((await self._ask("alive", patience + 5, patience=patience, size=size))["alive"])

    async def release(self) -> None:
        """Close the held connections."""
        await self._ask("release")

    async def _ask(self, do: str, within: float = 10, **fields: object) -> dict[str, Any]:
        return await self.process.ask({"do": do, **fields}, within=within)


async def start_client(node: Node) -> Client:
    """Start a client on a node."""
    process = await call(node, "tests.lab.client:serve", channel=True)
    await process.event("ready")
    return Client(process)


def _report(answer: dict[str, Any]) -> Report:
    served, failures = Counter(answer["served"]), Counter(answer["failures"])
    return Report(served, failures, answer["longest_gap"], answer["slowest"], answer["troubled"])


# --- the program --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Account:
    start: float
    served: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    last: float = 0
    gap: float = 0
    slowest: float = 0
    troubled: float = 0

    def failed(self, reason: str, begun: float) -> None:
        self.failures[reason] += 1
        self.troubled = max(self.troubled, begun - self.start)

    def answered(self, server: str, begun: float, now: float) -> None:
        self.served[server] += 1
        self.gap = max(self.gap, now - (self.last or self.start))
        self.last = now
        self.slowest = max(self.slowest, now - begun)

    def report(self, now: float) -> dict[str, Any]:
        gap = max(self.gap, now - (self.last or self.start))
        return {
            "served": self.served,
            "failures": self.failures,
            "longest_gap": gap,
            "slowest": self.slowest,
            "troubled": self.troubled,
        }


class _Program:
    """What runs on the node."""

    def __init__(self) -> None:
        self._account = _Account(time.monotonic())
        self._load: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._held: list[tuple[str, Streams]] = []

    async def run(self) -> None:
        print(json.dumps({"event": "ready"}), flush=True)
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0))
        while line := await reader.readline():
            order = json.loads(line)
            answer = await getattr(self, f"do_{order.pop('do')}")(**order)
            writer.write(json.dumps(answer or {}).encode() + b"\n")

    async def do_ask(
        self, address: str, port: int, kind: str, source: str | None, patience: float
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience):
                return asdict(await _REQUESTS[kind](address, port, source))
        except (OSError, EOFError, ValueError) as error:
            return {"failure": _reason(error)}

    async def do_load(self, address: str, port: int, kind: str, interval: float, patience: float) -> None:
        self._account = _Account(time.monotonic())
        self._load = asyncio.create_task(
            self._keep_asking(_REQUESTS[kind], address, port, interval, patience)
        )

    async def do_report(self) -> dict[str, Any]:
        return self._account.report(time.monotonic())

    async def do_finish(self) -> dict[str, Any]:
        assert self._load is not None
        self._load.cancel()
        report_at = time.monotonic()
        await asyncio.gather(*self._requests)
        return self._account.report(max(report_at, self._account.last))

    async def do_hold(
        self, address: str, port: int, count: int, source: str | None, source_port: int
    ) -> dict[str, Any]:
        served: Counter[str] = Counter()
        for number in range(count):
            local = _local(address, source, source_port + number if source_port else 0)
            streams = await asyncio.open_connection(address, port, local_addr=local)
            server = (await _echo(streams)).server
            served[server] += 1
            self._held.append((server, streams))
        return {"served": served}

    async def do_alive(self, patience: float, size: int) -> dict[str, Any]:
        async def lives(server: str, streams: Streams) -> bool:
            try:
                async with asyncio.timeout(patience):
                    return (await _echo(streams, b"hello".ljust(size, b"."))).server == server
            except (OSError, EOFError, ValueError):
                return False

        return {"alive": sum(await asyncio.gather(*(lives(*held) for held in self._held)))}

    async def do_release(self) -> None:
        for _, (_, writer) in self._held:
            writer.close()
        self._held.clear()

    async def _keep_asking(
        self, request: Request, address: str, port: int, interval: float, patience: float
    ) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(self._ask(request, address, port, patience))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
            # By the clock, so that a slow guest still asks as often as it can and no oftener.
            due = max(due + interval, time.monotonic() - 1)
            await asyncio.sleep(due - time.monotonic())

    async def _ask(self, request: Request, address: str, port: int, patience: float) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                server = (await request(address, port, None)).server
        except (OSError, EOFError, ValueError) as error:
            self._account.failed(_reason(error), begun)
        else:
            self._account.answered(server, begun, time.monotonic())


Request = Callable[[str, int, str | None], Awaitable[Served]]
"""One exchange with a server at an address and port, from an address."""


def _local(address: str, source: str | None, port: int = 0) -> tuple[str, int] | None:
    if source is None and not port:
        return None
    return source or ("::" if ":" in address else "0.0.0.0"), port


async def _http(address: str, port: int, source: str | None) -> Served:
    reader, writer = await asyncio.open_connection(address, port, local_addr=_local(address, source))
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        head, _, _ = (await reader.read()).partition(b"\r\n\r\n")
        status, *headers = head.decode().split("\r\n")
        if " 200 " not in status:
            raise ValueError(status)
        fields = dict(line.split(": ", 1) for line in headers)
        return Served(fields["X-Server"], fields["X-Client"])
    finally:
        writer.close()


async def _tcp(address: str, port: int, source: str | None) -> Served:
    streams = await asyncio.open_connection(address, port, local_addr=_local(address, source))
    try:
        return await _echo(streams)
    finally:
        streams[1].close()


async def _echo(streams: Streams, text: bytes = b"hello") -> Served:
    reader, writer = streams
    writer.write(text + b"\n")
    name, seen, _, echo = (await reader.readuntil(b"\n")).split(b" ")
    if echo != text + b"\n":
        raise ValueError(f"strange echo {echo[:50]!r}")
    return Served(name.decode(), seen.decode())


async def _udp(address: str, port: int, source: str | None) -> Served:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.bind(_local(address, source) or ("", 0))
        await loop.sock_connect(asking, (address, port))
        await loop.sock_sendall(asking, b"hello")
        name, seen, _, _ = (await loop.sock_recv(asking, 1500)).decode().split(" ")
        return Served(name, seen)


_REQUESTS: dict[str, Request] = {"http": _http, "tcp": _tcp, "udp": _udp}


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def serve(argv: list[str]) -> None:
    """The process on the node."""
    asyncio.run(_Program().run())
