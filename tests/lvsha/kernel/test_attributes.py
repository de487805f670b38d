"""Netlink attributes, packed and unpacked."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.kernel.attributes import (
    Layout,
    MalformedError,
    number,
    pack,
    pack_be16,
    pack_text,
    pack_u8,
    pack_u16,
    pack_u32,
    text,
    unpack,
)

kinds = st.integers(1, 0x3FFF)


@given(st.dictionaries(kinds, st.binary(max_size=40)))
def test_a_row_comes_back(values: dict[int, bytes]) -> None:
    """Whatever is packed is unpacked, whatever its lengths."""
    assert unpack(b"".join(pack(kind, value) for kind, value in values.items())) == values


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes from anywhere give attributes that lie within them, or MalformedError, and nothing else."""
    try:
        found = unpack(data)
    except MalformedError:
        return
    assert sum(map(len, found.values())) <= len(data)


def test_an_attribute_is_laid_out_as_the_kernel_wants_it() -> None:
    """Length without padding, type, value, padding to four bytes."""
    assert pack(3, b"abcde") == struct.pack("=HH", 9, 3) + b"abcde" + bytes(3)
    assert pack_be16(4, 80) == struct.pack("=HH", 6, 4) + b"\x00\x50" + bytes(2)
    assert pack_u16(4, 80) == struct.pack("=HHHxx", 6, 4, 80)


def test_a_nest_is_known_by_its_type_whatever_its_flags() -> None:
    """The kernel may mark nests with NLA_F_NESTED; the type is the same."""
    assert unpack(struct.pack("=HHI", 8, 0x8000 | 5, 7)) == {5: struct.pack("=I", 7)}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (struct.pack("=HH", 3, 1), "at byte 0 claims 3 bytes"),
        (struct.pack("=HH", 9, 1) + bytes(4), "at byte 0 claims 9 bytes where 8 are left"),
        (pack_u32(1, 1) + struct.pack("=HH", 65535, 2), "at byte 8 claims 65535 bytes where 4 are left"),
    ],
)
def test_a_wrong_length_is_told_with_its_place(data: bytes, said: str) -> None:
    """An attribute that is shorter than its header or longer than its row is an error that names the byte."""
    with pytest.raises(MalformedError, match=said):
        unpack(data)


def test_an_attribute_too_long_for_its_length_field_is_refused() -> None:
    """A length of 16 bits is not overrun in silence."""
    with pytest.raises(ValueError, match="65535 is the limit"):
        pack(1, bytes(65532))


@pytest.mark.parametrize("packed", [pack_u8(7, 200), pack_u16(7, 200), pack_u32(7, 200), pack_be16(7, 200)])
def test_a_number_is_read_in_its_own_width(packed: bytes) -> None:
    """Numbers of one, two and four bytes come back."""
    order = "big" if packed == pack_be16(7, 200) else sys.byteorder
    assert number(unpack(packed), 7, order=order) == 200


def test_a_missing_number_is_an_error_or_its_default() -> None:
    """Without a default a missing attribute is told by its kind."""
    assert number({}, 7, 5) == 5
    with pytest.raises(MalformedError, match="attribute 7 is missing"):
        number({}, 7)


def test_three_bytes_are_no_number() -> None:
    """An attribute of an odd width is refused."""
    with pytest.raises(MalformedError, match="attribute 7 is 3 bytes long"):
        number({7: b"abc"}, 7)


def test_text_ends_at_its_nul() -> None:
    """What follows the NUL is no part of the string, and bytes that are not UTF-8 are shown escaped."""
    assert text(unpack(pack_text(1, "rr")), 1) == "rr"
    assert text({1: b"rr\0junk"}, 1) == "rr"
    assert text({1: b"r\xff"}, 1) == "r\\xff"
    assert text({}, 1, "none") == "none"
    with pytest.raises(MalformedError, match="attribute 1 is missing"):
        text({}, 1)


def test_text_with_a_nul_inside_is_not_sent() -> None:
    """The kernel would cut there, and so take another name than was asked for."""
    with pytest.raises(ValueError, match="NUL"):
        pack_text(1, "a\0b")


@given(
    st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(min_size=6, max_size=6)
)
def test_a_layout_packs_what_single_attributes_would(small: int, middle: int, large: int, raw: bytes) -> None:
    """A row packed at once is the same bytes as its attributes packed one by one."""
    layout = Layout((1, "B"), (2, "H"), (3, "I"), (4, "6s"))
    assert layout.pack(small, middle, large, raw) == (
        pack_u8(1, small) + pack_u16(2, middle) + pack_u32(3, large) + pack(4, raw)
    )


def test_a_layout_refuses_what_does_not_fit() -> None:
    """Neither a number too large nor a value too few is packed as something else."""
    layout = Layout((1, "B"), (2, "H"))
    with pytest.raises(struct.error):
        layout.pack(256, 1)
    with pytest.raises(ValueError, match="extended slice"):
        layout.pack(1)
