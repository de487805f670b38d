"""Probing by SSH: logging in to a real OpenSSH, and to servers that are none."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from checks.ssh import Ssh
from tests.lab.targets import Probe, Serve, Sshd


@pytest.fixture
def login(sshd: Sshd) -> Ssh:
    """Settings that are right."""
    return Ssh(user=sshd.user, key=sshd.key, host_key=sshd.host_key)


async def test_login(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """The right key at the right server is let in."""
    outcome = await probe(login, sshd.port, timeout=10)
    assert outcome.detail == f"SSH 127.0.0.1:{sshd.port} logged in as {sshd.user}"
    assert outcome.ok


async def test_command(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """A command's exit status and output are judged."""
    check = replace(login, command="echo hello; echo there >&2; exit 3", exit_status=3, output="hello")
    outcome = await probe(check, sshd.port, timeout=10)
    assert outcome.ok, outcome.detail
    assert "exited 3, wrote" in outcome.detail
    assert "there" in outcome.detail


async def test_wrong_exit_status(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """Another exit status than expected is a failure."""
    outcome = await probe(replace(login, command="exit 1"), sshd.port, timeout=10)
    assert not outcome.ok
    assert outcome.detail.endswith("exited 1, wrote '' (expected exit 0)")


async def test_wrong_output(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """Output that does not match is a failure, and is shown."""
    outcome = await probe(replace(login, command="echo down", output="^up"), sshd.port, timeout=10)
    assert not outcome.ok
    assert outcome.detail.endswith(r"wrote 'down\n' (expected '^up')")


async def test_killed_command(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """A command that dies of a signal is told from one that exits."""
    outcome = await probe(replace(login, command="kill -KILL $$"), sshd.port, timeout=10)
    assert not outcome.ok
    assert "was killed by signal KILL" in outcome.detail


async def test_hanging_command(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """A command that never ends fails at the deadline, with what it had written."""
    check = replace(login, command="echo begun; exec sleep 60")
    outcome = await probe(check, sshd.port, timeout=3)
    assert not outcome.ok
    assert r"6 bytes of output so far 'begun\n': no answer within 3 s" in outcome.detail


async def test_endless_output(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """A command that writes for ever is cut off, in bounded memory."""
    tracemalloc.start()
    try:
        outcome = await probe(replace(login, command="yes", max_output=100_000), sshd.port, timeout=20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "wrote more than 100000 bytes: 'y" in outcome.detail
    assert peak < 4 << 20


async def test_refused_key(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """A key that the server does not know is a refusal, not a timeout."""
    outcome = await probe(replace(login, key=sshd.stranger), sshd.port, timeout=10)
    assert not outcome.ok
    assert "login refused: the server does not accept the key" in outcome.detail


async def test_wrong_host_key(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """A server with another host key is not trusted, and no login is tried."""
    other = Path(sshd.stranger).with_suffix(".pub").read_text()
    outcome = await probe(replace(login, host_key=other), sshd.port, timeout=10)
    assert not outcome.ok
    assert "wrong host key" in outcome.detail


async def test_several_host_keys(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """One of several pinned keys is enough: a key is rolled over by pinning both."""
    other = Path(sshd.stranger).with_suffix(".pub").read_text()
    assert (await probe(replace(login, host_key=f"{other}\n{sshd.host_key}\n"), sshd.port, timeout=10)).ok


@pytest.fixture
def known_hosts(login: Ssh, tmp_path: Path) -> Callable[..., Ssh]:
    """Settings with a known_hosts file of the given text."""

    def known_hosts(text: str, host_name: str = "") -> Ssh:
        path = tmp_path / "known_hosts"
        path.write_text(text)
        return replace(login, host_key="", known_hosts=str(path), host_name=host_name)

    return known_hosts


async def test_known_host(sshd: Sshd, probe: Probe, known_hosts: Callable[..., Ssh]) -> None:
    """A server whose key is in known_hosts under its address and port is trusted."""
    check = known_hosts(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    assert (await probe(check, sshd.port, timeout=10)).ok


async def test_known_by_name(sshd: Sshd, probe: Probe, known_hosts: Callable[..., Ssh]) -> None:
    """`host_name` is what is looked up instead of the address."""
    check = known_hosts(f"web1 {sshd.host_key}\n", host_name="web1")
    assert (await probe(check, sshd.port, timeout=10)).ok


async def test_unknown_host(sshd: Sshd, probe: Probe, known_hosts: Callable[..., Ssh]) -> None:
    """A server that known_hosts does not name is told apart from one with another key."""
    outcome = await probe(known_hosts(f"192.0.2.9 {sshd.host_key}\n"), sshd.port, timeout=10)
    assert not outcome.ok
    assert "unknown host: " in outcome.detail


async def test_known_host_with_other_key(sshd: Sshd, probe: Probe, known_hosts: Callable[..., Ssh]) -> None:
    """A known server with another key is not trusted."""
    other = Path(sshd.stranger).with_suffix(".pub").read_text()
    outcome = await probe(known_hosts(f"127.0.0.1 {other}\n"), sshd.port, timeout=10)
    assert "wrong host key" in outcome.detail


async def test_revoked_host_key(sshd: Sshd, probe: Probe, known_hosts: Callable[..., Ssh]) -> None:
    """A revoked key is not trusted though it is known."""
    check = known_hosts(f"127.0.0.1 {sshd.host_key}\n@revoked * {sshd.host_key}\n")
    outcome = await probe(check, sshd.port, timeout=10)
    assert not outcome.ok
    assert "host key" in outcome.detail


async def test_missing_files(sshd: Sshd, login: Ssh, probe: Probe, tmp_path: Path) -> None:
    """A key or known_hosts file that is not there is named."""
    missing = str(tmp_path / "none")
    outcome = await probe(replace(login, key=missing), sshd.port, timeout=10)
    assert f"{missing}: No such file" in outcome.detail
    outcome = await probe(replace(login, host_key="", known_hosts=missing), sshd.port, timeout=10)
    assert f"{missing}: No such file" in outcome.detail


async def test_unusable_key(sshd: Sshd, login: Ssh, probe: Probe, tmp_path: Path) -> None:
    """A file that holds no key, or one with a passphrase, is named."""
    path = tmp_path / "key"
    path.write_text("nonsense")
    outcome = await probe(replace(login, key=str(path)), sshd.port, timeout=10)
    assert f"cannot use {path}" in outcome.detail


async def test_own_settings_are_not_used(
    sshd: Sshd, login: Ssh, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ~/.ssh nor an agent changes what a check does."""
    home = tmp_path / ".ssh"
    home.mkdir()
    (home / "config").write_text("Host *\n  User nobody\n  ProxyCommand false\n  Port 1\n")
    os.link(sshd.key, home / "id_ed25519")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    assert (await probe(login, sshd.port, timeout=10)).ok
    assert not (await probe(replace(login, key=sshd.stranger), sshd.port, timeout=10)).ok


async def test_banner_of_login(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """The identification is judged in a login, too."""
    outcome = await probe(replace(login, banner="dropbear"), sshd.port, timeout=10)
    assert not outcome.ok
    assert "(expected 'dropbear')" in outcome.detail


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b"", "connected: the server closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server closed the connection"),
        (b"x" * 100_000, "not proper SSH"),
        (b"line\r\n" * 5000, "not proper SSH"),
        (b"SSH-1.5-old\r\n", "not proper SSH"),
        (b"SSH-2.0-x\r\n\xff\xff\xff\xff" + b"x" * 100, "not proper SSH"),
        (b"SSH-2.0-x\r\n" + bytes(100), "not proper SSH"),
    ],
)
async def test_garbage(serve: Serve, login: Ssh, probe: Probe, sent: bytes, detail: str) -> None:
    """Whatever a server sends instead of SSH is a verdict at once, not at the deadline."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()

    outcome = await probe(login, await serve(talk), timeout=30)
    assert not outcome.ok
    assert detail in outcome.detail


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (b"", "connected, waiting for an SSH identification: no answer within 0.3 s"),
        (b"SSH-2.0-stuck\r\n", "is 'SSH-2.0-stuck', logging in as root: no answer within 0.3 s"),
    ],
)
async def test_stuck_server(serve: Serve, login: Ssh, probe: Probe, sent: bytes, detail: str) -> None:
    """A server that stops answering fails at the deadline, and the detail says how far it came."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        while await reader.read(65536):
            pass

    outcome = await probe(login, await serve(talk), timeout=0.3)
    assert outcome.detail.endswith(detail)


async def test_cancelled_at_any_point(sshd: Sshd, login: Ssh, probe: Probe) -> None:
    """Wherever the deadline cuts a login off, nothing is left open."""
    check = replace(login, command="echo hello")
    for milliseconds in range(0, 120, 8):
        await probe(check, sshd.port, timeout=milliseconds / 1000)
    assert (await probe(check, sshd.port, timeout=10)).ok
    await asyncio.sleep(0)
