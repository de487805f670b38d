"""Connections whose client's port source NAT had to change: heard of, looked up, made, removed (ctnetlink).

    original    client : 40000          -> service : port
    reply       server : server's port  -> local address : 16638

Connection tracking tells those who listen of every new entry, and there may be tens of thousands a second.
A filter on the socket leaves only these, before anybody is woken. Which port it became is told nowhere
else; it cannot be worked out, for the kernel begins its search at random (nf_nat_l4proto_unique_tuple() of
net/netfilter/nf_nat_core.c).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from lvsha import bpf
from lvsha.errors import KernelError
from lvsha.kernel import frames, rows
from lvsha.kernel.attributes import MalformedError, pack, pack_be16, pack_u8
from lvsha.kernel.conntrack import NETLINK_NETFILTER, Conntrack, Flow
from lvsha.kernel.netlink import BATCH, Netlink, connect
from lvsha.model import Address, Collision, Family, Protocol, family_of

LIFETIME: Final = 5 * 24 * 3600
"""Seconds that an entry lives unless something passes over it: as long as the kernel's own of an established
connection. IPVS takes it away with its own entry (ip_vs_conn_drop_conntrack() of ip_vs_nfct.c)."""

_GET, _DELETE = 0x101, 0x102
"""NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, _DELETE."""
_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NEW = 270, 1, 1
"""include/uapi/linux/netlink.h; NFNLGRP_CONNTRACK_NEW of nfnetlink.h."""
_HEAD = struct.Struct("=BBH")
"""struct nfgenmsg: family, version, resource."""
_ORIGINAL, _REPLY, _STATUS = 1, 2, 3
"""CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS."""
_IP, _PROTO, _NUMBER, _FROM, _TO = 1, 2, 1, 2, 3
"""CTA_TUPLE_IP, CTA_TUPLE_PROTO; CTA_PROTO_NUM, _SRC_PORT, _DST_PORT."""
_SOURCES, _TARGETS = (1, 3), (2, 4)
"""CTA_IP_V4_SRC, CTA_IP_V6_SRC; _DST."""
_ASSURED = 4
"""IPS_ASSURED: both ends have spoken, and it is no handshake that was never finished."""

_ENTRY = rows.Rows(
    rows.raw((_STATUS,)),
    rows.number((_ORIGINAL, _PROTO, _NUMBER)),
    rows.raw(*((_ORIGINAL, _IP, kind) for kind in _SOURCES)),
    rows.raw((_ORIGINAL, _PROTO, _FROM), default=b""),
    rows.raw(*((_ORIGINAL, _IP, kind) for kind in _TARGETS)),
    rows.raw((_ORIGINAL, _PROTO, _TO), default=b""),
    rows.raw(*((_REPLY, _IP, kind) for kind in _SOURCES)),
    rows.raw((_REPLY, _PROTO, _FROM), default=b""),
    rows.raw(*((_REPLY, _IP, kind) for kind in _TARGETS)),
    rows.raw((_REPLY, _PROTO, _TO), default=b""),
)


class Collisions:
    """Connection tracking of the network namespace in which this was opened, as far as ports were changed."""

    def __init__(self, news: socket.socket, netlink: Netlink, conntrack: Conntrack) -> None:
        self._news, self._netlink, self._conntrack = news, netlink, conntrack

    @classmethod
    def open(cls) -> Self:
        """Begin to listen. Raises KernelError where there is no connection tracking to be asked."""
        news = connect(NETLINK_NETFILTER)
        try:
            bpf.attach(news, _filter())
            news.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NEW)
            return cls(news, Netlink.open(NETLINK_NETFILTER), Conntrack.open())
        except (OSError, KernelError) as error:
            news.close()
            raise KernelError(f"connection tracking does not tell of new entries: {error}") from error

    def close(self) -> None:
        """Listen no more; entries stay as they are."""
        self._news.close()
        self._netlink.close()
        self._conntrack.close()

    def arrived(self, most: int) -> list[Collision]:
        """New ones since the last time, `most` at a time; what the socket has no room for is lost.

        Raises KernelError.
        """
        found: list[Collision] = []
        for _ in range(most):
            try:
                datagram = self._news.recv(frames.HEADER + 4096)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    continue
                raise KernelError(f"connection tracking is not heard any more: {error}") from error
            bodies = [m.body for m in frames.messages(datagram) if isinstance(m, frames.Answer)]
            found += (one for one, _ in map(read, bodies) if one is not None)
        return found

    async def alive(self, asked: Collection[Collision]) -> set[Collision]:
        """Those that connection tracking has just so, and whose connections are established.

        Raises KernelError.
        """
        found: set[Collision] = set()
        for batch in _batches(asked):
            answers = await self._netlink.ask(_GET, [_named(_ORIGINAL, one) for one in batch])
            for one, answer in zip(batch, answers, strict=True):
                if isinstance(answer, bytes) and read(answer) == (one, True):
                    found.add(one)
        return found

    async def install(self, wanted: Collection[Collision]) -> set[Collision]:
        """Make entries, in the place of others that they contradict; those that are there now.

        For connections that another director carries: here nothing passes over them. Raises KernelError.
        """
        ones = list(wanted)
        refused = await self._conntrack.add([_flow(one) for one in ones])
        barred = [ones[index] for index, refusal in refused.items() if refusal.errno == errno.EEXIST]
        failed = {ones[index] for index in refused}
        if barred:
            await self.remove(barred)
            again = await self._conntrack.add([_flow(one) for one in barred])
            failed -= {one for index, one in enumerate(barred) if index not in again}
        return set(ones) - failed

    async def remove(self, doomed: Iterable[Collision]) -> None:
        """Remove what has the client's end of these, or the server's. Raises KernelError."""
        bodies = [_named(end, one) for one in doomed for end in (_ORIGINAL, _REPLY)]
        await self._netlink.transact(_DELETE, bodies)  # what is not there is gone


def _filter() -> list[bpf.Step]:
    start = frames.HEADER + _HEAD.size
    return bpf.ports_changed(start, (_ORIGINAL, _PROTO, _FROM), (_REPLY, _PROTO, _TO))


def read(body: bytes) -> tuple[Collision | None, bool]:
    """An entry of connection tracking as such a connection, and whether it is established.

    None: its protocol has no ports, or none that is known here. Raises MalformedError.
    """
    status, protocol, *ends = _ENTRY.unpack(body[_HEAD.size :])
    if protocol not in (Protocol.TCP, Protocol.UDP):
        return None, False
    client, service, server, local = (_end(*ends[at : at + 2]) for at in range(0, 8, 2))
    one = Collision(Protocol(protocol), *client, *service, *server, *local)
    return one, bool(int.from_bytes(status, "big") & _ASSURED)


def _end(address: bytes, port: bytes) -> tuple[Address, int]:
    match len(address):
        case 4:
            return IPv4Address(address), int.from_bytes(port, "big")
        case 16:
            return IPv6Address(address), int.from_bytes(port, "big")
        case size:
            raise MalformedError(f"connection tracking tells of an address of {size} bytes")


def _flow(one: Collision) -> Flow:
    return Flow(*one[:8], lifetime=LIFETIME, local_port=one.local_port)


def _named(end: int, one: Collision) -> bytes:
    """The message's body that names an entry by the one end or the other."""
    family = family_of(one.client)
    if end == _ORIGINAL:
        ends = (one.client, one.client_port, one.address, one.port)
    else:
        ends = (one.server, one.server_port, one.local, one.local_port)
    source, source_port, target, target_port = ends
    kind = 0 if family is Family.IPV4 else 1
    address = pack(_SOURCES[kind], source.packed) + pack(_TARGETS[kind], target.packed)
    ports = pack_be16(_FROM, source_port) + pack_be16(_TO, target_port)
    proto = pack_u8(_NUMBER, one.protocol) + ports
    return _HEAD.pack(family, 0, 0) + pack(end, pack(_IP, address) + pack(_PROTO, proto))


def _batches(asked: Collection[Collision]) -> Iterable[Sequence[Collision]]:
    ones = list(asked)
    return (ones[start : start + BATCH] for start in range(0, len(ones), BATCH))
