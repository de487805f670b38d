"""How many checks one process does, and what other ways of making them would cost.

    python bench/probes.py [--count 1000] [--parallel 50] [--loop asyncio|uvloop] [--only NAME]...

A server in a process of its own answers on loopback. Each way makes `count` checks, `parallel` at a
time, each under its own deadline as the monitor does it. `cpu` is this process's own time, so the
figures hold on a busy machine too; `wall` is what the two processes needed together.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import httptools
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import checks
from checks.http import Http, Https
from checks.ping import Ping
from checks.script import Script
from checks.tcp import Tcp
from checks.tls import Tls

ANSWER = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
ADDRESS = "127.0.0.1"

Ways = dict[str, Callable[[], Awaitable[bool]]]


class Answer(asyncio.Protocol):
    """Answers the first thing it receives, and closes."""

    def connection_made(self, transport: Any) -> None:
        """A client is there."""
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        """A request, whole: it is small."""
        self.transport.write(ANSWER)
        self.transport.close()


def serve(pipe: Connection, certificate: str) -> None:
    """The server's process."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        clear = await loop.create_server(Answer, ADDRESS, 0, backlog=1024)
        tls = await loop.create_server(Answer, ADDRESS, 0, ssl=context, backlog=1024)
        pipe.send([server.sockets[0].getsockname()[1] for server in (clear, tls)])
        await asyncio.Event().wait()

    uvloop.run(main())


def certificate(path: Path) -> None:
    """A self-signed certificate for the server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(ADDRESS))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    path.write_bytes(secret + signed.public_bytes(pem))


def product(check: checks.Check, port: int) -> Callable[[], Awaitable[bool]]:
    """One of the project's own checks."""

    async def once() -> bool:
        outcome = await checks.run(check, ADDRESS, port, 5)
        assert outcome.ok, outcome.detail
        return True

    return once


def aiohttp_each(url: str) -> Callable[[], Awaitable[bool]]:
    """By aiohttp with a session a check."""

    async def once() -> bool:
        async with asyncio.timeout(5), aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200 and bool(await response.content.read(65536))

    return once


def aiohttp_shared(url: str) -> Callable[[], Awaitable[bool]]:
    """By aiohttp with one session, a connection a check."""
    sessions: list[aiohttp.ClientSession] = []

    async def once() -> bool:
        if not sessions:
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
            sessions.append(aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()))
        async with asyncio.timeout(5), sessions[0].get(url, allow_redirects=False) as response:
            return response.status == 200 and bool(await response.content.read(65536))

    return once


class Parsed:
    """The least that httptools needs."""

    def __init__(self) -> None:
        self.done = False

    def on_message_complete(self) -> None:
        """The end."""
        self.done = True


def streams(port: int) -> Callable[[], Awaitable[bool]]:
    """By asyncio's streams and httptools."""

    async def once() -> bool:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(ADDRESS, port)
            writer.write(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            parsed = Parsed()
            parser = httptools.HttpResponseParser(parsed)
            while not parsed.done:
                parser.feed_data(await reader.read(65536))
            writer.close()
            await writer.wait_closed()
            return parser.get_status_code() == 200

    return once


def ways(clear: int, tls: int, ca: str) -> Ways:
    """What is compared."""
    return {
        "tcp connect": product(Tcp(), clear),
        "tcp send, expect": product(Tcp(send="x", expect="ok"), clear),
        "http": product(Http(), clear),
        "http, body regex": product(Http(body="ok"), clear),
        "https, verified": product(Https(tls=Tls(ca=ca)), tls),
        "ping": product(Ping(), 0),
        "script /bin/true": product(Script(command=("/bin/true",)), 0),
        "aiohttp, session a check": aiohttp_each(f"http://{ADDRESS}:{clear}/"),
        "aiohttp, shared session": aiohttp_shared(f"http://{ADDRESS}:{clear}/"),
        "asyncio streams, httptools": streams(clear),
    }


async def measure(once: Callable[[], Awaitable[bool]], count: int, parallel: int) -> tuple[float, float]:
    """CPU and wall seconds of so many checks, all of which must succeed."""
    todo = iter(range(count))

    async def work(todo: Iterator[int]) -> None:
        for _ in todo:
            assert await once(), "a check failed"

    await once()
    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(parallel):
            group.create_task(work(todo))
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure each way and print a line for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    run = uvloop.run if options.loop == "uvloop" else asyncio.run
    with tempfile.TemporaryDirectory() as directory:
        pem = Path(directory, "bench.pem")
        certificate(pem)
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, str(pem)))
        server.start()
        try:
            clear, tls = here.recv()
            print(f"{options.count} checks, {options.parallel} at a time, {options.loop}")
            print(f"{'':28}{'cpu us/check':>14}{'checks/s of cpu':>17}{'checks/s wall':>15}")
            for name, once in ways(clear, tls, str(pem)).items():
                if options.only and name not in options.only:
                    continue
                cpu, wall = run(measure(once, options.count, options.parallel))
                each, by_cpu, by_wall = cpu / options.count * 1e6, options.count / cpu, options.count / wall
                print(f"{name:28}{each:14.0f}{by_cpu:17.0f}{by_wall:15.0f}")
        finally:
            server.kill()
            server.join()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
