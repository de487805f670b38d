"""Netlink attributes, packed and unpacked.

An attribute is a type-length-value, in the machine's own byte order and padded to four bytes
(include/uapi/linux/netlink.h, `struct nlattr`):

    0               2               4
    +---------------+---------------+-----------------------+---------+
    | length        | type          | value, length-4 bytes | padding |
    +---------------+---------------+-----------------------+---------+

A value may be a row of attributes again. `pack` and `unpack` serve single attributes and rows
that are seldom met. What comes by the ten thousand goes through one call of `struct` a row:
`Layout` packs one whose kinds and sizes are known in advance, `lvsha.kernel.rows` unpacks.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from typing import Any

from lvsha.errors import KernelError

HEADER = struct.Struct("=HH")
"""Length, with the header itself and without padding; type."""
TYPE = 0x3FFF
"""NLATYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER, which the kernel may or may not set."""

Attributes = Mapping[int, bytes]
"""What `unpack` found: kind -> value. Of a kind that comes twice, the last counts."""


class MalformedError(KernelError):
    """What came back from netlink is cut short or contradicts itself."""


def aligned(length: int) -> int:
    """A length rounded up to the next multiple of four: NLA_ALIGN, NLMSG_ALIGN."""
    return (length + 3) & ~3


def pack(kind: int, value: bytes) -> bytes:
    """One attribute; `value` may be packed attributes, which makes it a nest.

    Raises ValueError where the value does not fit into the 16-bit length.
    """
    length = HEADER.size + len(value)
    if length > 0xFFFF:
        raise ValueError(f"a netlink attribute of {length} bytes: 65535 is the limit")
    return HEADER.pack(length, kind) + value + bytes(-length % 4)


def pack_u8(kind: int, value: int) -> bytes:
    """An attribute that holds an 8-bit number."""
    return pack(kind, value.to_bytes(1, sys.byteorder))


def pack_u16(kind: int, value: int) -> bytes:
    """An attribute that holds a 16-bit number in the machine's order."""
    return pack(kind, value.to_bytes(2, sys.byteorder))


def pack_be16(kind: int, value: int) -> bytes:
    """An attribute that holds a 16-bit number in network order, as ports mostly are."""
    return pack(kind, value.to_bytes(2, "big"))


def pack_u32(kind: int, value: int) -> bytes:
    """An attribute that holds a 32-bit number in the machine's order."""
    return pack(kind, value.to_bytes(4, sys.byteorder))


def pack_text(kind: int, value: str) -> bytes:
    """An attribute that holds a C string; a NUL inside it is a ValueError, for the kernel would cut there."""
    if "\0" in value:
        raise ValueError(f"{value!r} holds a NUL")
    return pack(kind, value.encode() + b"\0")


def unpack(data: bytes, start: int = 0, end: int | None = None) -> Attributes:
    """A row of attributes between two offsets of `data`.

    Raises MalformedError with the offset where a length does not fit.
    """
    stop = len(data) if end is None else end
    found = {}
    # Fewer than four bytes left are padding of the row itself: nla_ok() of the kernel ends there too.
    while start + HEADER.size <= stop:
        length, kind = HEADER.unpack_from(data, start)
        if length < HEADER.size or start + length > stop:
            raise MalformedError(
                f"netlink attribute at byte {start} claims {length} bytes where {stop - start} are left"
            )
        found[kind & TYPE] = data[start + HEADER.size : start + length]
        start += aligned(length)
    return found


def number(found: Attributes, kind: int, default: int | None = None, *, order: Any = sys.byteorder) -> int:
    """The number in an attribute, of whatever width the kernel gave it.

    Raises MalformedError where the attribute is missing and has no default, or is no number.
    """
    value = found.get(kind)
    if value is None:
        if default is None:
            raise MalformedError(f"netlink attribute {kind} is missing")
        return default
    if len(value) not in (1, 2, 4, 8):
        raise MalformedError(f"netlink attribute {kind} is {len(value)} bytes long, which is no number")
    return int.from_bytes(value, order)


def text(found: Attributes, kind: int, default: str | None = None) -> str:
    """The C string in an attribute; bytes that are not UTF-8 are shown escaped, not refused.

    Raises MalformedError where the attribute is missing and has no default.
    """
    value = found.get(kind)
    if value is None:
        if default is None:
            raise MalformedError(f"netlink attribute {kind} is missing")
        return default
    return value.split(b"\0", 1)[0].decode(errors="backslashreplace")


class Layout:
    """A row of attributes whose kinds, sizes and order are known in advance, to be packed at once.

    A field is `(kind, format)`, the format being `struct`'s for one value.
    """

    __slots__ = ("_row", "_struct")

    def __init__(self, *fields: tuple[int, str]) -> None:
        sizes = [struct.calcsize("=" + form) for _, form in fields]
        self._struct = struct.Struct(
            "=" + "".join(f"I{form}{-size % 4}x" for (_, form), size in zip(fields, sizes, strict=True))
        )
        # Length and type as the one 32-bit number that they make in memory, then room for the value.
        self._row: list[Any] = [0] * (2 * len(fields))
        self._row[0::2] = [
            int.from_bytes(HEADER.pack(HEADER.size + size, kind), sys.byteorder)
            for (kind, _), size in zip(fields, sizes, strict=True)
        ]

    def pack(self, *values: Any) -> bytes:
        """The attributes with these values, in the fields' order; struct.error where one does not fit."""
        row = self._row.copy()
        row[1::2] = values
        return self._struct.pack(*row)
