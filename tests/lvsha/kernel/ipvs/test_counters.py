"""The counters of services and servers."""

from __future__ import annotations

from dataclasses import fields as fields_of

from lvsha.kernel.attributes import pack, pack_u32
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.counters import counters, fields
from lvsha.kernel.rows import Rows, number
from lvsha.model import Counters

NARROW, WIDE = 1, 2


def nest(kind: int, *values: int) -> bytes:
    """Statistics with these counters, from the first on."""
    return pack(kind, b"".join(pack_u32(place, value) for place, value in enumerate(values, 1)))


def read(data: bytes) -> Counters:
    """The counters of a row."""
    return counters(Rows(number((99,), default=0), *fields(NARROW, WIDE)).unpack(data)[1:])


def test_the_wide_counters_are_preferred() -> None:
    """Each counter comes from the wide statistics, and from the narrow ones where those lack it."""
    assert read(nest(NARROW, 1, 2, 3) + nest(WIDE, 10, 20)) == Counters(10, 20, 3)


def test_no_statistics_are_zeros() -> None:
    """An object without statistics has counted nothing."""
    assert read(b"") == Counters()


def test_every_counter_has_its_place() -> None:
    """The kernel's ten numbers are the model's ten counters, in order."""
    assert read(nest(WIDE, *range(1, 11))) == Counters(*range(1, 11))
    assert len(fields_of(Counters)) == abi.STATS_COUNT
