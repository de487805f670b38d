"""Entries of connection tracking, added by hand (ctnetlink: include/uapi/linux/netfilter/).

An entry is what the kernel itself makes of the first packet that goes through IPVS and source NAT:

    original    client : port           -> service : port
    reply       server : server's port  -> local address : client's port

The kernel builds the reply from what IPVS made of it (server to client) and a source NAT to exactly one
address and port; where another connection has that pair already, the entry is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from lvsha.kernel.attributes import pack, pack_be16, pack_u8
from lvsha.kernel.netlink import Netlink, Refusal
from lvsha.model import Address, Family, Protocol, family_of

NETLINK_NETFILTER: Final = 12
_NEW = 0x100
"""NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW."""
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


def body(flow: Flow) -> bytes:
    """The message that adds an entry."""
    family = family_of(flow.client)
    client, server = flow.client.packed, flow.server.packed
    parts = [
        _HEAD.pack(family, 0, 0),
        pack(_TUPLE_ORIG, _tuple(family, flow, client, flow.address.packed, flow.client_port, flow.port)),
        pack(_TUPLE_REPLY, _tuple(family, flow, server, client, flow.server_port, flow.client_port)),
        pack(_NAT_SRC, _source(family, flow.local.packed, flow.client_port)),
        pack(_STATUS, _ALIVE),
        pack(_TIMEOUT, max(1, flow.lifetime).to_bytes(4, "big")),
    ]
    if flow.protocol is Protocol.TCP:
        state = pack_u8(_TCP_STATE, _ESTABLISHED)
        flags = pack(_TCP_FLAGS_ORIGINAL, _BE_LIBERAL) + pack(_TCP_FLAGS_REPLY, _BE_LIBERAL)
        parts.append(pack(_PROTOINFO, pack(_PROTOINFO_TCP, state + flags)))
    return b"".join(parts)


def _tuple(
    family: Family, flow: Flow, source: bytes, target: bytes, source_port: int, target_port: int
) -> bytes:
    source_kind, target_kind = _IP[family]
    ports = pack_be16(_PROTO_SRC_PORT, source_port) + pack_be16(_PROTO_DST_PORT, target_port)
    return pack(_TUPLE_IP, pack(source_kind, source) + pack(target_kind, target)) + pack(
        _TUPLE_PROTO, pack_u8(_PROTO_NUM, flow.protocol) + ports
    )


def _source(family: Family, local: bytes, port: int) -> bytes:
    least, most = _NAT_IP[family]
    ports = pack_be16(_PROTONAT_PORT_MIN, port) + pack_be16(_PROTONAT_PORT_MAX, port)
    return pack(least, local) + pack(most, local) + pack(_NAT_PROTO, ports)
