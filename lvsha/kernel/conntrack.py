"""Entries of connection tracking, added and removed by hand (ctnetlink: include/uapi/linux/netfilter/).

An entry is what the kernel itself makes of the first packet that goes through IPVS and source NAT:

    original    client : port           -> service : port
    reply       server : server's port  -> local address : client's port

Written by hand: a director that has just become master makes a hundred thousand of them, and until an entry
is made what its server sends is dropped. pyroute2 makes some 1,500 a second, this some 100,000.

The kernel builds the reply from what IPVS made of it (server to client) and a source NAT to exactly one
address and port; where another connection has that pair already, the entry is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from lvsha.kernel.attributes import HEADER, pack, pack_u8
from lvsha.kernel.netlink import Netlink, Refusal
from lvsha.model import Address, Family, Protocol, family_of

NETLINK_NETFILTER: Final = 12
_NEW = 0x100
"""NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW."""
_DELETE = 0x102
"""... | IPCTNL_MSG_CT_DELETE."""
_NLM_F_EXCL, _NLM_F_CREATE = 0x200, 0x400
_HEAD = struct.Struct("=BBH")
"""struct nfgenmsg: family, version, resource."""

_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _NAT_SRC, _TIMEOUT = 1, 2, 3, 4, 6, 7
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_PROTOINFO_TCP, _TCP_STATE, _TCP_FLAGS_ORIGINAL, _TCP_FLAGS_REPLY = 1, 1, 4, 5
_NAT_PROTO, _PROTONAT_PORT_MIN, _PROTONAT_PORT_MAX = 3, 1, 2
_IP = {Family.IPV4: (1, 2), Family.IPV6: (3, 4)}
"""CTA_IP_*_SRC, _DST."""
_NAT_IP = {Family.IPV4: (1, 2), Family.IPV6: (4, 5)}
"""CTA_NAT_*_MINIP, _MAXIP."""
_ALIVE = (2 | 4 | 8).to_bytes(4, "big")
"""IPS_SEEN_REPLY, IPS_ASSURED: not one of those that go first when room is short. IPS_CONFIRMED, which an
entry of the table has, and which may not be taken away."""
_ESTABLISHED = 3
_BE_LIBERAL = bytes((0x08, 0x08))
"""IP_CT_TCP_FLAG_BE_LIBERAL and its mask: the sequence numbers are not known."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection as connection tracking has to see it."""

    protocol: Protocol
    client: Address
    client_port: int
    address: Address
    """The service's."""
    port: int
    server: Address
    server_port: int
    local: Address
    """What the server sees instead of the client."""
    lifetime: int
    """Whole seconds, until a packet passes."""
    local_port: int = 0
    """What the server sees instead of the client's port; 0: that stays."""


class Conntrack:
    """Connection tracking of the network namespace in which this was opened."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    @classmethod
    def open(cls) -> Self:
        """Raises KernelError where there is no netlink."""
        return cls(Netlink.open(NETLINK_NETFILTER))

    def close(self) -> None:
        """Entries stay as they are."""
        self._netlink.close()

    async def add(self, flows: Sequence[Flow]) -> dict[int, Refusal]:
        """Add entries; returns, by index, those that were refused: EEXIST where there is one already.

        Raises KernelError where the outcome is not known.
        """
        bodies = [body(flow) for flow in flows]
        return await self._netlink.transact(_NEW, bodies, _NLM_F_CREATE | _NLM_F_EXCL)

    async def remove(self, flows: Sequence[Flow]) -> dict[int, Refusal]:
        """Remove what leads from these servers to these local addresses and ports, to whichever service.

        Returns, by index, those that were refused: ENOENT where there is none. Raises KernelError where the
        outcome is not known.
        """
        return await self._netlink.transact(_DELETE, [_reply(flow) for flow in flows])


def _reply(flow: Flow) -> bytes:
    """The message that removes an entry, named by its server's end."""
    form, row = _REPLIES[family_of(flow.client)]
    seen = flow.local_port or flow.client_port
    row = row.copy()
    row[1::2] = (flow.server.packed, flow.local.packed, flow.protocol, flow.server_port, seen)
    return form.pack(*row)


def body(flow: Flow) -> bytes:
    """The message that adds an entry."""
    form, row = _FORMS[family_of(flow.client), flow.protocol is Protocol.TCP]
    client, server, local = flow.client.packed, flow.server.packed, flow.local.packed
    port, lifetime = flow.client_port, max(1, flow.lifetime)
    seen = flow.local_port or port
    row = row.copy()
    row[1::2] = (
        *(client, flow.address.packed, flow.protocol, port, flow.port),
        *(server, client, flow.protocol, flow.server_port, port),
        *(local, local, seen, seen),
        lifetime,
    )
    return form.pack(*row)


Part = bytes | str
"""Of a message: what is the same in all of them, or the format of what is not."""


def _form(family: Family, *, tcp: bool) -> tuple[struct.Struct, list[Any]]:
    """How a message is packed at once: its format, and its values with room for those that differ."""
    address = f"{family.bits // 8}s"
    least, most = _NAT_IP[family]
    state = pack_u8(_TCP_STATE, _ESTABLISHED)
    flags = pack(_TCP_FLAGS_ORIGINAL, _BE_LIBERAL) + pack(_TCP_FLAGS_REPLY, _BE_LIBERAL)
    ports = _nest(_NAT_PROTO, [*_nest(_PROTONAT_PORT_MIN, ["H"]), *_nest(_PROTONAT_PORT_MAX, ["H"])])
    parts: list[Part] = [
        _HEAD.pack(family, 0, 0) + pack(_STATUS, _ALIVE),
        pack(_PROTOINFO, pack(_PROTOINFO_TCP, state + flags)) if tcp else b"",
        *_nest(_TUPLE_ORIG, _tuple(family, address)),
        *_nest(_TUPLE_REPLY, _tuple(family, address)),
        *_nest(_NAT_SRC, [*_nest(least, [address]), *_nest(most, [address]), *ports]),
        *_nest(_TIMEOUT, ["I"]),
    ]
    return _compiled(parts)


def _tuple(family: Family, address: str) -> list[Part]:
    source, target = _IP[family]
    proto = [*_nest(_PROTO_NUM, ["B"]), *_nest(_PROTO_SRC_PORT, ["H"]), *_nest(_PROTO_DST_PORT, ["H"])]
    return [
        *_nest(_TUPLE_IP, [*_nest(source, [address]), *_nest(target, [address])]),
        *_nest(_TUPLE_PROTO, proto),
    ]


def _nest(kind: int, parts: list[Part]) -> list[Part]:
    """An attribute around parts."""
    size = HEADER.size + sum(len(p) if isinstance(p, bytes) else struct.calcsize(f">{p}") for p in parts)
    return [HEADER.pack(size, kind), *parts, bytes(-size % 4)]


def _compiled(parts: list[Part]) -> tuple[struct.Struct, list[Any]]:
    """Constants and holes, each run of constants as one."""
    form, row, constant = ">", [], b""
    for part in [*parts, ""]:
        if isinstance(part, bytes):
            constant += part
            continue
        form += f"{len(constant)}s{part}"
        row += [constant, None]
        constant = b""
    return struct.Struct(form), row[:-1]


_REPLIES = {
    family: _compiled(
        [_HEAD.pack(family, 0, 0), *_nest(_TUPLE_REPLY, _tuple(family, f"{family.bits // 8}s"))]
    )
    for family in Family
}
_FORMS = {(family, tcp): _form(family, tcp=tcp) for family in Family for tcp in (True, False)}
