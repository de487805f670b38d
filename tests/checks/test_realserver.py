"""Probing real servers for what modes dr and tun need: a real OpenSSH, and servers that answer nonsense."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from checks import SettingsError
from checks.audit import LARGEST, Encapsulation, Preparation
from checks.realserver import Realserver
from tests.lab.network import Node, topology
from tests.lab.process import Result, run
from tests.lab.sshd import Sshd, start_sshd
from tests.lab.targets import Probe, by_command
from tests.lab.targets import Sshd as Loopback

VIP = "192.0.2.100"


def test_what_makes_no_sense() -> None:
    """Settings are judged at once: words, addresses, the login, and all of it together."""
    with pytest.raises(SettingsError) as wrong:
        Realserver(mode="nat", vips=("www",), interfaces=("a b",), service="10.0.0.1:99999")
    fields = [problem.partition(":")[0] for problem in wrong.value.problems]
    assert fields == ["mode", "vips", "interfaces", "service"]
    with pytest.raises(SettingsError, match="user: missing"):
        Realserver(mode="dr", vips=(VIP,))
    with pytest.raises(SettingsError, match="device: is of mode tun only"):
        Realserver(mode="dr", vips=(VIP,), device="tunl0", user="a", key="/k", known_hosts="/h")


def test_what_is_left_open_comes_from_the_service() -> None:
    """Mode, address, encapsulation and the tunnels' end are filled in; what was written stays."""
    check = Realserver(user="a", key="/k", known_hosts="/h")
    gue = Encapsulation("gue", 6080)
    filled = check.completed("tun", VIP, gue, "10.0.1.11", "10.0.1.11:80")
    assert filled.preparation("") == Preparation("tun", (VIP,), gue, "10.0.1.11")
    assert filled.service == "10.0.1.11:80"
    filled = check.completed("dr", VIP, Encapsulation(), "10.0.1.11", "")
    assert filled.preparation("") == Preparation("dr", (VIP,))
    written = replace(check, mode="tun", vips=("192.0.2.200",), tunnel=Encapsulation("gre"))
    written = replace(written, local="10.9.9.9", service="[2001:db8::1]:8080")
    assert written.completed("dr", VIP, gue, "10.0.1.11", "10.0.1.11:80") == written


def test_tunnels_end_where_the_probe_goes() -> None:
    """Run by hand, the address that is probed is the one that tunnels end at."""
    check = Realserver(mode="tun", vips=(VIP,), user="a", key="/k", known_hosts="/h")
    assert check.preparation("10.0.1.11").local == "10.0.1.11"
    assert replace(check, mode="dr").preparation("10.0.1.11").local == ""


async def test_a_server_that_is_not_ready(sshd: Loopback, probe: Probe) -> None:
    """The detail names the first thing that is wrong, what mends it, and how many more there are."""
    check = Realserver(mode="dr", vips=("192.0.2.177",), user=sshd.user, key=sshd.key, host_key=sshd.host_key)
    outcome = await probe(check, sshd.port, timeout=20)
    assert not outcome.ok
    assert outcome.detail.startswith(f"server 127.0.0.1:{sshd.port} ")
    assert "needed is" in outcome.detail


async def test_a_stranger(sshd: Loopback, probe: Probe) -> None:
    """A login that is refused fails as with any check over SSH."""
    check = Realserver(mode="dr", vips=(VIP,), user=sshd.user, key=sshd.stranger, host_key=sshd.host_key)
    outcome = await probe(check, sshd.port, timeout=20)
    assert (outcome.ok, "login refused" in outcome.detail) == (False, True)


async def test_nobody_there(closed_port: int, probe: Probe) -> None:
    """So does a server on which nothing listens."""
    check = Realserver(mode="dr", vips=(VIP,), user="a", key="/k", known_hosts=os.devnull)
    outcome = await probe(check, closed_port)
    assert (outcome.ok, "refused" in outcome.detail) == (False, True)


# --- a server of our own, looked at by hand -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """A real server with sshd, and a director's node to look from."""

    node: Node
    sshd: Sshd
    director: Node

    async def audit(self, *options: str) -> Result:
        """`python -m checks realserver` on the director."""
        login = ("--user", "root", "--key", str(self.sshd.user_key), "--host-key", self.sshd.host_key)
        told = ("--mode", "dr", "--vips", VIP, "--timeout", "20", *options)
        target = f"{self.node.address('back')}:{self.sshd.port}"
        return await run(self.director, "realserver", target, *login, *told, module="checks")


@asynccontextmanager
async def serving(directory: Path, options: str = "") -> AsyncIterator[Server]:
    """A server whose sshd has these options."""
    async with topology(servers=1) as net:
        yield Server(net["rs1"], await start_sshd(net["rs1"], directory, options=options), net["lb1"])


@by_command
@pytest.mark.net
async def test_a_server_becomes_ready(tmp_path: Path) -> None:
    """Step by step, as one follows what the details say."""
    async with serving(tmp_path) as server:
        first = await server.audit()
        assert first.status == 1
        assert "net.ipv4.conf.back.arp_ignore is 0" in first.output
        assert ", and 2 more" in first.output
        server.node.sysctl("net.ipv4.conf.all.arp_ignore", 1)
        assert "net.ipv4.conf.back.arp_announce is 0" in (await server.audit()).output
        server.node.sysctl("net.ipv4.conf.all.arp_announce", 2)
        assert f"ip address add {VIP}/32 dev lo scope host" in (await server.audit()).output
        server.node.ip(f"address add {VIP}/32 dev lo scope host")
        last = await server.audit()
        assert (last.status, f"is ready for {VIP} in mode dr" in last.output) == (0, True), last
        # A service that is not there is said as well, before anything is looked at.
        shut = await server.audit("--service", "10.0.1.11:80")
        assert (shut.status, "TCP connect to 10.0.1.11:80: refused" in shut.output) == (1, True), shut
        opened = await server.audit("--service", f"10.0.1.11:{server.sshd.port}")
        assert (opened.status, opened.output.endswith("accepts connections")) == (0, True), opened
        # The director as the server's way out is no good in mode dr.
        last = await server.audit("--directors", "10.0.1.1")
        assert "default route (IPv4) is via 10.0.1.1" in last.output


@by_command
@pytest.mark.net
async def test_a_key_that_can_do_nothing_else(tmp_path: Path) -> None:
    """The script as a forced command: what the director sends is not read, what it is told is the same."""
    printed = await run(None, module="checks.audit")
    (tmp_path / "audit").write_text(f"{printed.output}\n")
    async with serving(tmp_path, f"ForceCommand /bin/sh {tmp_path}/audit") as server:
        result = await server.audit()
        assert "net.ipv4.conf.back.arp_ignore is 0" in result.output


@by_command
@pytest.mark.net
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo Account locked", "no audit came back, but 'Account locked"),
        ("exit 3", "it exited 3, wrote ''"),
        ("yes", f"it wrote more than {LARGEST} bytes"),
        ("kill -KILL $$", "it was killed by signal KILL"),
        ("cat; sleep 60", "the script runs, "),
    ],
)
async def test_a_server_that_does_something_else(tmp_path: Path, command: str, told: str) -> None:
    """Whatever a server does instead of the audit fails the check in bounded time, with what it did."""
    async with serving(tmp_path, f"ForceCommand {command}") as server:
        result = await server.audit("--timeout", "5")
        assert (result.status, told in result.output) == (1, True), result
