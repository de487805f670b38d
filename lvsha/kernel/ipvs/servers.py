"""A real server, from the values of the model to IPVS's attributes and back.

Where the kernel is odd (net/netfilter/ipvs/ip_vs_ctl.c):

*   The port is in network order, the tunnel's port too (ip_vs_genl_parse_dest).
*   The address family may differ from the service's (IPv4 servers behind an IPv6 service, by
    tunnel), so it has an attribute of its own. Kernels before 3.18 do not send it.

A table of ten thousand servers is read again and again, so that a server's reply goes through
one `Layout` wherever the kernel sends the row that it is known to send.

Somebody else may have given a server a setting that the model has no words for. It is read as
one that is never wanted, so that a plan puts it right.
"""

from __future__ import annotations

from socket import htons, ntohs
from typing import Any

from lvsha.kernel.attributes import Attributes, Layout, number, unpack
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.counters import NARROW, WIDE, ZERO, counters
from lvsha.kernel.ipvs.services import unpack_address
from lvsha.model import (
    Counters,
    Family,
    Method,
    Server,
    ServerKey,
    ServerState,
    Tunnel,
    TunnelFlag,
    TunnelKind,
)

FOREIGN_TUNNEL = TunnelFlag(0x10000)
"""Stands beside a tunnel kind that has no name here; the kernel's own flags have 16 bits."""

_METHODS = {int(method): method for method in Method}
_TUNNELS = {int(kind): kind for kind in TunnelKind}
_PLAIN = Tunnel()
_STATS = abi.STATS_COUNT

_KEY = Layout((abi.DEST_ADDR, "16s"), (abi.DEST_PORT, "H"), (abi.DEST_ADDR_FAMILY, "H"))
_SERVER = Layout(
    (abi.DEST_ADDR, "16s"),
    (abi.DEST_PORT, "H"),
    (abi.DEST_ADDR_FAMILY, "H"),
    (abi.DEST_FWD_METHOD, "I"),
    (abi.DEST_WEIGHT, "I"),
    (abi.DEST_U_THRESH, "I"),
    (abi.DEST_L_THRESH, "I"),
    (abi.DEST_TUN_TYPE, "B"),
    (abi.DEST_TUN_PORT, "H"),
    (abi.DEST_TUN_FLAGS, "H"),
)
# The row of ip_vs_genl_fill_dest since 5.3; some architectures pad the statistics with an attribute more.
_STATE = Layout(
    (abi.DEST_ADDR, "16s"),
    (abi.DEST_PORT, "H"),
    (abi.DEST_FWD_METHOD, "I"),
    (abi.DEST_WEIGHT, "I"),
    (abi.DEST_TUN_TYPE, "B"),
    (abi.DEST_TUN_PORT, "H"),
    (abi.DEST_TUN_FLAGS, "H"),
    (abi.DEST_U_THRESH, "I"),
    (abi.DEST_L_THRESH, "I"),
    (abi.DEST_ACTIVE_CONNS, "I"),
    (abi.DEST_INACT_CONNS, "I"),
    (abi.DEST_PERSIST_CONNS, "I"),
    (abi.DEST_ADDR_FAMILY, "H"),
    (abi.DEST_STATS, NARROW),
    (abi.DEST_STATS64, WIDE),
)


def pack_key(key: ServerKey) -> bytes:
    """The attributes that the kernel finds a server of a service by."""
    return _KEY.pack(key.address.packed, htons(key.port), _family(key))


def pack_server(key: ServerKey, server: Server) -> bytes:
    """Everything about a server, which is what the kernel wants to add or to set one."""
    tunnel = server.tunnel
    return _SERVER.pack(
        key.address.packed,
        htons(key.port),
        _family(key),
        server.method,
        server.weight,
        server.upper,
        server.lower,
        tunnel.kind,
        htons(tunnel.port),
        tunnel.flags,
    )


def unpack_server(nest: bytes, family: Family) -> tuple[ServerKey, ServerState]:
    """A server as the kernel shows it; `family` is its service's.

    Raises MalformedError.
    """
    row = _STATE.unpack(nest) if len(nest) == _STATE.size else None
    return _from_row(row) if row is not None else _from_attributes(unpack(nest), family)


def _from_row(row: tuple[Any, ...]) -> tuple[ServerKey, ServerState]:
    address, port, method, weight, kind, tunnel_port, flags, upper, lower, active, inactive, persistent = row[
        :12
    ]
    wide = row[-_STATS:]
    return (
        ServerKey(unpack_address(row[12], address), ntohs(port)),
        ServerState(
            Server(_method(method), weight, upper, lower, _tunnel(kind, ntohs(tunnel_port), flags)),
            active,
            inactive,
            persistent,
            Counters(*wide) if any(wide) else ZERO,
        ),
    )


def _from_attributes(found: Attributes, family: Family) -> tuple[ServerKey, ServerState]:
    address_family = number(found, abi.DEST_ADDR_FAMILY, family)
    address = unpack_address(address_family, found.get(abi.DEST_ADDR, b""))
    server = Server(
        _method(number(found, abi.DEST_FWD_METHOD)),
        number(found, abi.DEST_WEIGHT),
        number(found, abi.DEST_U_THRESH, 0),
        number(found, abi.DEST_L_THRESH, 0),
        _tunnel(
            number(found, abi.DEST_TUN_TYPE, 0),
            number(found, abi.DEST_TUN_PORT, 0, order="big"),
            number(found, abi.DEST_TUN_FLAGS, 0),
        ),
    )
    state = ServerState(
        server,
        number(found, abi.DEST_ACTIVE_CONNS, 0),
        number(found, abi.DEST_INACT_CONNS, 0),
        number(found, abi.DEST_PERSIST_CONNS, 0),
        counters(found, abi.DEST_STATS, abi.DEST_STATS64),
    )
    return ServerKey(address, number(found, abi.DEST_PORT, order="big")), state


def _family(key: ServerKey) -> Family:
    return Family.IPV4 if key.address.version == 4 else Family.IPV6


def _method(value: int) -> Method:
    # BYPASS is the kernel's own, for connections that no server serves: never wanted.
    return _METHODS.get(value & abi.FORWARD_MASK, Method.BYPASS)


def _tunnel(kind: int, port: int, flags: int) -> Tunnel:
    if not (kind or port or flags):
        return _PLAIN
    known = _TUNNELS.get(kind)
    if known is None:
        return Tunnel(TunnelKind.IPIP, port, TunnelFlag(flags) | FOREIGN_TUNNEL)
    return Tunnel(known, port, TunnelFlag(flags))
