"""Real servers for a test network: each says its name, counts, and fails in the way it is told to.

    rs1 = await real_server(net["rs1"])
    await rs1.answer(status=503)                 # or delay=2, hang=True
    await rs1.close("http")                      # nobody listens any more: connections are refused
    assert (await rs1.counts())["http"] == 0

One process on a node serves all of it, over IPv4 and IPv6:

    http  any path     answered with the server's name; headers X-Server (it), X-Client (the peer's address)
          /download    `?bytes=N&seconds=S`: N bytes, spread over S seconds
    tcp   each line is answered with `NAME ADDRESS PORT LINE`: the server's name and the peer that it sees
    udp   each datagram, likewise
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.lab.network import Node
from tests.lab.process import Process, call

Service = Literal["http", "tcp", "udp"]
HTTP, TCP, UDP = 8080, 7007, 7007
"""Default ports."""
_PKTINFO = 20
"""Size of struct in6_pktinfo."""
_MAPPED = "::ffff:"
"""An IPv4 address on a socket of IPv6 begins with it."""


@dataclass(frozen=True, slots=True)
class RealServer:
    """A test's hold on a running server."""

    name: str
    process: Process

    async def answer(
        self, *, status: int = 200, body: str | None = None, delay: float = 0, hang: bool = False
    ) -> None:
        """How HTTP requests are answered from now on; `delay` in seconds, `hang`: never."""
        await self._ask("answer", status=status, body=body, delay=delay, hang=hang)

    async def close(self, service: Service) -> None:
        """Stop listening, and break what is connected, as a crash would."""
        await self._ask("close", service=service)

    async def open(self, service: Service) -> None:
        """Listen again."""
        await self._ask("open", service=service)

    async def counts(self) -> Counter[str]:
        """Requests since the start by service, and accepted connections as `tcp-connections`."""
        return Counter((await self._ask("counts"))["counts"])

    async def _ask(self, do: str, **fields: object) -> dict[str, Any]:
        return await self.process.ask({"do": do, **fields})


async def real_server(node: Node, *, http: int = HTTP, tcp: int = TCP, udp: int = UDP) -> RealServer:
    """Start a server on a node; it listens when this returns."""
    process = await call(
        node, "tests.lab.servers:serve", node.name, str(http), str(tcp), str(udp), channel=True
    )
    await process.event("listening")
    return RealServer(node.name, process)


# --- the program --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Answer:
    status: int = 200
    body: str | None = None
    delay: float = 0
    hang: bool = False


@dataclass(slots=True)
class _Server:
    """What runs on the node."""

    name: str
    ports: dict[Service, int]
    counts: Counter[str] = field(default_factory=Counter)
    answer: _Answer = field(default_factory=_Answer)
    stacks: dict[Service, contextlib.AsyncExitStack] = field(default_factory=dict)

    async def run(self) -> None:
        """Listen, then obey the channel until it is closed."""
        for service in self.ports:
            await self.open(service)
        print(json.dumps({"event": "listening"}), flush=True)
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0))
        while line := await reader.readline():
            reply = await self.obey(json.loads(line))
            writer.write(json.dumps(reply).encode() + b"\n")

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order of the test."""
        match order.pop("do"):
            case "answer":
                self.answer = _Answer(**order)
            case "close":
                await self.stacks.pop(order["service"]).aclose()
            case "open":
                await self.open(order["service"])
            case "counts":
                return {"counts": self.counts}
        return {}

    async def open(self, service: Service) -> None:
        """Listen for one service."""
        stack = self.stacks[service] = contextlib.AsyncExitStack()
        match service:
            case "http":
                await self._open_http(stack)
            case "tcp":
                await self._open_tcp(stack)
            case "udp":
                await self._open_udp(stack)

    async def _open_http(self, stack: contextlib.AsyncExitStack) -> None:
        application = web.Application()
        application.router.add_get("/download", self._download)
        application.router.add_route("*", "/{path:.*}", self._http)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, _listener(self.ports["http"])).start()

    async def _open_tcp(self, stack: contextlib.AsyncExitStack) -> None:
        writers: set[asyncio.StreamWriter] = set()

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.counts["tcp-connections"] += 1
            writers.add(writer)
            peer = _plain(writer.get_extra_info("peername"))
            with contextlib.suppress(OSError):
                while line := await reader.readline():
                    self.counts["tcp"] += 1
                    writer.write(f"{self.name} {peer} ".encode() + line)
            writers.discard(writer)
            writer.close()

        server = await asyncio.start_server(converse, sock=_listener(self.ports["tcp"]))

        def stop() -> None:
            server.close()
            for writer in writers:
                writer.transport.abort()

        stack.callback(stop)

    async def _open_udp(self, stack: contextlib.AsyncExitStack) -> None:
        answering = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        answering.setblocking(False)
        answering.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # An answer comes from the address that was asked, which need not be the interface's own.
        answering.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        answering.bind(("::", self.ports["udp"]))
        loop = asyncio.get_running_loop()
        loop.add_reader(answering, self._datagram, answering)
        stack.callback(loop.remove_reader, answering)

    def _datagram(self, answering: socket.socket) -> None:
        try:
            data, asked, _, peer = answering.recvmsg(2048, socket.CMSG_SPACE(_PKTINFO))
        except OSError:  # an ICMP error of an earlier answer, or a checksum that was wrong
            return
        self.counts["udp"] += 1
        answer = f"{self.name} {_plain(peer)} ".encode() + data
        with contextlib.suppress(OSError):
            # By whichever interface leads there: struct in6_pktinfo (include/uapi/linux/ipv6.h).
            info = [(level, kind, value[:16] + bytes(4)) for level, kind, value in asked]
            answering.sendmsg([answer], info, 0, peer)

    async def _http(self, request: web.Request) -> web.Response:
        self.counts["http"] += 1
        answer = self.answer
        if answer.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(answer.delay)
        headers = {"X-Server": self.name, "X-Client": (request.remote or "").removeprefix(_MAPPED)}
        body = self.name if answer.body is None else answer.body
        return web.Response(status=answer.status, text=body, headers=headers)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self.counts["http"] += 1
        left, seconds = int(request.query["bytes"]), float(request.query["seconds"])
        response = web.StreamResponse(headers={"X-Server": self.name, "Content-Length": str(left)})
        await response.prepare(request)
        piece = max(1, left // 100)
        while left > 0:
            await response.write(bytes(min(piece, left)))
            left -= piece
            await asyncio.sleep(seconds / 100)
        return response


def _listener(port: int) -> socket.socket:
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)


def _plain(peer: tuple[Any, ...]) -> str:
    return f"{peer[0].removeprefix(_MAPPED)} {peer[1]}"


def serve(argv: list[str]) -> None:
    """The process on the node: NAME HTTP-PORT TCP-PORT UDP-PORT."""
    name, http, tcp, udp = argv
    asyncio.run(_Server(name, {"http": int(http), "tcp": int(tcp), "udp": int(udp)}).run())
