"""Tests of lvsha.kernel.forwarding, on firewalls as they are made in a network namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.forwarding import EVERYWHERE, Gate, gates, read_nft, read_saved
from lvsha.model import Address
from tests.lab.network import Network, Node, topology

SERVER, OTHER = ip_address("10.0.1.11"), ip_address("10.0.1.12")
SIX = ip_address("2001:db8:2::11")


@pytest.fixture
def lb1() -> Iterator[Node]:
    """A director with a firewall of its own."""
    with topology(servers=1) as net:
        yield director(net)


def director(net: Network) -> Node:
    """The node whose firewall it is."""
    return net["lb1"]


def seen(node: Node) -> tuple[Gate, ...]:
    """What stands there."""
    with node.entered():
        return asyncio.run(gates())


def nft(node: Node, *lines: str) -> None:
    """Have nft carry these out."""
    node.run("nft", "-f", "-", stdin="\n".join(lines))


@pytest.mark.net
def test_nothing_stands_there(lb1: Node) -> None:
    """No firewall, and one that lets everything through, are no gate."""
    assert seen(lb1) == ()
    lb1.run("iptables", "-P", "FORWARD", "ACCEPT")
    nft(lb1, "table inet own {", "chain f { type filter hook input priority 0; policy drop; }", "}")
    assert seen(lb1) == ()


@pytest.mark.net
@pytest.mark.parametrize(
    ("tool", "place", "address"),
    [
        ("iptables", "ip filter FORWARD", SERVER),
        ("ip6tables", "ip6 filter FORWARD", SIX),
        ("iptables-legacy", "ip filter FORWARD", SERVER),
        ("ip6tables-legacy", "ip6 filter FORWARD", SIX),
    ],
)
def test_iptables(lb1: Node, tool: str, place: str, address: Address) -> None:
    """A policy is seen, whichever iptables has set it; the command that opens it does, and is seen too."""
    lb1.run(tool, "-P", "FORWARD", "DROP")
    (gate,) = seen(lb1)
    assert (gate.tool, gate.place, gate.admitted) == (tool, place, ())
    assert not gate.admits(address, "back")
    lb1.run("sh", "-c", gate.opening([address]))
    (gate,) = seen(lb1)
    assert gate.admits(address, "back")


@pytest.mark.net
@pytest.mark.parametrize("last", ["policy drop", "policy accept; reject with icmpx admin-prohibited"])
def test_a_table_of_somebody_elses(lb1: Node, last: str) -> None:
    """By policy or by a rule for everything; what opens it for some does not open it for others."""
    nft(lb1, "table inet own {", f"chain f {{ type filter hook forward priority 0; {last}; }}", "}")
    (gate,) = seen(lb1)
    assert (gate.tool, gate.place) == ("nft", "inet own f")
    assert not gate.admits(SERVER, "back")
    assert not gate.admits(SIX, "back")
    lb1.run("sh", "-c", gate.opening([SERVER, ip_address("10.0.1.13")]))
    lb1.run("sh", "-c", gate.opening([SIX]))
    (gate,) = seen(lb1)
    assert [gate.admits(address, "back") for address in (SERVER, OTHER, SIX)] == [True, False, True]


@pytest.mark.net
@pytest.mark.parametrize(
    ("rules", "admits"),
    [
        ("accept", True),
        ('iifname "back" counter accept', True),
        ('iif "front" accept', False),
        ("ip saddr 10.0.1.0/24 accept", True),
        ("ip saddr != 10.0.1.0/24 accept", False),
        ("ip saddr 10.0.1.11 tcp sport 22 accept", False),
        ("ct state established accept", False),
        ("jump user", True),
        ("ip saddr 10.0.9.0/24 jump user", False),
        ("counter drop; accept", False),
    ],
)
def test_plain_rules_are_read(lb1: Node, rules: str, admits: bool) -> None:
    """Of a rule with several conditions, or of other ones, it is not said that it accepts."""
    nft(
        lb1,
        "table ip own {",
        "chain user { ip saddr { 10.0.1.11, 10.0.1.13 } accept; }",
        f"chain f {{ type filter hook forward priority 0; policy drop; {rules}; }}",
        "}",
    )
    (gate,) = seen(lb1)
    assert gate.admits(SERVER, "back") is admits
    assert gate.admits(SIX, "back")  # never meets it


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        ("-A FORWARD -j ACCEPT", EVERYWHERE),
        ('-A FORWARD -i eth0 -m comment --comment "the servers" -j ACCEPT', ("eth0",)),
        ("-A FORWARD -i eth0 -s 10.0.1.0/24 -j ACCEPT", ()),
        ("-A FORWARD ! -s 10.0.1.0/24 -j ACCEPT", ()),
        ("-A FORWARD -j USER\n-A USER -s 10.0.1.0/24 -g MORE\n-A USER -j MORE", ()),
        ("-A FORWARD -j USER\n-A USER -j FORWARD\n-A USER -s 10.0.1.11/32 -j ACCEPT", (ip_network(SERVER),)),
        ("-A FORWARD -j LOG --log-prefix ACCEPT", ()),
    ],
)
def test_what_is_saved_is_read(rules: str, admitted: tuple[object, ...]) -> None:
    """Rules in the words of iptables, also those that go round in a circle."""
    text = f"*filter\n:FORWARD DROP [0:0]\n:USER - [0:0]\n{rules}\nCOMMIT\n"
    (gate,) = read_saved(text.encode(), "iptables", 4)
    assert gate.admitted == admitted


@pytest.mark.parametrize("words", [b"", b"[]", b'{"nftables": [{"rule": {}}]}', b'{"nftables": [[]]}'])
def test_words_that_make_no_sense(words: bytes) -> None:
    """They are an error that says so."""
    with pytest.raises(KernelError, match="cannot be read"):
        read_nft(words)


def test_saved_words_that_make_no_sense() -> None:
    """A quote without an end is an error that says so."""
    with pytest.raises(KernelError, match="cannot be read"):
        read_saved(b'*filter\n:FORWARD DROP [0:0]\n-A FORWARD --comment "\n', "iptables", 4)
