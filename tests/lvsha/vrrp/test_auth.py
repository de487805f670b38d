"""The trailer: the draft's own images, every way to be wrong, replays, clocks and new keys."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.model import Address
from lvsha.vrrp.auth import Key, Keyring, Mode, check_password
from lvsha.vrrp.packet import GROUP_IPV4, Advert, AuthType, PacketError, Reason, pack, split, unpack
from tests.lvsha.vrrp.adverts import SOURCE4, addresses, adverts, packed

KEY = Key(1, bytes(range(32)))
OTHER = Key(2, bytes(range(100, 164)))
NOW = 0x68000000 + 0.5
"""The time on the draft's images."""

# draft-cassen-vrrp-auth-hmac, appendix: key 00..1f, VRID 51, priority 200.
IMAGE4 = bytes.fromhex("3133c80100644402 c0000264 010100006800000080000000 1b84bc4e8e43892dc6d98448f8ee2265")
IMAGE6 = bytes.fromhex(
    "3133c8010064a2e9 fe800000000000000000000000000100"
    "010100006800000080000000 c8c56146ebfd66ee10ec4d8186461b78"
)
FROM4, FROM6, TO6 = ip_address("198.51.100.10"), ip_address("fe80::10"), ip_address("fe80::20")
ADVERT = Advert(3, 51, 200, 1.0, addresses("192.0.2.100"))


def ring(*keys: Key, active: int = 1, mode: Mode = Mode.ENFORCE, window: float = 5.0) -> Keyring:
    """A keyring that has heard nothing."""
    return Keyring(keys or (KEY,), active, mode=mode, window=window)


def signed(keyring: Keyring, now: float, source: Address = SOURCE4, advert: Advert = ADVERT) -> bytes:
    """An advert with the trailer of this keyring."""
    pdu = packed(advert, source)
    return pdu + keyring.sign(pdu, source, now)


def hear(keyring: Keyring, data: bytes, now: float, source: Address = SOURCE4) -> float | None:
    """Verify a packet."""
    return keyring.verify(*split(data, source.version), source, now)


def refused(keyring: Keyring, data: bytes, now: float, source: Address = SOURCE4) -> Reason:
    """Why a packet is not heard."""
    with pytest.raises(PacketError) as caught:
        hear(keyring, data, now, source)
    return caught.value.reason


def test_the_drafts_ipv4_image() -> None:
    """The appendix's IPv4 packet is made here byte for byte, and verified."""
    pdu = pack(ADVERT, FROM4, GROUP_IPV4, checksum="plain")
    assert pdu + ring().sign(pdu, FROM4, NOW) == IMAGE4
    assert hear(ring(), IMAGE4, NOW, FROM4) == 0.0


def test_the_drafts_ipv6_image() -> None:
    """The appendix's IPv6 packet too, whose checksum covers the trailer."""
    advert = replace(ADVERT, addresses=addresses("fe80::100"))
    trailer = ring().sign(pack(advert, FROM6, TO6), FROM6, NOW)
    assert pack(advert, FROM6, TO6, trailer=trailer) == IMAGE6
    assert unpack(IMAGE6, FROM6, TO6) == advert
    assert hear(ring(), IMAGE6, NOW, FROM6) == 0.0


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (0, Reason.AUTH_DIGEST),
        (1, Reason.AUTH_DIGEST),
        (2, Reason.AUTH_DIGEST),
        (5, Reason.AUTH_DIGEST),
        (23, Reason.AUTH_DIGEST),
        (24, Reason.AUTH_MALFORMED),
        (25, Reason.AUTH_KEY),
        (27, Reason.AUTH_MALFORMED),
        (31, Reason.AUTH_DIGEST),
        (35, Reason.AUTH_DIGEST),
        (36, Reason.AUTH_DIGEST),
        (51, Reason.AUTH_DIGEST),
    ],
)
def test_one_byte_changed(at: int, reason: Reason) -> None:
    """A change anywhere in the draft's IPv6 image is found, and told by its kind."""
    wrong = bytearray(IMAGE6)
    wrong[at] ^= 1
    assert refused(ring(), bytes(wrong), NOW, FROM6) is reason


@pytest.mark.parametrize("at", [6, 7])
def test_the_checksum_is_not_signed(at: int) -> None:
    """The kernel fills it in after signing."""
    other = bytearray(IMAGE6)
    other[at] ^= 1
    assert hear(ring(), bytes(other), NOW, FROM6) == 0.0


def test_another_source_is_another_sender() -> None:
    """A packet cannot be replayed in somebody else's name."""
    assert refused(ring(), IMAGE4, NOW, SOURCE4) is Reason.AUTH_DIGEST


@given(adverts(), st.floats(0, 2**33))
def test_what_is_signed_is_verified(made: tuple[Advert, Address], now: float) -> None:
    """Any advert at any time, past 2106 as well."""
    advert, source = made
    age = hear(ring(), signed(ring(), now, source, advert), now, source)
    assert age is not None
    assert abs(age) < 0.001


def test_heard_once_only() -> None:
    """The same packet a second time is a replay."""
    receiver, data = ring(), signed(ring(), NOW)
    assert hear(receiver, data, NOW + 0.1) == pytest.approx(0.1, abs=0.001)
    assert refused(receiver, data, NOW + 0.1) is Reason.AUTH_REPLAY


def test_a_late_packet_is_not_heard_after_a_newer_one() -> None:
    """What the network delivers in another order is dropped: a resignation cannot overtake."""
    sender, receiver = ring(), ring()
    first, second = signed(sender, NOW), signed(sender, NOW + 1)
    hear(receiver, second, NOW + 1)
    assert refused(receiver, first, NOW + 1) is Reason.AUTH_REPLAY


@pytest.mark.parametrize(("offset", "heard"), [(-5.1, False), (-4.9, True), (4.9, True), (5.1, False)])
def test_the_window_is_seconds_both_ways(offset: float, heard: bool) -> None:
    """A clock that is off by more than the window is not heard."""
    data = signed(ring(), NOW + offset)
    if heard:
        assert hear(ring(), data, NOW) == pytest.approx(-offset, abs=0.001)
    else:
        assert refused(ring(), data, NOW) is Reason.AUTH_WINDOW


def test_old_packets_cost_no_digest() -> None:
    """The window is judged first: an old packet with a wrong digest and an unknown key is just old."""
    wrong = bytearray(IMAGE4)
    wrong[13], wrong[-1] = 99, wrong[-1] ^ 1
    assert refused(ring(), bytes(wrong), NOW + 60, FROM4) is Reason.AUTH_WINDOW


def test_a_forgery_silences_nobody() -> None:
    """A forged packet from the future leaves the next honest one heard."""
    sender, receiver = ring(), ring()
    hear(receiver, signed(sender, NOW), NOW)
    forged = signed(ring(Key(1, bytes(32))), NOW + 4)
    assert refused(receiver, forged, NOW) is Reason.AUTH_DIGEST
    assert hear(receiver, signed(sender, NOW + 1), NOW + 1) == pytest.approx(0.0, abs=0.001)


def test_forgers_push_nobody_out_of_the_memory() -> None:
    """Forged senders do not take the place of the one whose replays must be known."""
    receiver, data = ring(), signed(ring(), NOW)
    hear(receiver, data, NOW)
    for n in range(20):
        source = IPv4Address(f"203.0.113.{n}")
        assert (
            refused(receiver, signed(ring(Key(1, bytes(32))), NOW, source), NOW, source) is Reason.AUTH_DIGEST
        )
    assert refused(receiver, data, NOW) is Reason.AUTH_REPLAY


def test_the_sender_longest_unheard_is_forgotten() -> None:
    """Four senders are remembered; a fifth takes the place of the one silent for longest."""
    receiver = ring()
    packets = {
        source: signed(ring(), NOW, source) for source in (IPv4Address(f"192.0.2.{n}") for n in range(1, 6))
    }
    sources = list(packets)
    for source in sources[:4]:
        hear(receiver, packets[source], NOW, source)
    hear(receiver, signed(ring(), NOW + 1, sources[0]), NOW, sources[0])
    hear(receiver, packets[sources[4]], NOW, sources[4])
    assert refused(receiver, packets[sources[0]], NOW, sources[0]) is Reason.AUTH_REPLAY
    assert hear(receiver, packets[sources[1]], NOW, sources[1]) == 0.0


def test_a_stopped_clock_still_grows() -> None:
    """Adverts made within one tick of the clock, or after it went back a little, are all heard."""
    sender, receiver = ring(), ring()
    for at in (NOW, NOW, NOW - 2, NOW, NOW + 0.00001):
        assert hear(receiver, signed(sender, at), NOW) is not None


def test_a_clock_that_is_set_back_recovers() -> None:
    """A sender whose clock was an hour ahead is heard as soon as the old mark is out of the window."""
    sender, receiver = ring(), ring()
    hear(receiver, signed(sender, NOW + 3600), NOW + 3600)
    assert hear(receiver, signed(sender, NOW), NOW) == pytest.approx(0.0, abs=0.001)


def test_the_turn_of_the_clock() -> None:
    """In February 2106 the 32 bits begin again, and nothing happens."""
    sender, receiver = ring(), ring()
    turn = float(2**32)
    for at in (turn - 1, turn - 0.5, turn + 0.5, turn + 1):
        assert hear(receiver, signed(sender, at), at) == pytest.approx(0.0, abs=0.001)
    assert refused(receiver, signed(ring(), turn - 1), turn + 1) is Reason.AUTH_REPLAY


def test_a_new_key_comes_without_a_gap() -> None:
    """Known first, then active, then alone: every advert is heard at every step by every node."""
    steps = [
        ring(KEY),
        ring(KEY, OTHER),
        ring(KEY, OTHER, active=2),
        ring(OTHER, active=2),
    ]
    for at, (before, after) in enumerate(pairwise(steps)):
        now = NOW + at
        assert hear(after, signed(before, now), now) == pytest.approx(0.0, abs=0.001)
        assert hear(before, signed(after, now + 0.1), now + 0.1) == pytest.approx(0.0, abs=0.001)
    assert refused(steps[3], signed(steps[0], NOW + 4), NOW + 4) is Reason.AUTH_KEY


@pytest.mark.parametrize(
    ("mode", "sends", "takes_bare"),
    [(Mode.ENFORCE, True, False), (Mode.PERMISSIVE, True, True), (Mode.RECEIVE_ONLY, False, True)],
)
def test_modes(mode: Mode, sends: bool, takes_bare: bool) -> None:
    """What a mode sends and takes; a trailer that is there must be right in each."""
    keyring = ring(mode=mode)
    assert (len(signed(keyring, NOW)) == len(packed(ADVERT, SOURCE4)) + 28) is sends
    bare = packed(ADVERT, SOURCE4)
    if takes_bare:
        assert hear(keyring, bare, NOW) is None
    else:
        assert refused(keyring, bare, NOW) is Reason.AUTH_MISSING
    assert refused(keyring, signed(ring(Key(1, bytes(32))), NOW), NOW) is Reason.AUTH_DIGEST


def test_migration_loses_no_advert() -> None:
    """Receive-only everywhere, permissive, enforce: neighbours in the order hear one another."""
    order = [Mode.RECEIVE_ONLY, Mode.PERMISSIVE, Mode.ENFORCE]
    for one, two in pairwise(order):
        for sender, receiver in ((one, two), (two, one), (one, one), (two, two)):
            age = hear(ring(mode=receiver), signed(ring(mode=sender), NOW), NOW)
            assert age == (None if sender is Mode.RECEIVE_ONLY else 0.0)


@pytest.mark.parametrize("secret", [bytes(31), bytes(65)])
def test_a_key_has_a_length(secret: bytes) -> None:
    """Too short is weak, too long is not what the peers take."""
    with pytest.raises(ValueError, match="32 to 64"):
        Key(1, secret)


def test_keyrings_that_make_no_sense() -> None:
    """A key id twice, outside a byte, or an active key that is not there."""
    with pytest.raises(ValueError, match="same id"):
        Keyring((KEY, Key(1, bytes(32))), 1)
    with pytest.raises(ValueError, match="not among"):
        Keyring((KEY,), 2)
    with pytest.raises(ValueError, match="0 to 255"):
        Key(256, bytes(32))


def test_a_key_does_not_show() -> None:
    """A key that is logged tells no secret."""
    assert "\\x1f" not in repr(KEY)


@pytest.mark.parametrize(
    ("auth", "sent", "ours", "reason"),
    [
        (AuthType.NONE, b"", None, None),
        (AuthType.PASSWORD, b"secret12", b"secret12", None),
        (AuthType.PASSWORD, b"short", b"short\0", None),
        (AuthType.PASSWORD, b"secret13", b"secret12", Reason.PASSWORD),
        (AuthType.PASSWORD, b"", b"secret12", Reason.PASSWORD),
        (AuthType.NONE, b"", b"secret12", Reason.AUTH_TYPE),
        (AuthType.PASSWORD, b"secret12", None, Reason.AUTH_TYPE),
    ],
)
def test_passwords(auth: AuthType, sent: bytes, ours: bytes | None, reason: Reason | None) -> None:
    """Both have the same password or both have none."""
    advert = Advert(2, 1, 100, 1.0, (), auth, sent)
    if reason is None:
        check_password(advert, ours)
        return
    with pytest.raises(PacketError) as caught:
        check_password(advert, ours)
    assert caught.value.reason is reason
