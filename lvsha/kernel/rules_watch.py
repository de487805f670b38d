"""Tells when somebody takes rules of lvsha's out of nftables.

`nft flush ruleset`, with which Debian's own /etc/nftables.conf begins, takes everybody's. When the last rule
goes that asks for connection tracking, the kernel tracks no more (nf_ct_netns_put(),
net/netfilter/nf_conntrack_proto.c): not only new connections of mode fullnat leave without source NAT, those
that have it lose it too, and break as soon as an answer has met a machine that knows nothing of them. The
entries are kept, though: where the rules are back within a moment, connections go on. So that is not left to
the next look.

iptables tells nobody.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Final

from lvsha.kernel.attributes import MalformedError, aligned, text, unpack
from lvsha.kernel.conntrack import NETLINK_NETFILTER
from lvsha.kernel.frames import HEADER

OWN = "lvsha"
"""The names of lvsha's tables begin with it."""

# include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h.
_GROUP: Final = 1 << 7 - 1
"""NFNLGRP_NFTABLES, as a mask."""
_SUBSYSTEM: Final = 10
_NEWTABLE: Final = 0
_REMOVALS: Final = frozenset({2, 5, 8, 11, 14})
"""NFT_MSG_DEL: a table, chain, rule, set, or an element of one."""
_TABLE: Final = 1
"""The attribute that names the table; in all of these messages it is this one."""
_NFGENMSG: Final = 4

_NLMSGHDR = struct.Struct("=IHHII")
_RECEIVE = 64 * 1024
_DATAGRAMS = 64
"""At most so many are read at once."""


class RulesWatch:
    """Removals in the network namespace in which this was opened.

    Raises OSError where the kernel has no nf_tables.
    """

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        self._socket.bind((0, _GROUP))

    def fileno(self) -> int:
        """The file descriptor, for an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def receive(self) -> bool:
        """Whether something of lvsha's has been removed, or may have been; reads what waits to be read."""
        gone: set[str] = set()
        for _ in range(_DATAGRAMS):
            try:
                data, sender = self._socket.recvfrom(_RECEIVE)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                return True
            # Only the kernel's port is 0; another process may write to this socket.
            for kind, table in changes_in(data) if sender[0] == 0 else ():
                # A table that is replaced is removed and added in one go, as lvsha does it.
                (gone.discard if kind == _NEWTABLE else gone.add)(table)
        return bool(gone)


def changes_in(data: bytes) -> Iterator[tuple[int, str]]:
    """The kind of change and lvsha's table that it is about, for each message of one datagram."""
    start = 0
    while start + HEADER <= len(data):
        length, kind, _, _, _ = _NLMSGHDR.unpack_from(data, start)
        if length < HEADER + _NFGENMSG or start + length > len(data):
            return
        if kind >> 8 == _SUBSYSTEM and kind & 0xFF in _REMOVALS | {_NEWTABLE}:
            try:
                table = text(unpack(data, start + HEADER + _NFGENMSG, start + length), _TABLE, "")
            except MalformedError:
                return
            if table.startswith(OWN):
                yield kind & 0xFF, table
        start += aligned(length)
