"""Probing by SSH: the identification."""

from __future__ import annotations

import asyncio

import pytest

from checks import SettingsError
from checks.ssh import Ssh
from tests.lab.targets import Conversation, Probe, Serve, Sshd


def says(*pieces: bytes, end: bool = True) -> Conversation:
    """A server that sends this, and then closes or stays."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if not end:
            await reader.read()

    return talk


async def test_real_server(sshd: Sshd, probe: Probe) -> None:
    """OpenSSH's identification is read and shown."""
    outcome = await probe(Ssh(banner_only=True, banner="OpenSSH_[0-9]"), sshd.port)
    assert outcome.ok
    assert outcome.detail.startswith(f"SSH 127.0.0.1:{sshd.port} is 'SSH-2.0-OpenSSH_")


async def test_other_banner(sshd: Sshd, probe: Probe) -> None:
    """A server that identifies itself as something else has failed."""
    outcome = await probe(Ssh(banner_only=True, banner="dropbear"), sshd.port)
    assert not outcome.ok
    assert outcome.detail.endswith("(expected 'dropbear')")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"SSH-2.0-x\r\n", True),
        (b"SSH-1.99-x\n", True),
        (b"Authorised use only.\r\n\r\nSSH-2.0-x y\r\n", True),
        (b"SSH-1.5-x\r\n", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"SSH-2.0-no line end", False),
        (b"", False),
        (b"\x00\xff" * 10000, False),
    ],
)
async def test_identification(serve: Serve, probe: Probe, sent: bytes, expected: bool) -> None:
    """RFC 4253 section 4.2: other lines may come first; a version of the past, or none, is no SSH."""
    outcome = await probe(Ssh(banner_only=True), await serve(says(sent)), timeout=30)
    assert outcome.ok is expected


async def test_in_pieces(serve: Serve, probe: Probe) -> None:
    """An identification that comes in pieces is put together."""
    assert (
        await probe(Ssh(banner_only=True, banner="^SSH-2.0-x$"), await serve(says(b"SS", b"H-2.0-x\n")))
    ).ok


async def test_no_banner(serve: Serve, probe: Probe) -> None:
    """A server that never identifies itself fails at the deadline, and the detail says what was awaited."""
    outcome = await probe(Ssh(banner_only=True), await serve(says(b"SSH-2", end=False)), timeout=0.2)
    assert not outcome.ok
    assert "connected, waiting for an SSH identification after" in outcome.detail
    assert outcome.detail.endswith("no answer within 0.2 s")


def test_login_needs_settings() -> None:
    """A login without user, key or a way to recognise the server is refused, and every lack told."""
    with pytest.raises(SettingsError) as caught:
        Ssh()
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["user", "key", "host_key"]


def test_host_key_that_is_none() -> None:
    """A host key that cannot be read is found before the first probe."""
    with pytest.raises(SettingsError, match="host_key: not a public key"):
        Ssh(user="x", key="/x", host_key="ssh-ed25519 nonsense")


def test_settings() -> None:
    """Bad numbers and expressions are all told."""
    with pytest.raises(SettingsError) as caught:
        Ssh(banner_only=True, exit_status=256, output="(", max_output=0, banner="[", source="x", mark=-1)
    fields = [problem.partition(":")[0] for problem in caught.value.problems]
    assert fields == ["exit_status", "output", "max_output", "banner", "source", "mark"]
