"""Tests of lvsha.kernel.collisions, with connection tracking as it is here."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.collisions import Collisions, read
from lvsha.kernel.conntrack import Conntrack, Flow
from tests.lab.collisions import FOUR, SIX

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]

PLAIN = Flow(*FOUR[:8], lifetime=900)
"""As it is where there was no collision."""


@pytest.fixture
def collisions() -> Iterator[Collisions]:
    """Somebody who listens."""
    with contextlib.closing(Collisions.open()) as opened:
        yield opened


@pytest.fixture
def conntrack() -> Iterator[Conntrack]:
    """A conversation of others."""
    with contextlib.closing(Conntrack.open()) as opened:
        yield opened


def tracked(words: str) -> str:
    """What conntrack(8) says."""
    return subprocess.run(words.split(), check=True, capture_output=True, text=True).stdout


async def test_only_changed_ports_are_heard_of(collisions: Collisions, conntrack: Conntrack) -> None:
    """Of four new entries the two whose client's port was changed, a few at a time; nothing is left then."""
    flows = [Flow(*one[:8], lifetime=60, local_port=one.local_port) for one in (FOUR, SIX)]
    others = [replace(PLAIN, client_port=port) for port in (1, 2)]
    assert await conntrack.add([others[0], *flows, others[1]]) == {}
    assert collisions.arrived(1) == [FOUR]
    assert collisions.arrived(100) == [SIX]
    assert collisions.arrived(100) == []


async def test_those_that_are_made_are_alive_until_they_are_removed(collisions: Collisions) -> None:
    """Both families; another port, or another connection, is not meant."""
    assert await collisions.install([FOUR, SIX]) == {FOUR, SIX}
    others = [FOUR._replace(local_port=16640), FOUR._replace(client_port=40001)]
    assert await collisions.alive([FOUR, *others, SIX]) == {FOUR, SIX}
    await collisions.remove([FOUR, others[1]])
    assert await collisions.alive([FOUR, SIX]) == {SIX}


async def test_a_handshake_that_was_not_finished_is_not_alive(collisions: Collisions) -> None:
    """An entry counts when both ends have spoken: a flood of first packets is not followed."""
    argv = (
        "conntrack -I -p tcp --state SYN_SENT -t 60 -s 198.51.100.7 --sport 40000 -d 192.0.2.100 --dport 80 "
        "-r 10.0.1.11 -q 10.0.1.100 --reply-port-src 8080 --reply-port-dst 16638"
    )
    tracked(argv)
    assert collisions.arrived(10) == [FOUR]
    assert await collisions.alive([FOUR]) == set()


async def test_what_contradicts_gives_way(collisions: Collisions, conntrack: Conntrack) -> None:
    """The client with its own port, from earlier; and somebody else at the port that is to be this one's."""
    thief = replace(PLAIN, client=ip_address("198.51.100.8"), client_port=16638)
    bystander = replace(PLAIN, client_port=40001)
    assert await conntrack.add([PLAIN, thief, bystander]) == {}
    assert await collisions.install([FOUR]) == {FOUR}
    assert await collisions.alive([FOUR]) == {FOUR}
    table = tracked("conntrack -L")
    assert table.count("src=10.0.1.11") == 2
    assert "sport=40001" in table


def test_a_protocol_without_ports_is_passed_over() -> None:
    """Connection tracking tells of echo requests as well; what is cut short is an error."""
    status = bytes.fromhex("0800030000000006")
    addresses = bytes.fromhex("14000100 08000100c6336407 08000200c0000264".replace(" ", ""))
    proto = bytes.fromhex("0c000200 0500010001000000".replace(" ", ""))
    echo = bytes(4)
    for kind in (1, 2):
        echo += bytes((36, 0, kind, 0)) + addresses + proto
    assert read(echo + status) == (None, False)
    with pytest.raises(MalformedError):
        read(echo)
