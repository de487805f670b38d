"""Tests of lvsha.kernel.conntrack, with connection tracking as it is here."""

from __future__ import annotations

import contextlib
import errno
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lvsha.kernel.conntrack import Conntrack, Flow
from lvsha.model import Protocol

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]

TCP = Flow(
    Protocol.TCP,
    ip_address("198.51.100.7"),
    40000,
    ip_address("192.0.2.100"),
    80,
    ip_address("10.0.1.11"),
    8080,
    ip_address("10.0.1.100"),
    900,
)
SIX = Flow(
    Protocol.UDP,
    ip_address("2001:db8:9::7"),
    40000,
    ip_address("2001:db8:1::100"),
    53,
    ip_address("2001:db8:2::11"),
    5353,
    ip_address("2001:db8:2::100"),
    300,
)


@pytest.fixture
def conntrack() -> Iterator[Conntrack]:
    """A conversation."""
    with contextlib.closing(Conntrack.open()) as opened:
        yield opened


def shown(family: str) -> str:
    """The table as conntrack(8) shows it."""
    argv = ["conntrack", "-L", "-f", family]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


async def test_entries_are_as_traffic_would_make_them(conntrack: Conntrack) -> None:
    """Client to service one way, server to local address the other, alive, and for as long as asked for."""
    assert await conntrack.add([TCP, SIX]) == {}
    four, six = shown("ipv4"), shown("ipv6")
    assert "src=198.51.100.7 dst=192.0.2.100 sport=40000 dport=80" in four
    assert "src=10.0.1.11 dst=10.0.1.100 sport=8080 dport=40000 [ASSURED]" in four
    assert four.split()[3] == "ESTABLISHED"
    assert 890 <= int(four.split()[2]) <= 900
    assert "src=2001:db8:2::11 dst=2001:db8:2::100 sport=5353 dport=40000 [ASSURED]" in six


async def test_what_is_there_stays(conntrack: Conntrack) -> None:
    """An entry is not made twice, and not changed."""
    await conntrack.add([TCP])
    refusals = await conntrack.add([replace(TCP, local=ip_address("10.0.1.101")), SIX])
    assert {index: refusal.errno for index, refusal in refusals.items()} == {0: errno.EEXIST}
    assert "dst=10.0.1.100" in shown("ipv4")


async def test_a_port_that_another_one_has_is_refused(conntrack: Conntrack) -> None:
    """Two clients with one port, one local address and one server cannot both have it."""
    other = replace(TCP, client=ip_address("198.51.100.8"))
    refusals = await conntrack.add([TCP, other])
    assert {index: refusal.errno for index, refusal in refusals.items()} == {1: errno.EEXIST}


async def test_an_entry_is_removed_by_its_servers_end(conntrack: Conntrack) -> None:
    """Of either family; an entry with another server's stays, and one that is not there is told."""
    other = replace(TCP, client_port=40001)
    await conntrack.add([TCP, SIX, other])
    elsewhere = replace(other, server=ip_address("10.0.1.12"))
    refused = await conntrack.remove([TCP, elsewhere, SIX])
    assert {index: refusal.errno for index, refusal in refused.items()} == {1: errno.ENOENT}
    assert "sport=40001" in shown("ipv4")
    assert "sport=40000" not in shown("ipv4") + shown("ipv6")


async def test_thousands_at_once(conntrack: Conntrack) -> None:
    """Many batches, each entry made once."""
    flows = [replace(TCP, client_port=port) for port in range(10000, 13000)]
    assert await conntrack.add(flows) == {}
    assert shown("ipv4").count("\n") == 3000
