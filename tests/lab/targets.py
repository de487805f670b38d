"""Real servers on loopback for the checks to probe: well behaved, badly behaved, with TLS, and OpenSSH."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from checks import Check, Outcome, run

LOOPBACK = "127.0.0.1"

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[int]]
"""`port = await serve(conversation)`"""
Answer = Callable[[bytes], Iterable[bytes]]
Probe = Callable[..., Coroutine[Any, Any, Outcome]]
by_command = pytest.mark.asyncio(loop_factories=["asyncio"])
"""The probe is a process of its own with a loop of its own: once is enough."""


class Servers:
    """Listening sockets and the conversations on them, in a thread and loop of their own.

    Apart from the probes, so that whatever task is left in the tests' loop is a probe's.
    """

    def __init__(self) -> None:
        # asyncio's own, as of 3.11, leaves a TLS transport open now and then when its client has gone.
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._servers: list[asyncio.Server | asyncio.DatagramTransport] = []
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def serve(
        self, talk: Conversation, *, context: ssl.SSLContext | None = None, address: str = LOOPBACK
    ) -> int:
        """Listen, with one conversation for each client; returns the port."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    await talk(reader, writer)
            finally:
                writer.close()

        async def listen() -> int:
            server = await asyncio.start_server(accept, address, 0, ssl=context)
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(listen(), self._loop))

    async def serve_udp(self, answer: Answer, *, address: str = LOOPBACK, port: int = 0) -> int:
        """Answer each datagram with those that `answer` makes of it; returns the port."""

        class Talk(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                for datagram in answer(data):
                    self.transport.sendto(datagram, addr)

        async def listen() -> int:
            transport, _ = await self._loop.create_datagram_endpoint(Talk, local_addr=(address, port))
            self._servers.append(transport)
            return int(transport.get_extra_info("sockname")[1])

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(listen(), self._loop))

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        await self._settle()  # sockets just accepted get their conversations, which close them
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._settle()

    async def _settle(self) -> None:
        """What is due in this round of the loop and the next few."""
        for _ in range(10):
            await asyncio.sleep(0)

    def close(self) -> None:
        """End every conversation and stop listening."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def outcome_of(check: Check, talk: Conversation) -> Outcome:
    """What a check finds of a server with that conversation, in a loop of its own: for property tests."""
    servers = Servers()

    async def once() -> Outcome:
        return await run(check, LOOPBACK, await servers.serve(talk), 5)

    try:
        return asyncio.run(once())
    finally:
        servers.close()


def connections_to(port: int) -> int:
    """How many of this process's sockets are connected to that port."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # not a socket, or not connected
            if stat.S_ISSOCK(entry.stat().st_mode):
                with socket.socket(fileno=os.dup(int(entry.name))) as sock:
                    peer = sock.getpeername()
                    count += len(peer) > 1 and peer[1] == port
    return count


@dataclass(frozen=True)
class Pki:
    """An authority and the certificates it made, each with its key in one PEM file."""

    authority: str
    good: str
    """For www.example.com and 127.0.0.1."""
    expired: str
    elsewhere: str
    """For another name."""
    self_signed: str
    client: str

    @staticmethod
    def server(pem: str, *, clients: str = "") -> ssl.SSLContext:
        """A server's context; with `clients`, it demands certificates of that authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context


Signer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def _certificate(
    path: Path, name: str, *, signer: Signer | None, days: tuple[int, int] = (-1, 1), address: str = ""
) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = signer or (subject, key)
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if address:
        names.append(x509.IPAddress(ip_address(address)))
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + timedelta(days=days[0]))
    builder = builder.not_valid_after(now + timedelta(days=days[1]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if name == "authority":
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(issuer_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + signed.public_bytes(pem))
    return subject, key


def make_pki(where: Path) -> Pki:
    """An authority and its certificates, in a directory."""
    signer = _certificate(where / "authority", "authority", signer=None)
    name = "www.example.com"
    _certificate(where / "good", name, signer=signer, address=LOOPBACK)
    _certificate(where / "expired", name, signer=signer, days=(-3, -2), address=LOOPBACK)
    _certificate(where / "elsewhere", "elsewhere.example.com", signer=signer)
    _certificate(where / "self_signed", name, signer=None, address=LOOPBACK)
    _certificate(where / "client", "director", signer=signer)
    fields = ["authority", "good", "expired", "elsewhere", "self_signed", "client"]
    return Pki(**{field: str(where / field) for field in fields})


@dataclass(frozen=True)
class Sshd:
    """A real OpenSSH server on loopback."""

    port: int
    user: str
    key: str
    """A private key it accepts."""
    stranger: str
    """A private key it does not."""
    host_key: str
    """Its public key, as text."""
    directory: Path


def _keygen(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().strip()


@contextmanager
def openssh(where: Path) -> Iterator[Sshd]:
    """OpenSSH with a configuration and keys of its own, in a directory."""
    host_key, accepted = _keygen(where / "host"), _keygen(where / "key")
    _keygen(where / "stranger")
    (where / "authorized").write_text(accepted + "\n")
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        port = sock.getsockname()[1]
    lines = [
        f"ListenAddress {LOOPBACK}:{port}",
        f"HostKey {where / 'host'}",
        f"AuthorizedKeysFile {where / 'authorized'}",
        f"PidFile {where / 'pid'}",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "MaxStartups 100",
    ]
    (where / "config").write_text("\n".join(lines) + "\n")
    chroot = Path("/run/sshd")
    made = not chroot.exists()
    chroot.mkdir(mode=0o755, exist_ok=True)
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    assert program, "openssh-server is not installed"
    command = [program, "-D", "-e", "-f", str(where / "config")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        assert "listening" in process.stderr.readline()
        with (where / "log").open("w") as log:
            follower = subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)
        yield Sshd(port, "root", str(where / "key"), str(where / "stranger"), host_key, where)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        follower.wait()
        if made:
            chroot.rmdir()


NGINX = """
daemon off;
master_process off;
pid {where}/pid;
error_log {where}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {where}/1; proxy_temp_path {where}/2; fastcgi_temp_path {where}/3;
    uwsgi_temp_path {where}/4; scgi_temp_path {where}/5;
    server {{
        listen {address}:{port} proxy_protocol;
        listen {address}:{tls_port} ssl proxy_protocol;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{ return 200 "$proxy_protocol_addr:$proxy_protocol_port $request_method $uri $host\\n"; }}
        location /old {{ return 301 /new; }}
        location /chunks {{ ssi on; alias {where}/pages/; }}
    }}
}}
"""


@contextmanager
def nginx(where: Path, certificate: str) -> Iterator[tuple[int, int]]:
    """An nginx that wants the PROXY protocol; its ports in clear and under TLS."""
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.bind((LOOPBACK, 0))
        port, tls_port = first.getsockname()[1], second.getsockname()[1]
    (where / "pages").mkdir()
    (where / "pages" / "index.html").write_text("<!--#echo var='host' --> chunked\n")
    text = NGINX.format(where=where, address=LOOPBACK, port=port, tls_port=tls_port, certificate=certificate)
    (where / "nginx.conf").write_text(text)
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert program, "nginx is not installed"
    process = subprocess.Popen([program, "-p", str(where), "-c", str(where / "nginx.conf")])
    try:
        while not (where / "pid").exists() and process.poll() is None:
            time.sleep(0.01)
        yield port, tls_port
    finally:
        process.kill()
        process.wait()
