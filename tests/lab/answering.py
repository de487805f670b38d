"""A server that answers HTTPS, SMTP, DNS and datagrams, at one address alone: for checks of each kind.

    await answering(net["rs1"], "192.0.2.100", tmp_path)

It is bound to the address, which the node must have: its datagrams come from where they were asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from pathlib import Path

from tests.lab.network import Node
from tests.lab.process import Process, call

HTTPS, SMTP, DNS, UDP = 443, 25, 53, 7
DOMAIN = "www.example.com"


async def answering(node: Node, address: str, directory: Path) -> Process:
    """Start it on a node; it listens when this returns. Its certificate is nobody's."""
    pem = directory / "answering.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    argv += ["-subj", f"/CN={DOMAIN}", "-keyout", str(pem), "-out", str(pem)]
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True, timeout=30)
    process = await call(node, "tests.lab.answering:serve", address, str(pem))
    await process.event("listening")
    return process


# --- the program --------------------------------------------------------------------------------


def serve(argv: list[str]) -> None:
    """What runs on the node: the address and the certificate's file."""
    asyncio.run(_serve(*argv))


async def _serve(address: str, pem: str) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    await asyncio.start_server(_https, sock=_bound(address, HTTPS, socket.SOCK_STREAM), ssl=context)
    await asyncio.start_server(_smtp, sock=_bound(address, SMTP, socket.SOCK_STREAM))
    loop = asyncio.get_running_loop()
    for port in (DNS, UDP):
        sock = _bound(address, port, socket.SOCK_DGRAM)
        loop.add_reader(sock, _datagram, sock, port)
    print(json.dumps({"event": "listening"}), flush=True)
    await loop.create_future()


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


async def _https(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
    writer.close()


async def _smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(f"220 {DOMAIN} ESMTP\r\n".encode())
        while line := await reader.readline():
            writer.write(f"{'221 bye' if line.startswith(b'QUIT') else f'250 {DOMAIN}'}\r\n".encode())
    writer.close()


def _datagram(sock: socket.socket, port: int) -> None:
    data, peer = sock.recvfrom(2048)
    sock.sendto(_answered(data) if port == DNS else data, peer)


def _answered(question: bytes) -> bytes:
    from dns import message, rrset

    answer = message.make_response(message.from_wire(question))
    answer.answer.append(rrset.from_text(f"{DOMAIN}.", 60, "IN", "A", "203.0.113.7"))
    return answer.to_wire()
