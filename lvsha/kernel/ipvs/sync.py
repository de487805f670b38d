"""The connection-sync daemon, from the values of the model to IPVS's attributes and back.

Each role (master sends, backup receives) is started and stopped on its own and may run beside
the other. The kernel fills in what the request leaves open: the largest message from the
interface's MTU, port 8848, TTL 1, group 224.0.0.81 (net/netfilter/ipvs/ip_vs_sync.c). Unlike
those of services and servers, the port is in the machine's order (ip_vs_genl_new_daemon).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from lvsha.errors import InputError
from lvsha.kernel.attributes import (
    Attributes,
    MalformedError,
    number,
    pack,
    pack_text,
    pack_u8,
    pack_u16,
    pack_u32,
    text,
    unpack,
)
from lvsha.kernel.ipvs import abi
from lvsha.model import Address, SyncDaemon, SyncRole


def pack_daemon(daemon: SyncDaemon) -> bytes:
    """What starts a role; a setting of 0 or None is left to the kernel.

    Raises InputError where the interface's name is too long.
    """
    parts = [
        pack_role(daemon),
        pack_text(abi.DAEMON_MCAST_IFN, _interface(daemon.interface)),
        pack_u32(abi.DAEMON_SYNC_ID, daemon.sync_id),
    ]
    if daemon.maxlen:
        parts.append(pack_u16(abi.DAEMON_SYNC_MAXLEN, daemon.maxlen))
    if daemon.group is not None:
        kind = abi.DAEMON_MCAST_GROUP if daemon.group.version == 4 else abi.DAEMON_MCAST_GROUP6
        parts.append(pack(kind, daemon.group.packed))
    if daemon.port:
        parts.append(pack_u16(abi.DAEMON_MCAST_PORT, daemon.port))
    if daemon.ttl:
        parts.append(pack_u8(abi.DAEMON_MCAST_TTL, daemon.ttl))
    return b"".join(parts)


def pack_role(daemon: SyncDaemon) -> bytes:
    """What stops a role."""
    return pack_u32(abi.DAEMON_STATE, daemon.role)


def unpack_daemon(nest: bytes) -> SyncDaemon:
    """A running role as the kernel shows it; raises MalformedError."""
    found = unpack(nest)
    state = number(found, abi.DAEMON_STATE)
    if state not in (SyncRole.MASTER, SyncRole.BACKUP):
        raise MalformedError(f"a sync daemon of state {state}: neither master (1) nor backup (2)")
    return SyncDaemon(
        role=SyncRole(state),
        interface=text(found, abi.DAEMON_MCAST_IFN),
        sync_id=number(found, abi.DAEMON_SYNC_ID),
        maxlen=number(found, abi.DAEMON_SYNC_MAXLEN, 0),
        port=number(found, abi.DAEMON_MCAST_PORT, 0),
        ttl=number(found, abi.DAEMON_MCAST_TTL, 0),
        group=_group(found),
    )


def _interface(name: str) -> str:
    if not 0 < len(name.encode()) <= abi.NAME_MAX:
        raise InputError(f"interface {name!r}: a name has 1 to {abi.NAME_MAX} bytes")
    return name


def _group(found: Attributes) -> Address | None:
    four, six = found.get(abi.DAEMON_MCAST_GROUP), found.get(abi.DAEMON_MCAST_GROUP6)
    if four is not None and len(four) == 4:
        return IPv4Address(four)
    if six is not None and len(six) == 16:
        return IPv6Address(six)
    if four is None and six is None:
        return None
    raise MalformedError("a multicast group that is neither 4 nor 16 bytes long")
