"""A real server, from the values of the model to IPVS's attributes and back.

Where the kernel is odd (net/netfilter/ipvs/ip_vs_ctl.c):

*   The port is in network order, the tunnel's port too (ip_vs_genl_parse_dest).
*   The address family may differ from the service's (IPv4 servers behind an IPv6 service, by
    tunnel), so it has an attribute of its own. Kernels before 3.18 do not send it.

Somebody else may have given a server a setting that the model has no words for. It is read as
one that is never wanted, so that a plan puts it right.
"""

from __future__ import annotations

from functools import lru_cache
from socket import htons, ntohs

from lvsha.kernel.attributes import Layout
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.counters import counters, fields
from lvsha.kernel.ipvs.services import unpack_address
from lvsha.kernel.rows import Rows, number, raw
from lvsha.model import (
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
_STATE = Rows(
    raw((abi.DEST_ADDR,)),
    number((abi.DEST_PORT,)),
    number((abi.DEST_ADDR_FAMILY,), default=0),
    number((abi.DEST_FWD_METHOD,)),
    number((abi.DEST_WEIGHT,)),
    number((abi.DEST_U_THRESH,), default=0),
    number((abi.DEST_L_THRESH,), default=0),
    number((abi.DEST_TUN_TYPE,), default=0),
    number((abi.DEST_TUN_PORT,), default=0),
    number((abi.DEST_TUN_FLAGS,), default=0),
    number((abi.DEST_ACTIVE_CONNS,), default=0),
    number((abi.DEST_INACT_CONNS,), default=0),
    number((abi.DEST_PERSIST_CONNS,), default=0),
    *fields(abi.DEST_STATS, abi.DEST_STATS64),
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
    row = _STATE.unpack(nest)
    address, port, own, *settings = row[:10]
    active, inactive, persistent = row[10:13]
    key = ServerKey(unpack_address(own or family, address), ntohs(port))
    return key, ServerState(_settings(*settings), active, inactive, persistent, counters(row[13:]))


def _family(key: ServerKey) -> Family:
    return Family.IPV4 if key.address.version == 4 else Family.IPV6


@lru_cache(maxsize=1024)
def _settings(method: int, weight: int, upper: int, lower: int, kind: int, port: int, flags: int) -> Server:
    """Settings as the kernel has them; most servers of a table have the same, and share one object."""
    return Server(_method(method), weight, upper, lower, _tunnel(kind, ntohs(port), flags))


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
