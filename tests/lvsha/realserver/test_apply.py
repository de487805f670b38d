"""Tests of `lvsha.realserver.apply`: steps on a real kernel, and what is said when one fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from checks.audit.steps import (
    AddAddress,
    AddFou,
    AddLink,
    ClampMss,
    LoadModule,
    SetMtu,
    SetSysctl,
    SetUp,
    Step,
)
from lvsha.errors import KernelError
from lvsha.realserver.apply import do, take_back
from lvsha.realserver.look import look
from tests.lab.network import Network, Node, topology

pytestmark = pytest.mark.net


@pytest.fixture
def net() -> Iterator[Network]:
    """A server, and a director."""
    with topology(servers=1) as built:
        yield built


@pytest.fixture
def rs1(net: Network) -> Node:
    """The server."""
    return net["rs1"]


@pytest.mark.parametrize(
    ("step", "shown", "there"),
    [
        (AddAddress("192.0.2.100", "lo"), "address show dev lo", "inet 192.0.2.100/32 scope host lo"),
        (
            AddAddress("2001:db8::100", "lo"),
            "address show dev lo",
            "inet6 2001:db8::100/128 scope global nodad deprecated",
        ),
        (SetMtu("back", 1400, 1500), "link show dev back", "mtu 1400"),
        (SetUp("lo"), "link show dev lo", "LOOPBACK,UP"),
    ],
)
def test_there_and_back(rs1: Node, step: Step, shown: str, there: str) -> None:
    """A step has its effect, and taken back it has none."""
    rs1.ip("link set dev lo down")
    with rs1.entered():
        do(step)
        assert there in rs1.run("ip", *shown.split())
        take_back(step)
        assert there not in rs1.run("ip", *shown.split())


def test_settings(rs1: Node) -> None:
    """A setting is written and read again."""
    step = SetSysctl("back", "arp_ignore", 1, 0)
    with rs1.entered():
        do(step)
        assert rs1.sysctl("net.ipv4.conf.back.arp_ignore") == "1"
        take_back(step)
        assert rs1.sysctl("net.ipv4.conf.back.arp_ignore") == "0"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (AddLink("x", "nosuch", "10.0.1.11", 1480), "can this kernel do nosuch?"),
        (LoadModule("nosuch"), "this kernel has no module nosuch"),
        (AddFou(0, 4), "`ip fou add port 0 gue`"),
        (SetUp("nosuch"), '`ip link set dev nosuch up`: Cannot find device "nosuch"'),
        (SetSysctl("nosuch", "arp_ignore", 1, 0), "sysctl net.ipv4.conf.nosuch.arp_ignore"),
    ],
)
def test_what_fails(rs1: Node, step: Step, message: str) -> None:
    """The command is told, what the kernel said, and what may help."""
    with rs1.entered(), pytest.raises(KernelError) as failed:
        do(step)
    assert message in str(failed.value)


def test_no_such_program(rs1: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without `modprobe` says so."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("lvsha.realserver.apply._SYSTEM", "/nowhere")
    with rs1.entered(), pytest.raises(KernelError, match=r"`modprobe fou`.*No such file"):
        do(LoadModule("fou"))


def segment(net: Network, address: str) -> int:
    """Bytes of the segments that a director sends to an address of the server's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with net["rs1"].entered():
        listener = socket.create_server((address, 0), family=family)
    with listener, net["lb1"].entered(), socket.socket(family) as client:
        client.settimeout(5)
        client.connect(listener.getsockname()[:2])
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


@pytest.mark.parametrize(
    ("version", "address", "other"),
    [(4, "10.0.1.11", "192.0.2.100"), (6, "2001:db8:2::11", "2001:db8:1::100")],
)
def test_a_smaller_mss(net: Network, rs1: Node, version: int, address: str, other: str) -> None:
    """Clients send smaller segments to the address, twice done is once done, and taken back it is over."""
    whole = segment(net, address)
    step = ClampMss(version, f"{address}, {other}", 1300)
    for _ in range(2):
        with rs1.entered():
            do(step)
            assert look().clamps == {(ip_address(address), 1300), (ip_address(other), 1300)}
        # Twelve bytes of each segment are its timestamp (RFC 7323, section 3.2).
        assert segment(net, address) == 1300 - 12 < whole
    with rs1.entered():
        take_back(step)
        assert (look().clamps, look().nft) == (frozenset(), True)
    assert segment(net, address) == whole


def test_an_mss_is_never_made_larger(net: Network, rs1: Node) -> None:
    """What the way out has smaller already stays."""
    rs1.ip("link set dev back mtu 1400")
    whole = segment(net, "10.0.1.11")
    with rs1.entered():
        do(ClampMss(4, "10.0.1.11", 1440))
    assert segment(net, "10.0.1.11") == whole
