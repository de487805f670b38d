"""The bytes of an advertisement.

`pack` and `unpack` know what an advert looks like and nothing about who may send it: whether
the sender is known, the TTL right or the virtual router ours is judged by `admission`, what
it means by `machine`. Everything wrong with the bytes is a `PacketError` with a `Reason` that
can be counted; no input raises anything else.

VRRPv2 (RFC 3768, section 5.1), IPv4 only:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version| Type  | Virtual Rtr ID|   Priority    | Count IP Addrs|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |   Auth Type   |   Adver Int   |          Checksum             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                      IP Address (1) ... (n)                   |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     Authentication Data (8 bytes, always)     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

VRRPv3 (RFC 9568, section 5.1), IPv4 and IPv6:

    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |Reserve| Max Advertise Interval|          Checksum             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                    IPvX Address(es) (1) ... (n)               |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Either may be followed by the 28 bytes of an authentication trailer (see `auth`); the address
count says where the advert ends, so exactly 28 bytes more are the trailer and any other
length is an error.

The checksum has three forms. v2: over the packet. v3 over IPv6: with a pseudo-header, and over
the trailer as well, because the kernel fills it in (IPV6_CHECKSUM). v3 over IPv4: RFC 5798 was
read by keepalived as with a pseudo-header and RFC 9568 says without, so `pack` does as it is
told and `unpack` takes either. It does not take the pseudo-header with the multicast group as
destination on a unicast packet, which only keepalived before 2018 sends of its own accord:
later ones do so only in answer to a peer which does, and lvsha never does.

An interval is in seconds here and everywhere; it becomes whole seconds (v2) or centiseconds
(v3) between these lines and the wire only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal

from lvsha.errors import InputError
from lvsha.model import Address

PROTOCOL: Final = 112
"""IANA protocol number of VRRP."""
GROUP_IPV4: Final = IPv4Address("224.0.0.18")
GROUP_IPV6: Final = IPv6Address("ff02::12")
RESIGN: Final = 0
"""The priority that says: the sender is no longer master (RFC 9568, 5.2.4)."""
OWNER: Final = 255
"""The priority of the router which owns the addresses itself."""
TRAILER_LENGTH: Final = 28

Checksum = Literal["pseudo-header", "plain"]

_HEADER: Final = struct.Struct("!BBBBHH")
_CHECKSUM: Final = struct.Struct("!H")
_CHECKSUM_AT: Final = 6
_ADVERTISEMENT: Final = 1
_PASSWORD_LENGTH: Final = 8
_LONGEST: Final = {2: 255.0, 3: 40.95}
_SHORTEST: Final = {2: 1.0, 3: 0.01}


class Reason(StrEnum):
    """Why a packet was not let in; each is counted by itself."""

    TRUNCATED = "truncated"
    """Shorter than a header."""
    VERSION = "version"
    TYPE = "type"
    VRID = "vrid"
    LENGTH = "length"
    """Not the length that the address count asks for."""
    CHECKSUM = "checksum"
    INTERVAL = "interval"
    """Zero, or (v2) not ours."""
    AUTH_TYPE = "auth_type"
    PASSWORD = "password"  # noqa: S105 - a reason, not a password
    AUTH_MISSING = "auth_missing"
    AUTH_MALFORMED = "auth_malformed"
    AUTH_KEY = "auth_key"
    """Signed with a key that is not known."""
    AUTH_REPLAY = "auth_replay"
    AUTH_WINDOW = "auth_window"
    """The sender's clock is too far from ours."""
    AUTH_DIGEST = "auth_digest"
    TTL = "ttl"
    SOURCE = "source"
    DESTINATION = "destination"


class PacketError(InputError):
    """A packet that is not let in."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class AuthType(IntEnum):
    """Authentication Type of VRRPv2 (RFC 2338; RFC 3768 keeps 0 only)."""

    NONE = 0
    PASSWORD = 1


@dataclass(frozen=True, slots=True)
class Advert:
    """One advertisement, version 2 or 3."""

    version: int
    vrid: int
    priority: int
    """0 (resigning) to 255 (owner)."""
    interval: float
    """Seconds between the sender's adverts."""
    addresses: tuple[Address, ...] = ()
    auth: AuthType = AuthType.NONE
    """v2 only."""
    password: bytes = field(default=b"", repr=False)
    """v2 only: at most 8 bytes, without the padding."""


def pack(
    advert: Advert,
    source: Address,
    destination: Address,
    *,
    checksum: Checksum = "pseudo-header",
    trailer: bytes = b"",
) -> bytes:
    """The bytes of an advert from `source` to `destination`, with `trailer` behind them.

    `checksum` is what v3 over IPv4 carries. Raises ValueError for a value that has no place
    in the packet.
    """
    _representable(advert, source, destination)
    packet = bytearray(
        _HEADER.pack(
            advert.version << 4 | _ADVERTISEMENT,
            advert.vrid,
            advert.priority,
            len(advert.addresses),
            _interval_field(advert),
            0,
        )
    )
    for address in advert.addresses:
        packet += address.packed
    if advert.version == 2:
        packet += advert.password.ljust(_PASSWORD_LENGTH, b"\0")
    covered = bytes(packet)
    if source.version == 6:
        covered = _pseudo_header(source, destination, len(packet) + len(trailer)) + covered + trailer
    elif advert.version == 3 and checksum == "pseudo-header":
        covered = _pseudo_header(source, destination, len(packet)) + covered
    _CHECKSUM.pack_into(packet, _CHECKSUM_AT, internet_checksum(covered))
    return bytes(packet) + trailer


def unpack(data: bytes, source: Address, destination: Address) -> Advert:
    """The advert in the IP payload `data`, which may carry a trailer.

    Addresses are without a zone. Raises PacketError for anything that is not an advert.
    """
    version, vrid, priority, count, timing = _header(data, source)
    end = length(data, source.version)
    if len(data) not in (end, end + TRAILER_LENGTH):
        raise PacketError(
            Reason.LENGTH,
            f"{len(data)} bytes, but {count} addresses make {end} or, with a trailer, {end + TRAILER_LENGTH}",
        )
    if not _checksum_holds(data, end, version, source, destination):
        raise PacketError(Reason.CHECKSUM, f"{data[_CHECKSUM_AT : _CHECKSUM_AT + 2].hex()} does not match")
    if vrid == 0:
        raise PacketError(Reason.VRID, "virtual router 0 does not exist")
    addresses = _addresses(data, count, source.version)
    if version == 2:
        interval = float(timing & 0xFF)
        auth = _auth_type(timing >> 8)
        password = data[end - _PASSWORD_LENGTH : end].rstrip(b"\0") if auth is AuthType.PASSWORD else b""
    else:
        # RFC 9568, 5.2.6: the reserved bits are ignored on reception.
        interval, auth, password = (timing & 0x0FFF) / 100, AuthType.NONE, b""
    if interval == 0:
        # Would make the master-down interval nothing: everybody takes over at once.
        raise PacketError(Reason.INTERVAL, "an interval of 0")
    return Advert(version, vrid, priority, interval, addresses, auth, password)


def length(data: bytes, family: int) -> int:
    """How many bytes of `data` (at least a header) are the advert: all but a trailer.

    `family` is 4 or 6.
    """
    size = 4 if family == 4 else 16
    tail = _PASSWORD_LENGTH if data[0] >> 4 == 2 else 0
    return _HEADER.size + data[3] * size + tail


def split(data: bytes, family: int) -> tuple[bytes, bytes]:
    """The advert and the trailer (28 bytes or none) of a packet that `unpack` has taken."""
    end = length(data, family)
    return data[:end], data[end:]


def internet_checksum(data: bytes) -> int:
    """RFC 1071's checksum of an even number of bytes, not all of them zero.

    The ones' complement sum of 16-bit words is the number modulo 65535: 65536 leaves 1, so
    every word counts by its own value wherever it stands.
    """
    return (0xFFFF - int.from_bytes(data, "big") % 0xFFFF) % 0xFFFF


def _sums_up(data: bytes) -> bool:
    """Whether data that contains its own checksum is intact."""
    return int.from_bytes(data, "big") % 0xFFFF == 0


def _pseudo_header(source: Address, destination: Address, size: int) -> bytes:
    """RFC 8200, 8.1 for IPv6; the shape of TCP's for IPv4."""
    form = "!BBH" if source.version == 4 else "!I3xB"
    tail = (0, PROTOCOL, size) if source.version == 4 else (size, PROTOCOL)
    return source.packed + destination.packed + struct.pack(form, *tail)


def _checksum_holds(data: bytes, end: int, version: int, source: Address, destination: Address) -> bool:
    if source.version == 6:
        return _sums_up(_pseudo_header(source, destination, len(data)) + data)
    pdu = data[:end]
    if version == 2:
        return _sums_up(pdu)
    return _sums_up(_pseudo_header(source, destination, end) + pdu) or _sums_up(pdu)


def _header(data: bytes, source: Address) -> tuple[int, int, int, int, int]:
    if len(data) < _HEADER.size:
        raise PacketError(Reason.TRUNCATED, f"{len(data)} bytes, a header has {_HEADER.size}")
    first, vrid, priority, count, timing, _ = _HEADER.unpack_from(data)
    version = first >> 4
    if version not in (2, 3) or (version == 2 and source.version == 6):
        raise PacketError(Reason.VERSION, f"version {version} over IPv{source.version}")
    if first & 0x0F != _ADVERTISEMENT:
        raise PacketError(Reason.TYPE, f"type {first & 0x0F} is not an advertisement")
    return version, vrid, priority, count, timing


def _addresses(data: bytes, count: int, family: int) -> tuple[Address, ...]:
    kind, size = (IPv4Address, 4) if family == 4 else (IPv6Address, 16)
    start = _HEADER.size
    return tuple(kind(data[at : at + size]) for at in range(start, start + count * size, size))


def _auth_type(value: int) -> AuthType:
    try:
        return AuthType(value)
    except ValueError:
        raise PacketError(Reason.AUTH_TYPE, f"authentication type {value}") from None


def _interval_field(advert: Advert) -> int:
    if advert.version == 2:
        return advert.auth << 8 | round(advert.interval)
    return round(advert.interval * 100)


def _representable(advert: Advert, source: Address, destination: Address) -> None:
    family = source.version
    if advert.version not in (2, 3) or (advert.version == 2 and family == 6):
        raise ValueError(f"no VRRP version {advert.version} over IPv{family}")
    if destination.version != family or any(a.version != family for a in advert.addresses):
        raise ValueError(f"source {source}, destination {destination} and addresses differ in family")
    if not (1 <= advert.vrid <= 255 and 0 <= advert.priority <= 255 and len(advert.addresses) <= 255):
        raise ValueError(f"virtual router, priority or number of addresses is out of range: {advert}")
    shortest, longest = _SHORTEST[advert.version], _LONGEST[advert.version]
    if not shortest <= advert.interval <= longest:
        raise ValueError(f"interval {advert.interval} is not within {shortest} to {longest} seconds")
    if advert.version == 3 and (advert.auth is not AuthType.NONE or advert.password):
        raise ValueError("VRRPv3 has no password")
    if len(advert.password) > _PASSWORD_LENGTH:
        raise ValueError("a VRRPv2 password has at most 8 bytes")
