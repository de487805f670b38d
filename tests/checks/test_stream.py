"""The connection of a probe, against real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from checks.stream import connect, open_socket, sockaddr
from checks.tls import Tls
from tests.lab.targets import Pki, Serve


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Gives back what it gets."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_large_transfer_under_tls(serve: Serve, pki: Pki) -> None:
    """More than any buffer holds goes out and comes back whole, under TLS."""
    port = await serve(echo, context=pki.server(pki.good))
    data = bytes(range(256)) * 8000
    with await connect("127.0.0.1", port) as stream:
        await stream.secure(Tls(ca=pki.authority).context(), "127.0.0.1")
        received = b""

        async def receive() -> None:
            nonlocal received
            while len(received) < len(data):
                received += await stream.receive(65536)

        async with asyncio.TaskGroup() as group:
            group.create_task(receive())
            await stream.send(data)
    assert received == data


async def test_end_of_stream(serve: Serve, pki: Pki) -> None:
    """The end is an empty read, under TLS as in clear, and stays one."""

    async def bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    for context in (None, pki.server(pki.good)):
        with await connect("127.0.0.1", await serve(bye, context=context)) as stream:
            if context:
                await stream.secure(Tls(ca=pki.authority).context(), "127.0.0.1")
            assert [await stream.receive(10) for _ in range(3)] == [b"bye", b"", b""]


async def test_reads_are_bounded(serve: Serve, pki: Pki) -> None:
    """No read gives more than was asked for."""

    async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 1000)

    for context in (None, pki.server(pki.good)):
        with await connect("127.0.0.1", await serve(much, context=context)) as stream:
            if context:
                await stream.secure(Tls(ca=pki.authority).context(), "127.0.0.1")
            assert len(await stream.receive(7)) == 7


async def test_alerts(pki: Pki) -> None:
    """A server that demands a certificate tells why it refuses, and learns why it is refused."""
    reasons: list[str] = []

    def serve_blocking(listener: socket.socket, context: ssl.SSLContext) -> None:
        for _ in range(2):
            sock, _ = listener.accept()
            try:
                with context.wrap_socket(sock, server_side=True) as tls:
                    tls.recv(1)
            except ssl.SSLError as error:
                reasons.append(error.reason)

    context = pki.server(pki.good, clients=pki.authority)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_blocking, args=(listener, context))
        thread.start()
        port = listener.getsockname()[1]
        with await connect("127.0.0.1", port) as stream:
            await stream.secure(Tls(ca=pki.authority).context(), "127.0.0.1")
            with pytest.raises(ssl.SSLError, match="certificate required"):
                await stream.receive(1)
        with await connect("127.0.0.1", port) as stream, pytest.raises(ssl.SSLCertVerificationError):
            await stream.secure(Tls(ca=pki.self_signed).context(), "127.0.0.1")
        await asyncio.to_thread(thread.join)
    assert reasons == ["PEER_DID_NOT_RETURN_A_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA"]


async def test_junk_handshake(serve: Serve, pki: Pki) -> None:
    """Records without end, which OpenSSL passes over, do not hold off the deadline."""

    async def junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        record = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"  # HelloRequest
        while not writer.is_closing():
            writer.write(record * 5000)
            await writer.drain()
            await asyncio.sleep(0)

    context = Tls(ca=pki.authority).context()
    with await connect("127.0.0.1", await serve(junk)) as stream, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await stream.secure(context, "127.0.0.1")


@pytest.mark.net
def test_connection_to_itself() -> None:
    """A socket that the kernel gives the very port it connects to has not found a server."""
    # In a namespace with one local port the kernel draws it every time, instead of once in 28,000.
    script = (
        "ip link set lo up && echo 40000 40000 > /proc/sys/net/ipv4/ip_local_port_range && "
        f"exec {sys.executable} -m checks tcp 127.0.0.1:40000"
    )
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert "the connection met itself: nothing listens there" in ran.stdout, ran.stderr
    assert ran.returncode == 1


def test_socket_is_closed_when_it_cannot_be_prepared() -> None:
    """A socket that cannot have its source address is not left open."""
    with pytest.raises(OSError, match=f"Errno {errno.EADDRNOTAVAIL}"):
        open_socket("127.0.0.1", 1, socket.SOCK_STREAM, source="192.0.2.1")


def test_mark_is_set() -> None:
    """SO_MARK is what was asked for."""
    sock, _ = open_socket("127.0.0.1", 1, socket.SOCK_STREAM, mark=77)
    with sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 77


def test_zone() -> None:
    """The zone of a link-local address becomes the interface's number."""
    assert sockaddr("fe80::1%lo", 5) == (socket.AF_INET6, ("fe80::1", 5, 0, socket.if_nametoindex("lo")))


@pytest.mark.parametrize("text", ["localhost", "", "1.2.3", "192.0.2.1 ", "::g", "fe80::1%nosuch"])
def test_not_an_address(text: str) -> None:
    """Only addresses are taken; nothing is looked up."""
    with pytest.raises(OSError, match="is not an IP address"):
        sockaddr(text, 5)
