"""A kernel that the test plays, at the far end of a socket pair instead of netlink.

The running kernel does not fall silent, cut its replies short or contradict itself when a test
would like it to.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from lvsha.kernel import frames
from lvsha.kernel.attributes import aligned

_HEADER = struct.Struct("=IHHII")


class Ends:
    """What `Netlink` connects to: the far ends of socket pairs, which the test plays the kernel at."""

    def __init__(self) -> None:
        self.far: list[socket.socket] = []
        self.opened = threading.Semaphore(0)

    def connect(self) -> socket.socket:
        """A new socket to the test."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        self.far.append(far)
        if len(self.far) > 1:
            self.opened.release()
        return near

    def answer(self, reply: Callable[[bytes], bytes]) -> None:
        """Wait for a request at the newest socket and answer it."""
        far = self.far[-1]
        far.settimeout(10)
        far.send(reply(far.recv(1 << 16)))


def sequence(request: bytes) -> int:
    """The sequence number of the first message of a request."""
    return int(_HEADER.unpack_from(request)[3])


def acknowledge(request: bytes) -> bytes:
    """The kernel's acknowledgements of the messages that ask for it."""
    verdicts = []
    while request:
        length, _, flags, number, _ = _HEADER.unpack_from(request)
        if flags & frames.ACK:
            verdicts.append(refuse(request, 0, number))
        request = request[aligned(length) :]
    return b"".join(verdicts)


def refuse(request: bytes, errno: int, number: int | None = None) -> bytes:
    """The kernel's refusal of the first message of a request, capped as it is asked to; errno 0 is none."""
    capped = struct.pack("=i", -errno) + request[: _HEADER.size]
    return frames.frame(2, 0x100, sequence(request) if number is None else number, capped)
