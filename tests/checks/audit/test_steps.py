"""Tests of `checks.audit.steps`."""

from __future__ import annotations

import pytest

from checks.audit.steps import (
    ORDER,
    AddAddress,
    AddFou,
    AddLink,
    ClampMss,
    LoadModule,
    SetMtu,
    SetSysctl,
    SetUp,
    Step,
    ordered,
    shown,
)

CLAMP = (
    "nft 'add table ip lvsha_realserver; delete table ip lvsha_realserver; "
    "add table ip lvsha_realserver; "
    "add chain ip lvsha_realserver mss { type filter hook output priority -150; }; "
    "add rule ip lvsha_realserver mss ip saddr { 192.0.2.100, 192.0.2.101 } "
    "tcp flags syn tcp option maxseg size set 1440'"
)
STEPS: list[tuple[Step, str, str]] = [
    (LoadModule("fou"), "modprobe fou", ""),
    (AddFou(6080, 4), "ip fou add port 6080 gue", "ip fou del port 6080"),
    (AddFou(6080, 6), "ip -6 fou add port 6080 gue", "ip -6 fou del port 6080"),
    (
        AddLink("lvsha-ipip", "ipip", "10.0.1.11", 1480),
        "ip link add name lvsha-ipip mtu 1480 type ipip local 10.0.1.11",
        "ip link del dev lvsha-ipip",
    ),
    (
        ClampMss(4, "192.0.2.100, 192.0.2.101", 1440),
        CLAMP,
        "nft delete table ip lvsha_realserver",
    ),
    (
        SetSysctl("all", "arp_ignore", 1, 0),
        "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        "sysctl -w net.ipv4.conf.all.arp_ignore=0",
    ),
    (SetMtu("t1", 1480, 1500), "ip link set dev t1 mtu 1480", "ip link set dev t1 mtu 1500"),
    (SetUp("t1"), "ip link set dev t1 up", "ip link set dev t1 down"),
    (
        AddAddress("192.0.2.100", "lo"),
        "ip address add 192.0.2.100/32 dev lo scope host",
        "ip address del 192.0.2.100/32 dev lo",
    ),
    (
        AddAddress("2001:db8::100", "t1"),
        "ip address add 2001:db8::100/128 dev t1 preferred_lft 0 nodad",
        "ip address del 2001:db8::100/128 dev t1",
    ),
]


@pytest.mark.parametrize(("step", "command", "reverse"), STEPS)
def test_commands(step: Step, command: str, reverse: str) -> None:
    """Each step is one command, and another takes it back."""
    assert shown(step.command) == command
    assert shown(step.reverse) == reverse


def test_order() -> None:
    """What may fail comes first, an address last; the same step is done once."""
    steps = [step for step, _, _ in STEPS]
    assert {type(step) for step in steps} == set(ORDER)
    assert ordered([*reversed(steps), *steps])[0] == LoadModule("fou")
    assert [type(step) for step in ordered([*reversed(steps), *steps])] == [type(step) for step in steps]


def test_names_are_quoted() -> None:
    """A command can be typed as it is shown."""
    assert shown(SetUp("a'b").command) == """ip link set dev 'a'"'"'b' up"""
