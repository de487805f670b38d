"""Netlink attributes, packed and unpacked.

An attribute is a type-length-value, in the machine's own byte order and padded to four bytes
(include/uapi/linux/netlink.h, `struct nlattr`):

    0               2               4
    +---------------+---------------+-----------------------+---------+
    | length        | type          | value, length-4 bytes | padding |
    +---------------+---------------+-----------------------+---------+

A value may be a row of attributes again. There are two ways through them. `unpack` walks any
row, in whatever order and number it comes. `Layout` knows one row in advance: kinds, sizes and
order. The kernel writes every object of a sort in the same shape, so that a whole real server
is packed or unpacked by a single call of `struct`, ten times faster than walking; where the
shape differs (another kernel version), `Layout.unpack` says None and the caller walks.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from lvsha.errors import KernelError

_HEADER = struct.Struct("=HH")
_TYPE = 0x3FFF
"""NLA_TYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER, which the kernel may or may not set."""

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
    length = _HEADER.size + len(value)
    if length > 0xFFFF:
        raise ValueError(f"a netlink attribute of {length} bytes: 65535 is the limit")
    return _HEADER.pack(length, kind) + value + bytes(-length % 4)


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
    while start + _HEADER.size <= stop:
        length, kind = _HEADER.unpack_from(data, start)
        if length < _HEADER.size or start + length > stop:
            raise MalformedError(
                f"netlink attribute at byte {start} claims {length} bytes where {stop - start} are left"
            )
        found[kind & _TYPE] = data[start + _HEADER.size : start + length]
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
    """A row of attributes whose kinds, sizes and order are known in advance.

    A field is `(kind, format)` with a format of `struct` for one value, or `(kind, Layout)` for a
    nest. Values are given and returned flat, in the order of the fields.
    """

    __slots__ = ("_header_at", "_headers", "_places", "_struct", "_value_at", "format", "row", "size")

    def __init__(self, *fields: tuple[int, str | Layout]) -> None:
        self.format, self.row = _flatten(fields)
        self._struct = struct.Struct("=" + self.format)
        self.size = self._struct.size
        self._places = [place for place, header in enumerate(self.row) if header is None]
        headers = [place for place, header in enumerate(self.row) if header is not None]
        self._value_at = itemgetter(*self._places)
        self._header_at = itemgetter(*headers)
        self._headers = self._header_at(self.row)

    def pack(self, *values: Any) -> bytes:
        """The attributes with these values; struct.error where one does not fit."""
        row: list[Any] = self.row.copy()
        for place, value in zip(self._places, values, strict=True):
            row[place] = value
        return self._struct.pack(*row)

    def unpack(self, data: bytes, start: int = 0) -> tuple[Any, ...] | None:
        """The values of the row at this offset, or None where the data has another shape."""
        if len(data) - start < self.size:
            return None
        row = self._struct.unpack_from(data, start)
        if self._header_at(row) != self._headers:
            return None
        values: tuple[Any, ...] = self._value_at(row)
        return values


def _flatten(fields: tuple[tuple[int, str | Layout], ...]) -> tuple[str, list[int | None]]:
    """One format for all, and for each place in its row the header that stands there; None for a value."""
    formats: list[str] = []
    row: list[int | None] = []
    for kind, shape in fields:
        if isinstance(shape, Layout):
            formats += ["I", shape.format]
            row += [_header(_HEADER.size + shape.size, kind), *shape.row]
        else:
            size = struct.calcsize("=" + shape)
            formats += ["I", shape, f"{-size % 4}x"]
            row += [_header(_HEADER.size + size, kind), None]
    return "".join(formats), row


def _header(length: int, kind: int) -> int:
    """Length and type as the one 32-bit number that they make in memory."""
    return int.from_bytes(_HEADER.pack(length, kind), sys.byteorder)
