"""Rows of netlink attributes, unpacked a whole row at a time.

The kernel writes all objects of a sort in the same shape: the same attributes, in the same
order, of the same sizes. Which shape that is depends on its version and architecture; some put
an attribute of padding before every 64-bit number. So the first row is walked, attribute by
attribute, and its shape remembered as a format for `struct`. Every later row of that length is
unpacked by one call, and taken if all its headers, which are unpacked beside the values, are
what they were; else it is walked and teaches another shape.

A real server with its statistics is some fifty attributes: a microsecond or two instead of
thirty.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from lvsha.kernel.attributes import HEADER, TYPE, MalformedError, aligned

Path = tuple[int, ...]
"""The kind of an attribute, preceded by those of the nests that it is in."""
Row = tuple[Any, ...]

_SHAPES = 64
"""Shapes remembered. A kernel has a handful; the names of schedulers make some more."""
_NUMBERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


class _Required:
    """Stands for the default of a field that has none."""


REQUIRED = _Required()


@dataclass(frozen=True, slots=True)
class Field:
    """A value that is wanted of a row.

    Of several paths the first counts that the row has. A row without any yields the default, or
    is malformed if there is none.
    """

    paths: tuple[Path, ...]
    raw: bool
    """Bytes as they are, instead of a number in the machine's order."""
    default: Any = REQUIRED


def number(*paths: Path, default: Any = REQUIRED) -> Field:
    """A field that is a number of one, two, four or eight bytes."""
    return Field(paths, raw=False, default=default)


def raw(*paths: Path, default: Any = REQUIRED) -> Field:
    """A field that is taken as bytes."""
    return Field(paths, raw=True, default=default)


class Rows:
    """Unpacks rows of one sort into the values of its fields, in their order."""

    __slots__ = ("_fields", "_nests", "_raw", "_shapes")

    def __init__(self, *fields: Field) -> None:
        self._fields = fields
        self._raw = {path: wanted.raw for wanted in fields for path in wanted.paths}
        self._nests = {path[:depth] for path in self._raw for depth in range(1, len(path))}
        self._shapes: dict[int, _Shape] = {}

    def unpack(self, data: bytes) -> Row:
        """The values of a row; raises MalformedError."""
        shape = self._shapes.get(len(data))
        if shape is not None:
            row = shape.unpack_from(data)
            if shape.headers_of(row) == shape.headers:
                return shape.values_of(row + shape.defaults)
        return self._learn(data)

    def _learn(self, data: bytes) -> Row:
        trace = _Trace(data, self._nests, self._raw)
        trace.walk(0, len(data), ())
        shape = trace.shape(self._fields)
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        self._shapes[len(data)] = shape
        return shape.values_of(shape.unpack_from(data) + shape.defaults)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What was learned from a row: how `struct` unpacks it, and what stands where in the result."""

    unpack_from: Callable[[bytes], Row]
    headers_of: Callable[[Row], Row]
    headers: Row
    values_of: Callable[[Row], Row]
    defaults: Row
    """Appended to a row, so that a field which is not in it has its place too."""


class _Trace:
    """A walk through a row that notes its shape."""

    def __init__(self, data: bytes, nests: set[Path], raw_paths: dict[Path, bool]) -> None:
        self._data = data
        self._nests = nests
        self._raw = raw_paths
        self._formats = ["="]
        self._width = 0
        self._headers: dict[int, int] = {}
        """Place in the unpacked row -> length and type as one number."""
        self._places: dict[Path, int] = {}
        """Path -> place of its value. Of an attribute that comes twice, the last counts."""

    def walk(self, start: int, stop: int, above: Path) -> None:
        """Follow the attributes between two offsets; raises MalformedError where a length does not fit."""
        while start + HEADER.size <= stop:
            length, kind = HEADER.unpack_from(self._data, start)
            if length < HEADER.size or start + length > stop:
                raise MalformedError(
                    f"netlink attribute at byte {start} claims {length} bytes where {stop - start} are left"
                )
            self._headers[self._place("I")] = int.from_bytes(self._data[start : start + 4], sys.byteorder)
            self._value((*above, kind & TYPE), start + HEADER.size, start + length)
            following = min(start + aligned(length), stop)
            self._formats.append(f"{following - start - length}x")
            start = following
        self._formats.append(f"{stop - start}x")

    def shape(self, fields: tuple[Field, ...]) -> _Shape:
        """What the walk has taught; raises MalformedError where a required field was not met."""
        chosen: list[int] = []
        defaults: list[Any] = []
        for wanted in fields:
            place = next((self._places[path] for path in wanted.paths if path in self._places), None)
            if place is None:
                if wanted.default is REQUIRED:
                    raise MalformedError(f"netlink attribute {wanted.paths[0]} is missing")
                place = self._width + len(defaults)
                defaults.append(wanted.default)
            chosen.append(place)
        return _Shape(
            struct.Struct("".join(self._formats)).unpack_from,
            _getter(list(self._headers)),
            tuple(self._headers.values()),
            _getter(chosen),
            tuple(defaults),
        )

    def _value(self, path: Path, start: int, stop: int) -> None:
        if path in self._nests:
            self.walk(start, stop, path)
        elif path not in self._raw:
            self._formats.append(f"{stop - start}x")
        elif self._raw[path]:
            self._places[path] = self._place(f"{stop - start}s")
        elif stop - start in _NUMBERS:
            self._places[path] = self._place(_NUMBERS[stop - start])
        else:
            raise MalformedError(f"netlink attribute {path} is {stop - start} bytes long, which is no number")

    def _place(self, form: str) -> int:
        self._formats.append(form)
        self._width += 1
        return self._width - 1


def _getter(places: list[int]) -> Callable[[Row], Row]:
    """What takes these places out of a row; itemgetter gives a tuple only for two or more."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple(row[place] for place in places)
