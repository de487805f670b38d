"""Probing by SMTP, against a server that knows the dialogue and others that do not."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checks import SettingsError
from checks.smtp import Smtp
from checks.tls import Tls
from tests.lab.targets import Conversation, Pki, Probe, Serve, outcome_of


class Mail:
    """A mail server as far as EHLO and STARTTLS; keeps what it was told."""

    def __init__(self, context: ssl.SSLContext | None = None, *, after_starttls: bytes = b"") -> None:
        self.heard: list[bytes] = []
        self.context = context
        self.after_starttls = after_starttls

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        writer.write(b"220-mail.example.com\r\n220 ESMTP ready\r\n")
        secure = False
        while line := await reader.readline():
            self.heard.append(line)
            if line.startswith(b"EHLO "):
                extra = b"250-AUTH PLAIN\r\n" if secure else b"250-STARTTLS\r\n" if self.context else b""
                writer.write(b"250-mail.example.com\r\n" + extra + b"250 SIZE 1000\r\n")
            elif line == b"STARTTLS\r\n" and self.context:
                writer.write(b"220 go on\r\n" + self.after_starttls)
                await writer.drain()
                await writer.start_tls(self.context)
                secure = True
            elif line == b"QUIT\r\n":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"500 what\r\n")


def says(*answers: bytes, stay: bool = False) -> Conversation:
    """A server that sends one thing at first and one after each line it hears."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            writer.write(answer)
            await writer.drain()
            await reader.readline()
        if stay:
            await reader.read()

    return talk


async def test_dialogue(serve: Serve, probe: Probe) -> None:
    """Greeting, EHLO with our address, QUIT."""
    mail = Mail()
    port = await serve(mail)
    outcome = await probe(Smtp(), port)
    assert outcome.ok
    assert outcome.detail == (
        rf"SMTP 127.0.0.1:{port} greeted '220-mail.example.com\r\n220 ESMTP ready\r\n', took EHLO"
    )
    assert mail.heard[0] == b"EHLO [127.0.0.1]\r\n"


async def test_names(serve: Serve, probe: Probe) -> None:
    """The name in EHLO can be chosen; an IPv6 address is a literal of its own kind."""
    mail = Mail()
    await probe(Smtp(helo="director.example.com"), await serve(mail))
    await probe(Smtp(), await serve(mail, address="::1"), address="::1")
    greetings = [line for line in mail.heard if line.startswith(b"EHLO")]
    assert greetings == [b"EHLO director.example.com\r\n", b"EHLO [IPv6:::1]\r\n"]


async def test_expectations(serve: Serve, probe: Probe) -> None:
    """Greeting and capabilities are searched."""
    port = await serve(Mail())
    assert (await probe(Smtp(greeting="ESMTP", capabilities="SIZE"), port)).ok
    outcome = await probe(Smtp(greeting="Postfix"), port)
    assert outcome.detail.endswith("(expected 'Postfix')")
    outcome = await probe(Smtp(capabilities="AUTH"), port)
    assert not outcome.ok
    assert outcome.detail.endswith("(expected 'AUTH')")


async def test_starttls(serve: Serve, probe: Probe, pki: Pki) -> None:
    """After STARTTLS the server is verified, greeted anew, and its capabilities are those under TLS."""
    mail = Mail(pki.server(pki.good))
    port = await serve(mail)
    tls = Tls(ca=pki.authority)
    outcome = await probe(Smtp(starttls=True, tls=tls, capabilities="AUTH"), port)
    assert outcome.ok, outcome.detail
    assert outcome.detail.endswith("took EHLO under TLS")
    outcome = await probe(Smtp(starttls=True), port)
    assert "TLS handshake: certificate not accepted: " in outcome.detail
    outcome = await probe(Smtp(starttls=True, tls=Tls(ca=pki.authority, server_name="other")), port)
    assert "not valid for 'other'" in outcome.detail


async def test_no_starttls(serve: Serve, probe: Probe) -> None:
    """A server that does not offer STARTTLS has failed a check that wants it."""
    outcome = await probe(Smtp(starttls=True), await serve(Mail()))
    assert not outcome.ok
    assert ": no STARTTLS offered: '250-mail.example.com" in outcome.detail


async def test_injection_before_tls(serve: Serve, probe: Probe, pki: Pki) -> None:
    """What comes in clear behind the answer to STARTTLS is not taken for the server's word."""
    mail = Mail(pki.server(pki.good), after_starttls=b"250 SIZE 1\r\n")
    outcome = await probe(Smtp(starttls=True, tls=Tls(ca=pki.authority)), await serve(mail))
    assert not outcome.ok


async def test_tls_from_the_start(serve: Serve, probe: Probe, pki: Pki) -> None:
    """SMTPS is TLS before the greeting."""
    port = await serve(Mail(), context=pki.server(pki.good))
    assert (await probe(Smtp(tls=Tls(ca=pki.authority)), port)).ok


@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        ((b"554 go away\r\n",), r"the greeting is '554 go away\r\n' (expected 220)"),
        ((b"220 hi\r\n", b"502 no\r\n"), r"the answer to EHLO is '502 no\r\n' (expected 250)"),
        ((b"SSH-2.0-OpenSSH\r\n",), "the greeting is 'SSH-2.0-OpenSSH"),
        ((b"",), "the greeting is '' (expected 220)"),
        ((b"220-a\r\n" * 5000,), "the greeting is '220-a"),
        ((b"220 " + b"x" * 20000 + b"\r\n",), "the greeting is '220 xxx"),
        ((b"220 hi\r\n220 again\r\n",), r"the greeting is '220 hi\r\n220 again\r\n' (expected 220)"),
        ((b"220\r\n", b"250-x\r\n250\r\n", b""), "took EHLO"),
    ],
)
async def test_other_servers(serve: Serve, probe: Probe, answers: tuple[bytes, ...], detail: str) -> None:
    """A server that says something else is quoted, at once."""
    outcome = await probe(Smtp(), await serve(says(*answers) if answers != (b"",) else says()), timeout=30)
    assert detail in outcome.detail


async def test_silent_server(serve: Serve, probe: Probe) -> None:
    """A server that does not greet fails at the deadline, and the detail says what was awaited."""
    outcome = await probe(Smtp(), await serve(says(stay=True)), timeout=0.2)
    assert "waiting for the greeting after 0 bytes '': no answer within 0.2 s" in outcome.detail
    outcome = await probe(Smtp(), await serve(says(b"220 hi\r\n", stay=True)), timeout=0.2)
    assert "waiting for the answer to EHLO after 0 bytes" in outcome.detail


async def test_slow_line(serve: Serve, probe: Probe) -> None:
    """A greeting that comes in pieces is put together."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"220-a\r\n220 b\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.readline()
        writer.write(b"250 c\r\n")
        await reader.readline()

    assert (await probe(Smtp(), await serve(slow))).ok


def test_settings() -> None:
    """Names that would smuggle in a command, and bad expressions, are told."""
    with pytest.raises(SettingsError) as caught:
        Smtp(helo="ü\r\nDATA", greeting="(", capabilities="(", proxy_protocol=3, source="x", mark=-1)
    fields = [problem.partition(":")[0] for problem in caught.value.problems]
    assert fields == ["helo", "helo", "greeting", "capabilities", "proxy_protocol", "source", "mark"]


@given(st.lists(st.sampled_from([b"220", b"250", b"-", b" ", b"\r\n", b"\n", b"x", b"\xff"]), max_size=20))
@hypothesis_settings(max_examples=50)
def test_any_greeting(pieces: list[bytes]) -> None:
    """Whatever a server greets with, the outcome is a sentence."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(pieces))

    detail = outcome_of(Smtp(), talk).detail
    assert "no answer within" not in detail
    assert detail.isprintable()
