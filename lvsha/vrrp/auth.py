"""Proof that an advert comes from one of us, and has not been heard before.

Two kinds. The password of VRRPv2 (RFC 2338, 5.3.6) is readable on the wire: it tells apart two
pairs that were given the same VRID by mistake, and nobody else. The trailer is proof: 28 bytes
behind the advert of either version, as draft-cassen-vrrp-auth-hmac and keepalived from 2.4.2 on
have it.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |    Type = 1   |    Key Id     |         Reserved = 0          |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                     Seconds (UTC, modulo 2^32)                |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     Seconds / 65536           |           Counter             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        HMAC-SHA256, its first 16 bytes                        |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

The digest is over a pseudo-header that names family, version, VRID and source (so that nothing
can be moved to another router or another sender), the advert with its checksum read as 0 (the
kernel fills that in later for IPv6), the first 12 bytes of the trailer and 16 zeros. The
destination is not in it: one trailer serves every unicast peer.

Seconds, fraction and counter together are one 64-bit serial number (RFC 1982) that grows with
every advert. A receiver takes a serial within `window` seconds of its own clock and above the
last one of that sender; so a recorded advert is worth nothing, and neither is one which the
network delivers late. The window is judged before the digest, so that a flood of old recordings
costs no digests; what is remembered of a sender changes after the digest only, so that a
forgery cannot silence anybody. The clocks of a pair must agree within the window: a node whose
clock is wrong is not heard, and neither hears it.

Keys have ids: a new key is added everywhere, made active everywhere, and then the old one
is removed, with no advert lost. To begin with trailers: receive-only on all nodes (nodes without
them refuse an advert that has one), then permissive, then enforce.
"""

from __future__ import annotations

import hmac
import struct
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from lvsha.model import Address
from lvsha.vrrp.packet import TRAILER_LENGTH, Advert, AuthType, PacketError, Reason

_TRAILER: Final = struct.Struct("!BBHQ16s")
_PSEUDO_HEADER: Final = struct.Struct("!BBBx16s")
_HMAC_SHA256_128: Final = 1
_DIGEST_LENGTH: Final = 16
_SIGNED: Final = TRAILER_LENGTH - _DIGEST_LENGTH
_SERIAL: Final = 1 << 64
_SENDERS: Final = 4


class Mode(StrEnum):
    """What a node does about trailers."""

    ENFORCE = "enforce"
    """Sends one and wants one."""
    PERMISSIVE = "permissive"
    """Sends one and takes adverts without; one that is there must be right."""
    RECEIVE_ONLY = "receive-only"
    """Sends none and takes adverts without; one that is there must be right."""


@dataclass(frozen=True, slots=True)
class Key:
    """A secret of 32 to 64 bytes, and the number that a trailer names it by."""

    id: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 255:
            raise ValueError(f"key id {self.id} is not within 0 to 255")
        if not 32 <= len(self.secret) <= 64:
            raise ValueError(f"key {self.id} has {len(self.secret)} bytes, not 32 to 64")


class Keyring:
    """Signs the adverts of one virtual router and verifies those of its peers.

    `now` is the wall clock in seconds since 1970, everywhere.
    """

    def __init__(
        self,
        keys: Iterable[Key],
        active: int,
        *,
        mode: Mode = Mode.ENFORCE,
        window: float = 5.0,
        senders: int = _SENDERS,
    ) -> None:
        """`senders` are remembered, the one longest unheard is forgotten for a new one.

        With unicast let it be no less than the number of peers. Raises ValueError for keys that
        share an id or an active key that is not there.
        """
        listed = list(keys)
        self._keys = {key.id: key for key in listed}
        if len(self._keys) != len(listed):
            raise ValueError("two keys have the same id")
        if active not in self._keys:
            raise ValueError(f"the active key {active} is not among the keys")
        self.active = active
        self.mode = mode
        self.window = window
        self._senders = max(senders, _SENDERS)
        self._sent = 0
        self._heard: OrderedDict[Address, int] = OrderedDict()

    def sign(self, pdu: bytes, source: Address, now: float) -> bytes:
        """The trailer for an advert (the bytes of `packet.pack`); none if receive-only.

        Over IPv6 the checksum covers it, so pack once for the signature and again with it.
        """
        if self.mode is Mode.RECEIVE_ONLY:
            return b""
        self._sent = self._next(now)
        unsigned = _TRAILER.pack(_HMAC_SHA256_128, self.active, 0, self._sent, bytes(_DIGEST_LENGTH))
        signed = unsigned[:_SIGNED]
        return signed + _digest(self._keys[self.active], pdu, signed, source)

    def verify(self, pdu: bytes, trailer: bytes, source: Address, now: float) -> float | None:
        """Seconds by which the sender's clock is behind ours; None for an advert without a trailer.

        `pdu` and `trailer` are those of `packet.split`. Raises PacketError for anything that is
        not to be heard.
        """
        if not trailer:
            if self.mode is Mode.ENFORCE:
                raise PacketError(Reason.AUTH_MISSING, f"no authentication trailer from {source}")
            return None
        kind, key_id, reserved, serial, digest = _TRAILER.unpack(trailer)
        if kind != _HMAC_SHA256_128 or reserved:
            raise PacketError(Reason.AUTH_MALFORMED, f"trailer of type {kind}, reserved {reserved}")
        age = _seconds_between(_clock_serial(now), serial)
        if abs(age) > self.window:
            raise PacketError(
                Reason.AUTH_WINDOW,
                f"stamped {age:.3f} s before our clock by {source}, the window is {self.window} s: "
                "set the clocks of the nodes",
            )
        if (key := self._keys.get(key_id)) is None:
            raise PacketError(Reason.AUTH_KEY, f"{source} signs with key {key_id}, which is not known here")
        if not hmac.compare_digest(digest, _digest(key, pdu, trailer[:_SIGNED], source)):
            raise PacketError(Reason.AUTH_DIGEST, f"not signed by {source} with our key {key_id}")
        self._remember(source, serial, now)
        return age

    def succeed(self, former: Keyring) -> None:
        """Take over the memory of a keyring that had other keys: no replay because of a new key."""
        self._sent, self._heard = former._sent, former._heard

    def _next(self, now: float) -> int:
        """The clock, or one more than the last serial if the clock has not got so far.

        After a clock has been set back by more than the window nobody would take that: begin again.
        """
        clock = _clock_serial(now)
        ahead = _seconds_between(self._sent, clock)
        if not self._sent or _after(clock, self._sent) or ahead > self.window:
            return clock
        return (self._sent + 1) % _SERIAL

    def _remember(self, source: Address, serial: int, now: float) -> None:
        last = self._heard.get(source)
        # A mark outside the window orders only what the window refuses anyway; without it a sender
        # whose clock was set back is heard again.
        fresh = last is not None and abs(_seconds_between(_clock_serial(now), last)) <= self.window
        if last is not None and fresh and not _after(serial, last):
            raise PacketError(Reason.AUTH_REPLAY, f"serial {serial:#x} of {source} is not above {last:#x}")
        self._heard[source] = serial
        self._heard.move_to_end(source)
        if len(self._heard) > self._senders:
            self._heard.popitem(last=False)


def check_password(advert: Advert, password: bytes | None) -> None:
    """Raise PacketError unless a v2 advert carries this password (None: none at all)."""
    wanted = AuthType.NONE if password is None else AuthType.PASSWORD
    if advert.auth is not wanted:
        raise PacketError(Reason.AUTH_TYPE, f"authentication type {advert.auth.name}, ours is {wanted.name}")
    if password is not None and not hmac.compare_digest(
        advert.password.ljust(8, b"\0"), password.ljust(8, b"\0")
    ):
        raise PacketError(Reason.PASSWORD, "another password than ours")


def _digest(key: Key, pdu: bytes, signed: bytes, source: Address) -> bytes:
    header = _PSEUDO_HEADER.pack(source.version, pdu[0] >> 4, pdu[1], source.packed)
    message = header + pdu[:6] + b"\0\0" + pdu[8:] + signed + bytes(_DIGEST_LENGTH)
    return hmac.digest(key.secret, message, "sha256")[:_DIGEST_LENGTH]


def _clock_serial(now: float) -> int:
    """Seconds since 1970 as 32 bits of seconds, 16 of fraction and a counter of 0."""
    return (int(now * 65536) << 16) % _SERIAL


def _seconds_between(a: int, b: int) -> float:
    """By how much serial a is later than b: RFC 1982, so the turn of the 32 bits does not matter."""
    return _signed(a - b) / (1 << 32)


def _after(a: int, b: int) -> bool:
    return _signed(a - b) > 0


def _signed(difference: int) -> int:
    return (difference + _SERIAL // 2) % _SERIAL - _SERIAL // 2
