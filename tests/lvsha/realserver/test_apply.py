"""Tests of `lvsha.realserver.apply`: steps on a real kernel, and what is said when one fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checks.audit.steps import AddAddress, AddFou, AddLink, LoadModule, SetMtu, SetSysctl, SetUp, Step
from lvsha.errors import KernelError
from lvsha.realserver.apply import do, take_back
from tests.lab.network import Node, topology

pytestmark = pytest.mark.net


@pytest.fixture
def rs1() -> Iterator[Node]:
    """A server."""
    with topology(servers=1) as net:
        yield net["rs1"]


@pytest.mark.parametrize(
    ("step", "shown", "there"),
    [
        (AddAddress("192.0.2.100", "lo"), "address show dev lo", "inet 192.0.2.100/32 scope host lo"),
        (
            AddAddress("2001:db8::100", "lo"),
            "address show dev lo",
            "inet6 2001:db8::100/128 scope global deprecated",
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
