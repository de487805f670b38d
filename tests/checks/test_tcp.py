"""Probing by TCP."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from checks import Outcome, SettingsError, run
from checks.tcp import Tcp
from checks.tls import Tls
from tests.lab.targets import Pki, Probe, Serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and says nothing."""
    while await reader.read(65536):
        pass


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Gives back what it gets."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_open_port(serve: Serve, probe: Probe) -> None:
    """A port that accepts is good, and the detail names it."""
    port = await serve(silent)
    outcome = await probe(Tcp(), port)
    assert outcome.ok
    assert outcome.detail.startswith(f"TCP connect to 127.0.0.1:{port} took ")


async def test_open_port_ipv6(serve: Serve, probe: Probe) -> None:
    """IPv6 is probed like IPv4, and written in brackets."""
    port = await serve(silent, address="::1")
    outcome = await probe(Tcp(), port, address="::1")
    assert outcome.ok
    assert f"[::1]:{port}" in outcome.detail


async def test_refused(probe: Probe, closed_port: int) -> None:
    """A port on which nothing listens is refused, and said to be."""
    outcome = await probe(Tcp(), closed_port)
    assert outcome == Outcome(
        ok=False, detail=f"TCP connect to 127.0.0.1:{closed_port}: refused (RST: nothing listens there)"
    )


async def test_no_answer() -> None:
    """A target that drops packets is told apart from one that refuses."""
    # A listener whose queue of connections is full lets SYNs fall, as a firewall would.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            outcome = await run(Tcp(), "127.0.0.1", port, 0.2)
    assert not outcome.ok
    assert outcome.detail == f"TCP connect to 127.0.0.1:{port}: no answer within 0.2 s"


async def test_send_and_expect(serve: Serve, probe: Probe) -> None:
    """What is sent arrives, and what comes back is searched."""
    port = await serve(echo)
    outcome = await probe(Tcp(send="PING\r\n", expect=r"P[I]NG"), port)
    assert outcome.ok
    assert outcome.detail.endswith(r"sent 'PING\r\n', got 'PING\r\n'")


async def test_expect_in_pieces(serve: Serve, probe: Probe) -> None:
    """A text that arrives byte by byte is still found."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"+OK ready":
            writer.write(bytes([byte]))
            await writer.drain()

    assert (await probe(Tcp(expect="^\\+OK ready$"), await serve(drip))).ok


async def test_wrong_text(serve: Serve, probe: Probe) -> None:
    """A server that says something else has failed, and is quoted."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR \xff\x00 no\n")

    outcome = await probe(Tcp(expect="OK"), await serve(other))
    assert not outcome.ok
    assert r"no 'OK' before the end of the stream: '-ERR \ufffd\x00 no\n'" in outcome.detail


async def test_silent_server(serve: Serve, probe: Probe) -> None:
    """A server that accepts and says nothing fails at the deadline, told apart from one that is away."""
    port = await serve(silent)
    outcome = await probe(Tcp(expect="OK"), port, timeout=0.2)
    assert not outcome.ok
    assert outcome.detail.startswith(f"TCP connect to 127.0.0.1:{port} took ")
    assert outcome.detail.endswith("waiting for 'OK' after 0 bytes '': no answer within 0.2 s")


async def test_reset_midway(serve: Serve, probe: Probe) -> None:
    """A connection that is reset after some bytes is told apart from one that ends."""

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+O")
        await reader.read(1)
        reset(writer)

    outcome = await probe(Tcp(send="x" * 9, expect="OK"), await serve(breaks_off))
    assert not outcome.ok
    assert outcome.detail.endswith("after 2 bytes '+O': reset by the peer (RST)")


async def test_half_closed(serve: Serve, probe: Probe) -> None:
    """A server that shuts its sending side but stays fails at once, not at the deadline."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        await reader.read()

    outcome = await probe(Tcp(expect="OK"), await serve(half), timeout=30)
    assert "before the end of the stream: ''" in outcome.detail


async def test_endless_answer_is_bounded(serve: Serve, probe: Probe) -> None:
    """No more than `max_read` bytes are read of a server that never stops."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()
            await asyncio.sleep(0)

    outcome = await probe(Tcp(expect="OK", max_read=1000), await serve(endless), timeout=30)
    assert not outcome.ok
    assert "no 'OK' before 1000 bytes" in outcome.detail


async def test_source_address(serve: Serve, probe: Probe) -> None:
    """The probe comes from the address it was told to."""

    async def who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("peername")[0].encode())

    outcome = await probe(Tcp(expect=r"^127\.0\.0\.77$", source="127.0.0.77"), await serve(who))
    assert outcome.ok
    assert " from 127.0.0.77 " in outcome.detail


async def test_source_address_that_is_not_ours(probe: Probe, closed_port: int) -> None:
    """A source that this machine does not have is the reason given."""
    outcome = await probe(Tcp(source="192.0.2.1"), closed_port)
    assert outcome.detail.endswith("from 192.0.2.1: no such source address here, or no free local port")


async def test_source_of_other_family(probe: Probe, closed_port: int) -> None:
    """An IPv6 source for an IPv4 target is the reason given."""
    outcome = await probe(Tcp(source="::1"), closed_port)
    assert outcome.detail.endswith("source ::1 is not of the target's address family")


async def test_mark(serve: Serve, probe: Probe) -> None:
    """The mark is on the socket that connects."""
    port = await serve(silent)
    outcome = await probe(Tcp(mark=7), port)
    assert outcome.ok
    assert " with mark 7 " in outcome.detail


async def test_name_instead_of_address(probe: Probe) -> None:
    """A name is not looked up: that would need a thread, and the resolver's patience."""
    outcome = await probe(Tcp(), 80, address="localhost")
    assert outcome.detail.endswith("'localhost' is not an IP address")


async def test_tls(serve: Serve, probe: Probe, pki: Pki) -> None:
    """A text can be expected under TLS."""

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\r\n")

    port = await serve(hello, context=pki.server(pki.good))
    assert (await probe(Tcp(expect="OK", tls=Tls(ca=pki.authority)), port)).ok


async def test_proxy_protocol(serve: Serve, probe: Probe) -> None:
    """The PROXY header comes first."""

    async def who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).split()[1])

    assert (await probe(Tcp(send="x", expect="^TCP4$", proxy_protocol=1), await serve(who))).ok


def test_settings() -> None:
    """Everything that is wrong is told at once, by field."""
    with pytest.raises(SettingsError) as caught:
        Tcp(expect="(", max_read=0, proxy_protocol=3, source="here", mark=-1)
    fields = [problem.partition(":")[0] for problem in caught.value.problems]
    assert fields == ["expect", "max_read", "proxy_protocol", "source", "mark"]


def test_equal_settings_are_one_check() -> None:
    """Checks are values, so that equal ones can be shared."""
    assert len({Tcp(send="x"), Tcp(send="x"), Tcp(send="y")}) == 2
