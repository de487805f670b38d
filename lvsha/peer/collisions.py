"""Collisions of ports as rows of JSON, read strictly, and what leads from some to others.

[6, "198.51.100.7", 40000, "192.0.2.100", 80, "10.0.1.11", 8080, "10.0.1.100", 16638]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from lvsha.errors import InputError
from lvsha.model import Address, Collision, Protocol

PIECE: Final = 256
"""Rows in one message: of IPv6, some 200 bytes each."""
MOST: Final = 8192
"""That are remembered of one peer: twice as many as it follows itself."""

Row = list[int | str]


def pieces(collisions: frozenset[Collision]) -> Iterator[frozenset[Collision]]:
    """All of them, as many at a time as a message may hold."""
    ones = list(collisions)
    return (frozenset(ones[start : start + PIECE]) for start in range(0, len(ones), PIECE))


def to_rows(collisions: Iterable[Collision]) -> list[Row]:
    """What goes into the message."""
    return [[int(c) if isinstance(c, int) else str(c) for c in one] for one in collisions]


def from_rows(rows: object) -> frozenset[Collision]:
    """And back. Raises InputError."""
    try:
        if isinstance(rows, list):
            return frozenset(map(_collision, rows))
    except (ValueError, TypeError):
        pass
    raise InputError("a collision of ports that is none")


def _collision(row: list[object]) -> Collision:
    """Raises ValueError or TypeError."""
    protocol, a, a_port, b, b_port, c, c_port, d, d_port = row
    client, service, server, local = addresses = [_address(text) for text in (a, b, c, d)]
    if len({address.version for address in addresses}) > 1:
        raise ValueError("two families")
    ports = [_port(number) for number in (a_port, b_port, c_port, d_port)]
    if protocol not in (Protocol.TCP, Protocol.UDP):
        raise ValueError("a protocol without ports")
    return Collision(
        Protocol(_port(protocol)),
        *(client, ports[0]),
        *(service, ports[1]),
        *(server, ports[2]),
        *(local, ports[3]),
    )


def _address(text: object) -> Address:
    """Not a number, nor an address of one interface."""
    if isinstance(text, str) and "%" not in text:
        return ip_address(text)
    raise TypeError("not the text of an address")


def _port(number: object) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 65536:
        return number
    raise TypeError("not a port")
