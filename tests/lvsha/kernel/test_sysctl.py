"""Kernel settings in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from lvsha.kernel.sysctl import Change, Sysctl, SysctlError, read, write
from tests.lab import namespace

FORWARD = "net.ipv4.ip_forward"
TTL = "net.ipv4.ip_default_ttl"
PORTS = "net.ipv4.ip_local_port_range"


@pytest.fixture
def inside() -> Iterator[None]:
    """The test runs in a namespace of its own."""
    name = f"lvsha-sysctl-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with namespace.entered(name):
            yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


pytestmark = [pytest.mark.net, pytest.mark.usefixtures("inside")]


def test_settings_are_settled() -> None:
    """What differs is written and told, what is right is not."""
    sysctl = Sysctl()
    before = read(FORWARD)
    wanted = str(1 - int(before))
    settled = sysctl.settle({FORWARD: wanted, TTL: read(TTL)})
    assert settled.changes == (Change(FORWARD, before, wanted),)
    assert settled.failures == ()
    assert read(FORWARD) == wanted
    assert sysctl.settle({FORWARD: wanted}).changes == ()


def test_several_numbers_are_compared_as_numbers() -> None:
    """The kernel separates them by tabs; whatever separates the wanted ones, equal is equal."""
    write(PORTS, "20000 30000")
    assert read(PORTS) == "20000 30000"
    assert Sysctl().settle({PORTS: " 20000\t 30000"}).changes == ()


def test_one_failure_does_not_stop_the_others() -> None:
    """A setting that is not there and one that the kernel refuses are told, the third is set."""
    settled = Sysctl().settle({"net.ipv4.no_such_thing": 1, TTL: 4000, FORWARD: 1})
    assert [failure.name for failure in settled.failures] == ["net.ipv4.no_such_thing", TTL]
    assert "the kernel has no such setting" in str(settled.failures[0])
    assert f"write '4000' to sysctl {TTL}" in str(settled.failures[1])
    assert "EINVAL" in str(settled.failures[1])
    assert read(FORWARD) == "1"


def test_a_missing_ipvs_setting_says_what_to_load() -> None:
    """The settings of IPVS appear only with its module."""
    with pytest.raises(SysctlError, match="modprobe ip_vs"):
        read("net.ipv4.vs.no_such_thing")


def test_an_interface_may_have_a_dot_in_its_name() -> None:
    """With slashes for separators, a dot is part of a name."""
    subprocess.run(["ip", "link", "add", "veth0.5", "type", "veth"], check=True)
    write("net/ipv4/conf/veth0.5/rp_filter", "2")
    assert read("net/ipv4/conf/veth0.5/rp_filter") == "2"


@pytest.mark.parametrize(
    "name",
    [
        "kernel.hostname",
        "net",
        "",
        "net..ipv4",
        "net/../kernel/hostname",
        "net.ipv4/../../kernel",
        "net/ipv4/a b",
    ],
)
def test_a_name_leads_nowhere_else(name: str) -> None:
    """Names outside the tree, or with a way out of it, are refused before anything is opened."""
    with pytest.raises(SysctlError, match="not the name of a setting under net"):
        write(name, "1")
