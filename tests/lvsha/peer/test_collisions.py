"""Tests of lvsha.peer.collisions: what is written is read, and nothing else is."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lvsha.errors import InputError
from lvsha.model import Collision
from lvsha.peer.collisions import PIECE, from_rows, pieces, to_rows
from lvsha.peer.messages import Collisions, encode
from lvsha.peer.protocol import FRAME
from tests.lab.collisions import FOUR, SIX

ROW = [6, "198.51.100.7", 40000, "192.0.2.100", 80, "10.0.1.11", 8080, "10.0.1.100", 16638]
LONGEST = ip_address("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")


def test_rows_are_read_as_they_were_written() -> None:
    """Both families; none at all as well."""
    assert to_rows([FOUR]) == [ROW]
    for collisions in (frozenset[Collision](), frozenset({FOUR, SIX})):
        assert from_rows(to_rows(collisions)) == collisions


def test_many_come_in_pieces_that_may_be_sent() -> None:
    """Every one of them, and the largest piece is within a frame."""
    longest = Collision(SIX.protocol, *(LONGEST, 65535) * 4)
    many = frozenset(longest._replace(client_port=65535 - n) for n in range(3 * PIECE + 1))
    some = list(pieces(many))
    assert (len(some), frozenset().union(*some)) == (4, many)
    assert max(len(encode(Collisions(made=one, gone=one))) for one in some) < FRAME / 2
    assert list(pieces(frozenset())) == []


@pytest.mark.parametrize(
    "row",
    [
        7,
        [],
        ROW[:-1],
        [*ROW, 1],
        [132, *ROW[1:]],
        [True, *ROW[1:]],
        ["6", *ROW[1:]],
        [6, 3325256711, *ROW[2:]],
        [6, "2001:db8::7", *ROW[2:]],
        [6, *["fe80::1%eth0", 1] * 4],
        [6, "somewhere", *ROW[2:]],
        [*ROW[:-1], 0],
        [*ROW[:-1], 65536],
        [*ROW[:-1], True],
        [*ROW[:-1], 16638.0],
        [[], *ROW[1:]],
    ],
)
def test_what_is_none(row: object) -> None:
    """Too short or too long, another protocol, two families, no addresses, no ports."""
    with pytest.raises(InputError, match="a collision of ports that is none"):
        from_rows([ROW, row])
    with pytest.raises(InputError):
        from_rows({"0": ROW})
