"""Netlink messages: the frame around every request and every reply.

A datagram holds one message after another, each padded to four bytes
(include/uapi/linux/netlink.h, `struct nlmsghdr`):

    0               4       6       8               12              16
    +---------------+-------+-------+---------------+---------------+------
    | length        | type  | flags | sequence      | port          | body
    +---------------+-------+-------+---------------+---------------+------

The kernel repeats a request's sequence number in every reply to it, which is how an error in
the middle of a batch finds its request. An error is a message of its own (NLMSG_ERROR, also
the positive acknowledgement with errno 0); a dump ends with NLMSG_DONE, which may hold an
errno too. With NETLINK_EXT_ACK the kernel adds words of its own.

Pure: bytes in, values out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from lvsha.kernel.attributes import MalformedError, aligned, text, unpack

_HEADER = struct.Struct("=IHHII")
HEADER = _HEADER.size

# Flags of a request.
REQUEST = 0x1
ACK = 0x4
DUMP = 0x300

# Flags of an error: NLM_F_CAPPED, NLM_F_ACK_TLVS.
_CAPPED = 0x100
_WORDS_FOLLOW = 0x200

# Types below NLMSG_MIN_TYPE are netlink's own.
NOOP = 1
_ERROR = 2
_DONE = 3
_OVERRUN = 4
_MIN_TYPE = 0x10

_NLMSGERR_ATTR_MSG = 1
_ERRNO = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class Answer:
    """A message with content."""

    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a request: an acknowledgement (errno 0), an error, or the end of a dump."""

    sequence: int
    errno: int
    words: str = ""
    """What the kernel had to say beyond the number, if anything."""


def frame(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One request, padded, ready to be sent alone or behind others."""
    length = HEADER + len(body)
    return _HEADER.pack(length, kind, flags, sequence, 0) + body + bytes(-length % 4)


def messages(datagram: bytes) -> Iterator[Answer | Verdict]:
    """The messages of one datagram.

    Raises MalformedError where a length does not fit; what came before has been yielded by then.
    """
    start, end = 0, len(datagram)
    while start < end:
        if end - start < HEADER:
            raise MalformedError(
                f"netlink message at byte {start} is cut short: {end - start} bytes are left"
            )
        length, kind, flags, sequence, _port = _HEADER.unpack_from(datagram, start)
        if length < HEADER or start + length > end:
            raise MalformedError(
                f"netlink message at byte {start} claims {length} bytes where {end - start} are left"
            )
        message = _message(kind, flags, sequence, datagram[start + HEADER : start + length])
        if message is not None:
            yield message
        start += aligned(length)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> Answer | Verdict | None:
    if kind >= _MIN_TYPE:
        return Answer(sequence, body)
    if kind == _ERROR:
        return _error(flags, sequence, body)
    if kind == _DONE:
        return _done(flags, sequence, body)
    if kind == _OVERRUN:
        raise MalformedError("netlink says that data was lost (NLMSG_OVERRUN)")
    return None  # NLMSG_NOOP


def _error(flags: int, sequence: int, body: bytes) -> Verdict:
    """NLMSG_ERROR: errno, the header of the request, its body unless capped, then attributes."""
    if len(body) < _ERRNO.size + HEADER:
        raise MalformedError(f"netlink error message holds {len(body)} bytes, too few for an error")
    (errno,) = _ERRNO.unpack_from(body)
    (requested,) = struct.unpack_from("=I", body, _ERRNO.size)
    start = _ERRNO.size + (HEADER if flags & _CAPPED else aligned(requested))
    return Verdict(sequence, -errno, _words(body, start) if flags & _WORDS_FOLLOW else "")


def _done(flags: int, sequence: int, body: bytes) -> Verdict:
    errno = _ERRNO.unpack_from(body)[0] if len(body) >= _ERRNO.size else 0
    words = _words(body, _ERRNO.size) if flags & _WORDS_FOLLOW else ""
    # A positive number is no error: some families return how much they dumped.
    return Verdict(sequence, max(0, -errno), words)


def _words(body: bytes, start: int) -> str:
    return text(unpack(body, start), _NLMSGERR_ATTR_MSG, "")
