"""Addresses of interfaces: added with a lifetime, renewed, removed, looked at.

An address that is given a lifetime is taken away by the kernel itself once nobody renews it.
That is the lease: a speaker that is frozen or dead loses its virtual addresses without anybody's
help. Renewal is the same request again with NLM_F_REPLACE, and changes nothing but the time.

What lvsha adds is marked by IFA_PROTO (Linux 5.18; older kernels leave the mark out), so that
it is known again after a crash and nobody else's address is taken for ours. Addresses carry
no prefix route, for the route to a network shall not depend on which director is master; those
of IPv6 skip duplicate address detection, which would keep them unusable for a second.

See include/uapi/linux/if_addr.h and rtnetlink.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final, Self

from lvsha.kernel import attributes
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.netlink import BATCH, Netlink, Refusal

Interface = IPv4Interface | IPv6Interface

NETLINK_ROUTE: Final = 0
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_GETROUTE: Final = 26

OURS: Final = 112
"""The mark of our addresses: VRRP's protocol number. `ip address show proto 112` lists them."""

_NLM_F_REPLACE = 0x100
_NLM_F_CREATE = 0x400

_AF_INET = 2
_AF_INET6 = 10
_IFADDRMSG = struct.Struct("=BBBBI")
_CACHEINFO = struct.Struct("=IIII")
_FOREVER = 0xFFFFFFFF

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_CACHEINFO = 6
_IFA_FLAGS = 8
_IFA_PROTO = 11

_IFA_F_NODAD = 0x02
_IFA_F_NOPREFIXROUTE = 0x200

_SECONDARY = 0x01

_RTMSG = struct.Struct("=BBBBBBBBI")
_RTA_DST = 1
_RTA_OIF = 4
_RTN_LOCAL = 2
_RTM_TYPE = 7
"""Where struct rtmsg has the kind of a route."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address on an interface, which is meant by its index."""

    address: Interface
    index: int


@dataclass(frozen=True, slots=True)
class Held:
    """An address as the kernel shows it."""

    place: Place
    flags: int
    """IFA_F_* of if_addr.h."""
    valid: int | None
    """Seconds that are left of its life; None: for ever."""
    mark: int
    """IFA_PROTO; 0 where nobody said."""

    @property
    def secondary(self) -> bool:
        """IPv4: another address of the network comes before it. IPv6: made for privacy."""
        return bool(self.flags & _SECONDARY)


class Addresses:
    """The addresses of the network namespace in which this was opened."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    @classmethod
    def open(cls) -> Self:
        """Raises KernelError where there is no netlink."""
        return cls(Netlink.open(NETLINK_ROUTE, timeout=10.0))

    def close(self) -> None:
        """Addresses stay as they are."""
        self._netlink.close()

    async def put(self, places: Sequence[Place], lifetime: int | None) -> dict[Place, Refusal]:
        """Add addresses or renew them, for `lifetime` seconds (None: for ever), in one batch.

        Returns those that the kernel refused. Raises KernelError where the outcome is not known.
        """
        bodies = [_put_body(place, lifetime) for place in places]
        refused = await self._netlink.transact(RTM_NEWADDR, bodies, _NLM_F_CREATE | _NLM_F_REPLACE)
        return {places[i]: refusal for i, refusal in refused.items()}

    async def elsewhere(self, places: Sequence[Place]) -> frozenset[Place]:
        """Those whose packets are not taken in yet but forwarded. Raises KernelError.

        Of IPv6 all are for a moment after `put` has returned: a worker of the kernel's puts the local route
        in place (addrconf_dad_work(), net/ipv6/addrconf.c), once it has a processor and the lock of routing.
        """
        six = [place for place in places if place.address.version == 6]
        found: set[Place] = set()
        for start in range(0, len(six), BATCH):
            some = six[start : start + BATCH]
            answers = await self._netlink.ask(RTM_GETROUTE, [_route_body(place) for place in some])
            found |= {place for place, answer in zip(some, answers, strict=True) if not _local(answer)}
        return frozenset(found)

    async def remove(self, places: Sequence[Place]) -> dict[Place, Refusal]:
        """Remove addresses; one that is not there is no refusal. Raises KernelError as `put` does."""
        refused = await self._netlink.transact(RTM_DELADDR, [_remove_body(place) for place in places])
        gone = (errno.EADDRNOTAVAIL, errno.ENODEV)
        return {places[i]: refusal for i, refusal in refused.items() if refusal.errno not in gone}

    async def observe(self) -> list[Held]:
        """Every address of both families. Raises KernelError."""
        question = _IFADDRMSG.pack(0, 0, 0, 0, 0)
        (answers,) = await self._netlink.dump(RTM_GETADDR, [question])
        return list(_known(answers))


def held(body: bytes) -> Held | None:
    """The address in the body of an RTM_NEWADDR or RTM_DELADDR; None for another family's.

    Raises MalformedError where it is cut short.
    """
    if len(body) < _IFADDRMSG.size:
        raise MalformedError(f"an address message of {len(body)} bytes")
    family, prefix, flags, _, index = _IFADDRMSG.unpack_from(body)
    found = attributes.unpack(body, _IFADDRMSG.size)
    address = _interface(family, prefix, found)
    if address is None:
        return None
    return Held(
        Place(address, index),
        attributes.number(found, _IFA_FLAGS, flags),
        _valid(found),
        attributes.number(found, _IFA_PROTO, 0),
    )


def _route_body(place: Place) -> bytes:
    # By the interface, for it may have tables of its own (Documentation/networking/vrf.rst).
    return b"".join(
        (
            _RTMSG.pack(_AF_INET6, 128, *[0] * 7),
            attributes.pack(_RTA_DST, place.address.ip.packed),
            attributes.pack_u32(_RTA_OIF, place.index),
        )
    )


def _local(answer: bytes | Refusal) -> bool:
    return isinstance(answer, bytes) and len(answer) >= _RTMSG.size and answer[_RTM_TYPE] == _RTN_LOCAL


def _known(answers: Iterable[bytes]) -> Iterable[Held]:
    for body in answers:
        one = held(body)
        if one is not None:
            yield one


def _interface(family: int, prefix: int, found: attributes.Attributes) -> Interface | None:
    # IFA_LOCAL is this end of a point-to-point link, where IFA_ADDRESS is the other one.
    packed = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    if packed is None or (family, len(packed)) not in ((_AF_INET, 4), (_AF_INET6, 16)):
        return None
    if family == _AF_INET:
        return IPv4Interface((IPv4Address(packed), prefix))
    return IPv6Interface((IPv6Address(packed), prefix))


def _valid(found: attributes.Attributes) -> int | None:
    info = found.get(_IFA_CACHEINFO)
    if info is None or len(info) < _CACHEINFO.size:
        return None
    valid: int = _CACHEINFO.unpack_from(info)[1]
    return None if valid == _FOREVER else valid


def _put_body(place: Place, lifetime: int | None) -> bytes:
    six = place.address.version == 6
    seconds = _FOREVER if lifetime is None else lifetime
    # Not preferred: a director's own traffic (checks, adverts) is to come from its own address, which stays
    # (RFC 6724, section 5, rule 3). IPv4 has no such rule, and takes the first address of a network.
    preferred = 0 if six else seconds
    return b"".join(
        (
            _head(place),
            attributes.pack_u32(_IFA_FLAGS, _IFA_F_NOPREFIXROUTE | (_IFA_F_NODAD if six else 0)),
            attributes.pack(_IFA_CACHEINFO, _CACHEINFO.pack(preferred, seconds, 0, 0)),
            attributes.pack_u8(_IFA_PROTO, OURS),
        )
    )


def _remove_body(place: Place) -> bytes:
    return _head(place)


def _head(place: Place) -> bytes:
    family = _AF_INET6 if place.address.version == 6 else _AF_INET
    packed = place.address.ip.packed
    message = _IFADDRMSG.pack(family, place.address.network.prefixlen, 0, 0, place.index)
    return message + attributes.pack(_IFA_LOCAL, packed) + attributes.pack(_IFA_ADDRESS, packed)
