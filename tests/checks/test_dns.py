"""Probing by DNS, against servers that answer properly and otherwise."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checks import SettingsError
from checks.dns import Dns
from tests.lab.targets import Conversation, Probe, Serve, Servers, outcome_of

NAME = "www.example.com"


def answering(
    *records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, flags: int = 0
) -> Callable[[bytes], list[bytes]]:
    """An authority that has these records of the name."""

    def answer(wire: bytes) -> list[bytes]:
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        response.flags |= flags
        if records:
            question = query.question[0]
            rrset = dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *records)
            response.answer.append(rrset)
        return [response.to_wire()]

    return answer


def over_tcp(answer: Callable[[bytes], list[bytes]]) -> Conversation:
    """The same over TCP."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        for wire in answer(await reader.readexactly(length)):
            writer.write(struct.pack("!H", len(wire)) + wire)

    return talk


async def test_answer(servers: Servers, probe: Probe) -> None:
    """A record that matches is good, and shown."""
    port = await servers.serve_udp(answering("192.0.2.1", "192.0.2.2"))
    outcome = await probe(Dns(name=NAME, answer=r"^192\.0\.2\.2$"), port)
    assert outcome.ok
    assert outcome.detail.startswith(
        f"DNS 127.0.0.1:{port} www.example.com A answered NOERROR, 2 records '192."
    )


async def test_type(servers: Servers, probe: Probe) -> None:
    """Other types of record are asked for and compared as in a zone file."""
    port = await servers.serve_udp(answering("10 mail.example.com."))
    assert (await probe(Dns(name=NAME, type="MX", answer="^10 mail.example.com.$"), port)).ok


@pytest.mark.parametrize(
    ("rcodes", "answered", "ok"),
    [
        (("NOERROR",), dns.rcode.NOERROR, True),
        (("NOERROR",), dns.rcode.SERVFAIL, False),
        (("NOERROR", "nxdomain"), dns.rcode.NXDOMAIN, True),
        (("REFUSED",), dns.rcode.NOERROR, False),
    ],
)
async def test_rcode(
    servers: Servers, probe: Probe, rcodes: tuple[str, ...], answered: dns.rcode.Rcode, ok: bool
) -> None:
    """The response code is judged."""
    port = await servers.serve_udp(answering(rcode=answered))
    outcome = await probe(Dns(name=NAME, rcode=rcodes), port)
    assert outcome.ok is ok
    assert f"answered {dns.rcode.to_text(answered)}, 0 records" in outcome.detail


async def test_wrong_answer(servers: Servers, probe: Probe) -> None:
    """A record that is not the expected one, or none at all, is a failure."""
    for records in (("192.0.2.1",), ()):
        port = await servers.serve_udp(answering(*records))
        outcome = await probe(Dns(name=NAME, answer="192.0.2.9"), port)
        assert not outcome.ok
        assert outcome.detail.endswith("(expected '192.0.2.9')")


async def test_recursion(servers: Servers, probe: Probe) -> None:
    """RD is set if wanted."""
    flags: list[int] = []

    def answer(wire: bytes) -> list[bytes]:
        flags.append(dns.message.from_wire(wire).flags & dns.flags.RD)
        return answering()(wire)

    port = await servers.serve_udp(answer)
    await probe(Dns(name=NAME), port)
    await probe(Dns(name=NAME, recursion=False), port)
    assert flags == [dns.flags.RD, 0]


async def test_tcp(serve: Serve, probe: Probe) -> None:
    """The question can be asked over TCP."""
    outcome = await probe(Dns(name=NAME, tcp=True), await serve(over_tcp(answering("192.0.2.1"))))
    assert outcome.ok
    assert "www.example.com A over TCP answered NOERROR" in outcome.detail


async def test_truncated(servers: Servers, probe: Probe) -> None:
    """A truncated answer is asked for again over TCP, on the same port."""
    port = await servers.serve(over_tcp(answering("192.0.2.1")))
    await servers.serve_udp(answering(flags=dns.flags.TC), port=port)
    outcome = await probe(Dns(name=NAME, answer="192.0.2.1"), port)
    assert outcome.ok
    assert "over TCP, truncated over UDP answered" in outcome.detail


async def test_forged_answer(servers: Servers, probe: Probe) -> None:
    """An answer with another id, or to another question, is passed over for the real one."""

    def answer(wire: bytes) -> list[bytes]:
        (real,) = answering("192.0.2.1")(wire)
        other = dns.message.make_query("other.example.com", "A", id=dns.message.from_wire(wire).id)
        return [bytes([real[0] ^ 1]) + real[1:], *answering("192.0.2.66")(other.to_wire()), real]

    port = await servers.serve_udp(answer)
    assert (await probe(Dns(name=NAME, answer=r"^192\.0\.2\.1$"), port)).ok


async def test_forged_answers_only(servers: Servers, probe: Probe) -> None:
    """Where only wrong answers come, the deadline ends it and says so."""

    def answer(wire: bytes) -> list[bytes]:
        (real,) = answering("192.0.2.1")(wire)
        return [bytes([real[0] ^ 1]) + real[1:]] * 50

    outcome = await probe(Dns(name=NAME), await servers.serve_udp(answer), timeout=0.3)
    assert outcome.detail.endswith("got an answer to another question: no answer within 0.3 s")


@pytest.mark.parametrize("junk", [b"x", b"HTTP/1.1 400 Bad Request", b"\xff" * 600, bytes(11)])
async def test_not_dns(servers: Servers, probe: Probe, junk: bytes) -> None:
    """What is no DNS, over UDP or TCP, is a verdict at once."""
    port = await servers.serve_udp(lambda _: [junk])
    outcome = await probe(Dns(name=NAME), port, timeout=30)
    assert ": not DNS (" in outcome.detail
    port = await servers.serve(over_tcp(lambda _: [junk]))
    outcome = await probe(Dns(name=NAME, tcp=True), port, timeout=30)
    assert ": not DNS (" in outcome.detail


async def test_answer_to_another_question_over_tcp(serve: Serve, probe: Probe) -> None:
    """Over TCP nobody else can answer: a wrong answer is the server's own."""
    outcome = await probe(Dns(name=NAME, tcp=True), await serve(over_tcp(lambda _: [bytes(12)])))
    assert outcome.detail.endswith("connected: got an answer to another question")


async def test_cut_off(serve: Serve, probe: Probe) -> None:
    """A TCP answer that ends too early says where."""

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x00\x20abc")

    outcome = await probe(Dns(name=NAME, tcp=True), await serve(short))
    assert outcome.detail.endswith("connected: closed after 3 of 32 bytes")


def test_settings() -> None:
    """Bad names, types and codes are all told."""
    with pytest.raises(SettingsError) as caught:
        Dns(name="a..b", type="NOSUCH", rcode=("NOSUCH",), answer="(", source="x", mark=-1)
    fields = [problem.partition(":")[0] for problem in caught.value.problems]
    assert fields == ["name", "type", "rcode", "answer", "source", "mark"]
    with pytest.raises(SettingsError, match="name: missing"):
        Dns()


@given(st.binary(max_size=100), st.binary(max_size=100))
@hypothesis_settings(max_examples=50)
def test_any_answer(head: bytes, tail: bytes) -> None:
    """Whatever is answered over TCP, with the right id or not, the outcome is a sentence."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = (await reader.read(512))[2:]
        wire = query[:2] + b"\x81\x80" + head[:8] + query[12:] + tail
        writer.write(struct.pack("!H", len(wire)) + wire)

    detail = outcome_of(Dns(name=NAME, tcp=True), talk).detail
    assert "no answer within" not in detail
    assert detail.isprintable()
