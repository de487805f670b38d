"""What happens to interfaces and addresses, told by the kernel as it happens.

Nothing is polled: a cable that is pulled or an address that somebody removes is a message on
this socket. When messages are lost (the socket's buffer ran over), `Missed` stands for them and
the caller has to look at everything again.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lvsha.kernel import addresses, links
from lvsha.kernel.addresses import Held
from lvsha.kernel.attributes import aligned
from lvsha.kernel.frames import HEADER
from lvsha.kernel.links import Link

# RTMGRP_* of include/uapi/linux/rtnetlink.h.
_LINK: Final = 0x1
_IPV4_IFADDR: Final = 0x10
_IPV6_IFADDR: Final = 0x100

_ANY_FAMILY = bytes(1)
"""AF_UNSPEC: the message is about the interface itself."""
_NLMSGHDR = struct.Struct("=IHHII")
_RECEIVE = 64 * 1024
_BUFFER = 1024 * 1024
_SO_RCVBUFFORCE = 33
_DATAGRAMS = 64
"""At most so many are read at once, so that a storm of changes does not hold up anything else."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """An interface came, or is different."""

    link: Link


@dataclass(frozen=True, slots=True)
class LinkGone:
    """An interface was removed, or went to another namespace."""

    link: Link


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """An address came, or was renewed."""

    held: Held


@dataclass(frozen=True, slots=True)
class AddressGone:
    """An address was removed, or its life ended."""

    held: Held


@dataclass(frozen=True, slots=True)
class Missed:
    """Messages were lost: look at everything again."""


Change = LinkChanged | LinkGone | AddressChanged | AddressGone | Missed


class Watch:
    """Changes in the network namespace in which this was opened. Raises OSError where there is no netlink."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, links.NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, _LINK | _IPV4_IFADDR | _IPV6_IFADDR))

    def fileno(self) -> int:
        """The file descriptor, for an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def receive(self) -> list[Change]:
        """Changes that wait to be read, a bounded number of them; empty when none do."""
        changes: list[Change] = []
        for _ in range(_DATAGRAMS):
            try:
                data, sender = self._socket.recvfrom(_RECEIVE)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                changes.append(Missed())
                continue
            # Only the kernel's port is 0; another process may write to this socket.
            if sender[0] == 0:
                changes += changes_in(data)
        return changes


def changes_in(data: bytes) -> Iterator[Change]:
    """The changes that one datagram tells of. Raises MalformedError for one that is cut short."""
    start = 0
    while start + HEADER <= len(data):
        length, kind, _, _, _ = _NLMSGHDR.unpack_from(data, start)
        if length < HEADER:
            return
        change = _change(kind, data[start + HEADER : start + length])
        if change is not None:
            yield change
        start += aligned(length)


def _change(kind: int, body: bytes) -> Change | None:
    match kind:
        case links.RTM_NEWLINK | links.RTM_DELLINK if body[:1] != _ANY_FAMILY:
            # A bridge speaks of its ports (br_ifinfo_notify() in net/bridge/br_netlink.c): "gone" is an
            # interface that has left the bridge.
            return None
        case links.RTM_NEWLINK:
            return LinkChanged(links.link(body))
        case links.RTM_DELLINK:
            return LinkGone(links.link(body))
        case addresses.RTM_NEWADDR:
            held = addresses.held(body)
            return None if held is None else AddressChanged(held)
        case addresses.RTM_DELADDR:
            held = addresses.held(body)
            return None if held is None else AddressGone(held)
        case _:
            return None
