"""Rows of netlink attributes, unpacked at once by shapes that were learned."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.kernel.attributes import MalformedError, pack, pack_u8, pack_u16, pack_u32
from lvsha.kernel.rows import Rows, number, raw

PAD = 11
WIDE, NARROW = 20, 21


def rows() -> Rows:
    """A sort of rows with a number, bytes, an optional number and a number in one of two nests."""
    return Rows(
        number((1,)),
        raw((2,), default=b""),
        number((3,), default=77),
        number((WIDE, 1), (NARROW, 1), default=0),
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFFFFFF),
            st.binary(max_size=9),
            st.none() | st.integers(0, 255),
            st.none() | st.integers(0, 2**64 - 1),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_rows_of_many_shapes_come_back(
    wanted: list[tuple[int, bytes, int | None, int | None, bool]],
) -> None:
    """One after another, whatever shape was learned before, each row yields its own values."""
    reader = rows()
    for first, data, third, nested, padded in wanted:
        row = [pack_u32(1, first), pack(2, data)]
        if padded:
            row.insert(1, pack(PAD, b""))
        if third is not None:
            row.append(pack_u8(3, third))
        if nested is not None:
            row.append(pack(WIDE, pack(PAD, b"") * padded + pack(1, struct.pack("=Q", nested))))
        expected = (first, data, 77 if third is None else third, nested or 0)
        assert reader.unpack(b"".join(row)) == expected
        assert reader.unpack(b"".join(row)) == expected


@given(st.data())
def test_what_was_learned_is_not_believed_blindly(data: st.DataObject) -> None:
    """A reader that has learned a shape reads any bytes as a fresh one does."""
    reader = rows()
    reader.unpack(pack_u32(1, 5) + pack(2, b"abcd") + pack_u16(3, 6))
    anything = data.draw(st.binary(min_size=24, max_size=24))
    assert outcome(reader, anything) == outcome(rows(), anything)


def outcome(reader: Rows, data: bytes) -> object:
    """The values, or that there are none."""
    try:
        return reader.unpack(data)
    except MalformedError:
        return MalformedError


def test_rows_of_one_length_and_two_shapes_alternate() -> None:
    """A length alone does not make a shape: the headers are compared each time."""
    reader = rows()
    one = pack_u32(1, 5) + pack_u32(3, 6)
    other = pack_u32(3, 8) + pack_u32(1, 7)
    assert [reader.unpack(row) for row in (one, other, one, other)] == [
        (5, b"", 6, 0),
        (7, b"", 8, 0),
        (5, b"", 6, 0),
        (7, b"", 8, 0),
    ]


def test_the_first_path_that_is_there_counts() -> None:
    """Of the two nests the wide one is taken, the narrow one where there is no other."""
    wide, narrow = pack(WIDE, pack(1, struct.pack("=Q", 1 << 40))), pack(NARROW, pack_u32(1, 9))
    assert rows().unpack(pack_u32(1, 0) + narrow + wide)[3] == 1 << 40
    assert rows().unpack(pack_u32(1, 0) + narrow)[3] == 9


def test_of_an_attribute_that_comes_twice_the_last_counts() -> None:
    """As the kernel's own parser has it (nla_parse)."""
    assert rows().unpack(pack_u32(1, 5) + pack_u32(1, 6))[0] == 6


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"attribute \(1,\) is missing"),
        (pack_u32(2, 5), r"attribute \(1,\) is missing"),
        (pack(1, b"abc"), "3 bytes long, which is no number"),
        (struct.pack("=HH", 12, 1) + bytes(4), "at byte 0 claims 12 bytes where 8 are left"),
        (pack_u32(1, 5) + struct.pack("=HHHH", 8, WIDE, 9, 1), "at byte 12 claims 9 bytes where 4 are left"),
    ],
)
def test_a_broken_row_is_told_with_its_place(data: bytes, said: str) -> None:
    """What is missing, no number or too long is said, with the byte where it is."""
    with pytest.raises(MalformedError, match=said):
        rows().unpack(data)


def test_a_reader_forgets_shapes_before_they_fill_the_memory() -> None:
    """Rows of ever new shapes are read, and only so many remembered."""
    reader = rows()
    for length in range(500):
        assert reader.unpack(pack_u32(1, length) + pack(2, bytes(length)))[1] == bytes(length)
    assert len(reader._shapes) <= 64
