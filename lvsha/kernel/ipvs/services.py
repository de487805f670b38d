"""A virtual service, from the values of the model to IPVS's attributes and back.

Where the kernel is odd (net/netfilter/ipvs/ip_vs_ctl.c):

*   The port is in network order.
*   The persistence mask of IPv4 is an address in network order, of IPv6 a prefix length in the
    machine's order, in the same attribute (ip_vs_add_service).
*   Flags come with a mask of which of them are meant. lvsha always means all.
*   A service without a scheduler has one called `none`.

Somebody else may have added a service that the model has no words for, such as one of another
protocol. It reads as None: it can be neither wanted nor owned.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from socket import htons, ntohs
from sys import byteorder

from lvsha.errors import InputError
from lvsha.kernel.attributes import Layout, MalformedError, pack_text
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.counters import counters, fields
from lvsha.kernel.rows import Rows, number, raw
from lvsha.model import (
    Address,
    AddressKey,
    Family,
    FwmarkKey,
    Protocol,
    Service,
    ServiceFlag,
    ServiceKey,
    ServiceState,
)

FOREIGN_PREFIX = -1
"""A persistence mask that is no prefix, such as 255.0.255.0: never wanted, so that a plan puts it right."""

_ADDRESS_KEY = Layout((abi.SVC_AF, "H"), (abi.SVC_PROTOCOL, "H"), (abi.SVC_ADDR, "16s"), (abi.SVC_PORT, "H"))
_FWMARK_KEY = Layout((abi.SVC_AF, "H"), (abi.SVC_FWMARK, "I"))
_SETTINGS = Layout((abi.SVC_FLAGS, "8s"), (abi.SVC_TIMEOUT, "I"), (abi.SVC_NETMASK, "4s"))
_STATE = Rows(
    number((abi.SVC_AF,)),
    number((abi.SVC_FWMARK,), default=0),
    number((abi.SVC_PROTOCOL,), default=0),
    raw((abi.SVC_ADDR,), default=b""),
    number((abi.SVC_PORT,), default=0),
    raw((abi.SVC_SCHED_NAME,)),
    raw((abi.SVC_FLAGS,)),
    number((abi.SVC_TIMEOUT,)),
    raw((abi.SVC_NETMASK,), default=b""),
    raw((abi.SVC_PE_NAME,), default=b""),
    *fields(abi.SVC_STATS, abi.SVC_STATS64),
)
_FLAGS = struct.Struct("=II")
_ALL_FLAGS = 0xFFFFFFFF
_FAMILIES = {int(family): family for family in Family}
_PROTOCOLS = {int(protocol): protocol for protocol in Protocol}


def pack_key(key: ServiceKey) -> bytes:
    """The attributes that the kernel finds a service by."""
    if isinstance(key, FwmarkKey):
        return _FWMARK_KEY.pack(key.family, key.mark)
    return _ADDRESS_KEY.pack(key.family, key.protocol, key.address.packed, htons(key.port))


def pack_service(key: ServiceKey, service: Service) -> bytes:
    """Everything about a service, which is what the kernel wants to add or to set one.

    Raises InputError where a name is too long or a prefix impossible.
    """
    parts = [
        pack_key(key),
        _pack_name(abi.SVC_SCHED_NAME, service.scheduler, "scheduler"),
        _SETTINGS.pack(
            _FLAGS.pack(service.flags & ~abi.FLAG_HASHED, _ALL_FLAGS),
            service.timeout,
            _pack_prefix(key.family, service.prefix),
        ),
    ]
    if service.engine:
        parts.append(_pack_name(abi.SVC_PE_NAME, service.engine, "persistence engine"))
    return b"".join(parts)


def unpack_service(nest: bytes) -> tuple[ServiceKey, ServiceState] | None:
    """A service as the kernel shows it, still without its servers; None where the model has no words for it.

    Raises MalformedError.
    """
    row = _STATE.unpack(nest)
    key = _unpack_key(*row[:5])
    if key is None:
        return None
    scheduler, flags, timeout, mask, engine = row[5:10]
    service = Service(
        scheduler=_text(scheduler),
        flags=_unpack_flags(flags),
        timeout=timeout,
        prefix=_unpack_prefix(key.family, mask),
        engine=_text(engine) or None,
    )
    return key, ServiceState(service, counters=counters(row[10:]))


@lru_cache(maxsize=4096)
def unpack_address(family: int, value: bytes) -> Address:
    """An address out of the sixteen bytes that the kernel has for either family; raises MalformedError.

    The same servers stand behind many services, and share one object.
    """
    width = 4 if family == Family.IPV4 else 16
    if len(value) < width:
        raise MalformedError(f"an address of {len(value)} bytes: {width} are needed")
    return IPv4Address(value[:4]) if width == 4 else IPv6Address(value[:16])


def _pack_name(kind: int, name: str, what: str) -> bytes:
    if not 0 < len(name.encode()) <= abi.NAME_MAX or "\0" in name:
        raise InputError(f"{what} {name!r}: a name has 1 to {abi.NAME_MAX} bytes")
    return pack_text(kind, name)


def _pack_prefix(family: Family, prefix: int | None) -> bytes:
    bits = family.bits if prefix is None else prefix
    # The kernel takes no IPv6 prefix below 1, and an IPv4 mask of 0.0.0.0 puts all clients together.
    if not (family is Family.IPV6) <= bits <= family.bits:
        raise InputError(f"persistence prefix {prefix}: {family.name} has {family.bits} bits")
    if family is Family.IPV6:
        return bits.to_bytes(4, byteorder)
    return (0xFFFFFFFF << (32 - bits) & 0xFFFFFFFF).to_bytes(4, "big")


def _unpack_prefix(family: Family, mask: bytes) -> int | None:
    if not mask:
        return None
    if len(mask) != 4:
        raise MalformedError(f"a persistence mask of {len(mask)} bytes instead of 4")
    bits = int.from_bytes(mask, byteorder) if family is Family.IPV6 else _ones(int.from_bytes(mask, "big"))
    return None if bits == family.bits else bits


def _ones(mask: int) -> int:
    """The length of the prefix that an IPv4 mask is."""
    bits = mask.bit_count()
    return bits if mask == 0xFFFFFFFF << (32 - bits) & 0xFFFFFFFF else FOREIGN_PREFIX


def _unpack_key(family: int, mark: int, protocol: int, address: bytes, port: int) -> ServiceKey | None:
    if family not in _FAMILIES:
        return None
    if mark:
        return FwmarkKey(_FAMILIES[family], mark)
    if protocol not in _PROTOCOLS:
        return None
    return AddressKey(_PROTOCOLS[protocol], unpack_address(family, address), ntohs(port))


def _unpack_flags(value: bytes) -> ServiceFlag:
    if len(value) != _FLAGS.size:
        raise MalformedError(f"the flags of a service in {len(value)} bytes instead of {_FLAGS.size}")
    flags, _mask = _FLAGS.unpack(value)
    return ServiceFlag(flags & ~abi.FLAG_HASHED)


def _text(value: bytes) -> str:
    """A C string; what is not UTF-8 in it is shown escaped."""
    return value.split(b"\0", 1)[0].decode(errors="backslashreplace")
