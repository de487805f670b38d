"""Netlink messages and what the kernel says in them."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.kernel.attributes import MalformedError, pack_text
from lvsha.kernel.frames import Answer, Verdict, frame, messages

ERROR, DONE, OVERRUN, NOOP = 2, 3, 4, 1
CAPPED, TLVS = 0x100, 0x200


def error(
    sequence: int, number: int, request: bytes = frame(16, 5, 0, b""), words: bytes = b"", flags: int = 0
) -> bytes:
    """NLMSG_ERROR as the kernel's netlink_ack makes it."""
    return frame(ERROR, flags, sequence, struct.pack("=i", -number) + request + words)


@given(st.lists(st.tuples(st.integers(16, 0xFFFF), st.integers(0, 2**32 - 1), st.binary(max_size=30))))
def test_messages_of_a_datagram_come_back(sent: list[tuple[int, int, bytes]]) -> None:
    """Any number of messages with content is taken apart again, their padding dropped."""
    datagram = b"".join(frame(kind, 0, sequence, body) for kind, sequence, body in sent)
    assert list(messages(datagram)) == [Answer(sequence, body) for _, sequence, body in sent]


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(datagram: bytes) -> None:
    """Bytes from anywhere give messages or MalformedError, and nothing else."""
    try:
        found = list(messages(datagram))
    except MalformedError:
        return
    assert len(found) <= len(datagram) // 16


def test_a_frame_is_laid_out_as_the_kernel_wants_it() -> None:
    """Length without padding, type, flags, sequence, port 0, body, padding to four bytes."""
    assert frame(30, 5, 7, b"abc") == struct.pack("=IHHII", 19, 30, 5, 7, 0) + b"abc\0"


def test_an_acknowledgement_has_errno_0() -> None:
    """A positive acknowledgement is the error 0 of its request."""
    assert list(messages(error(7, 0))) == [Verdict(7, 0)]


def test_the_kernels_own_words_are_read() -> None:
    """The extended text is found behind the request, whole or capped to its header."""
    request = frame(16, 5, 0, bytes(20))
    words = pack_text(1, "Unknown device type")
    whole = error(7, errno.EOPNOTSUPP, request, words, TLVS)
    capped = error(8, errno.EOPNOTSUPP, request[:16], words, TLVS | CAPPED)
    assert list(messages(whole + capped)) == [
        Verdict(7, errno.EOPNOTSUPP, "Unknown device type"),
        Verdict(8, errno.EOPNOTSUPP, "Unknown device type"),
    ]


def test_a_dump_may_end_in_an_error() -> None:
    """NLMSG_DONE bears the errno of a dump that failed on the way; a count is no error."""
    done = [frame(DONE, 2, 5, struct.pack("=i", number)) for number in (0, -errno.EBUSY, 12)]
    assert list(messages(b"".join([*done, frame(DONE, 2, 6, b"")]))) == [
        Verdict(5, 0),
        Verdict(5, errno.EBUSY),
        Verdict(5, 0),
        Verdict(6, 0),
    ]


def test_a_message_of_nothing_is_passed_over() -> None:
    """NLMSG_NOOP says nothing."""
    assert list(messages(frame(NOOP, 0, 1, b"") + error(2, 0))) == [Verdict(2, 0)]


@pytest.mark.parametrize(
    ("datagram", "said"),
    [
        (b"abc", "at byte 0 is cut short: 3 bytes"),
        (frame(30, 0, 1, b"") + bytes(15), "at byte 16 is cut short: 15 bytes"),
        (struct.pack("=IHHII", 15, 30, 0, 1, 0), "at byte 0 claims 15 bytes"),
        (struct.pack("=IHHII", 40, 30, 0, 1, 0) + bytes(8), "at byte 0 claims 40 bytes where 24 are left"),
        (frame(ERROR, 0, 1, bytes(19)), "holds 19 bytes, too few"),
        (frame(OVERRUN, 0, 1, b""), "data was lost"),
        (error(1, 5, words=struct.pack("=HH", 99, 1), flags=TLVS), "claims 99 bytes"),
    ],
)
def test_a_broken_datagram_is_told_with_its_place(datagram: bytes, said: str) -> None:
    """What is cut short or contradicts itself is an error that says where."""
    with pytest.raises(MalformedError, match=said):
        list(messages(datagram))


def test_what_came_before_a_broken_message_is_not_lost() -> None:
    """The messages in front of the broken one are yielded first."""
    found = messages(error(1, 0) + b"abc")
    assert next(found) == Verdict(1, 0)
    with pytest.raises(MalformedError):
        next(found)
