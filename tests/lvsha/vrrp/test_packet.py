"""The codec: keepalived's own bytes, both versions, and whatever else the network brings."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lvsha.model import Address
from lvsha.vrrp.packet import (
    GROUP_IPV4,
    GROUP_IPV6,
    Advert,
    AuthType,
    PacketError,
    Reason,
    internet_checksum,
    length,
    pack,
    split,
    unpack,
)
from tests.lvsha.vrrp.adverts import (
    KEEPALIVED_V2,
    KEEPALIVED_V2_PASSWORD,
    KEEPALIVED_V3,
    KEEPALIVED_V3_IPV6,
    SOURCE4,
    SOURCE6,
    addresses,
    adverts,
    group_of,
    mutants,
)

CAPTURED: list[tuple[bytes, Address, Advert]] = [
    (KEEPALIVED_V2, SOURCE4, Advert(2, 51, 100, 1.0, addresses("192.0.2.100"))),
    (
        KEEPALIVED_V2_PASSWORD,
        SOURCE4,
        Advert(2, 51, 100, 1.0, addresses("192.0.2.100"), AuthType.PASSWORD, b"secret12"),
    ),
    (KEEPALIVED_V3, SOURCE4, Advert(3, 51, 100, 1.0, addresses("192.0.2.100", "192.0.2.101"))),
    (KEEPALIVED_V3_IPV6, SOURCE6, Advert(3, 51, 100, 1.0, addresses("fe80::100", "2001:db8::100"))),
]
IDS = ["v2", "v2 password", "v3", "v3 ipv6"]


def refused(data: bytes, source: Address = SOURCE4, destination: Address | None = None) -> Reason:
    """Why a packet is not taken."""
    with pytest.raises(PacketError) as caught:
        unpack(data, source, group_of(source) if destination is None else destination)
    return caught.value.reason


def with_checksum(data: bytes) -> bytes:
    """A v2 or plain v3 packet over IPv4 with its checksum put right."""
    bare = data[:6] + b"\0\0" + data[8:]
    return data[:6] + internet_checksum(bare).to_bytes(2, "big") + data[8:]


@pytest.mark.parametrize(("data", "source", "advert"), CAPTURED, ids=IDS)
def test_keepalived_is_understood(data: bytes, source: Address, advert: Advert) -> None:
    """What keepalived 2.2.7 sends is read as what it was told to say."""
    assert unpack(data, source, group_of(source)) == advert


@pytest.mark.parametrize(("data", "source", "advert"), CAPTURED, ids=IDS)
def test_keepalived_would_understand(data: bytes, source: Address, advert: Advert) -> None:
    """The same advert packed here is keepalived's, byte for byte."""
    assert pack(advert, source, group_of(source)) == data


def test_a_plain_checksum_is_rfc_9568s() -> None:
    """Without the pseudo-header keepalived's v3 packet carries e59b, and is taken as well."""
    advert = CAPTURED[2][2]
    data = pack(advert, SOURCE4, GROUP_IPV4, checksum="plain")
    assert data[6:8].hex() == "e59b"
    assert unpack(data, SOURCE4, GROUP_IPV4) == advert


def test_a_checksum_for_another_destination_is_wrong() -> None:
    """A pseudo-header with the group's address does not do for a packet that came by unicast."""
    assert refused(KEEPALIVED_V3, SOURCE4, IPv4Address("192.0.2.12")) is Reason.CHECKSUM


@pytest.mark.parametrize(("data", "source", "advert"), CAPTURED, ids=IDS)
def test_no_single_bit_passes_for_another(data: bytes, source: Address, advert: Advert) -> None:
    """One bit turned, anywhere, is noticed: the packet is refused."""
    del advert
    for bit in range(len(data) * 8):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PacketError):
            unpack(bytes(wrong), source, group_of(source))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (KEEPALIVED_V3[:7], Reason.TRUNCATED),
        (b"\x11" + KEEPALIVED_V3[1:], Reason.VERSION),
        (b"\x41" + KEEPALIVED_V3[1:], Reason.VERSION),
        (b"\x32" + KEEPALIVED_V3[1:], Reason.TYPE),
        (KEEPALIVED_V3[:-1], Reason.LENGTH),
        (KEEPALIVED_V3 + b"\0", Reason.LENGTH),
        (KEEPALIVED_V3 + bytes(27), Reason.LENGTH),
        (KEEPALIVED_V3 + bytes(29), Reason.LENGTH),
        (KEEPALIVED_V2[:-8], Reason.LENGTH),
        (KEEPALIVED_V3[:-1] + b"\0", Reason.CHECKSUM),
        (with_checksum(b"\x31\x00" + KEEPALIVED_V3[2:]), Reason.VRID),
        (with_checksum(KEEPALIVED_V3[:4] + b"\0\0" + KEEPALIVED_V3[6:]), Reason.INTERVAL),
        (with_checksum(KEEPALIVED_V2[:5] + b"\0" + KEEPALIVED_V2[6:]), Reason.INTERVAL),
        (with_checksum(KEEPALIVED_V2[:4] + b"\2" + KEEPALIVED_V2[5:]), Reason.AUTH_TYPE),
    ],
)
def test_every_refusal_has_its_reason(data: bytes, reason: Reason) -> None:
    """What is wrong with a packet is told by a reason that can be counted."""
    assert refused(data) is reason


def test_version_2_is_ipv4_only() -> None:
    """RFC 3768 knows no IPv6."""
    assert refused(KEEPALIVED_V2, SOURCE6) is Reason.VERSION


def test_reserved_bits_are_not_looked_at() -> None:
    """RFC 9568, 5.2.6: the four bits before the interval may be anything on reception."""
    data = with_checksum(KEEPALIVED_V3[:4] + b"\xf0" + KEEPALIVED_V3[5:])
    assert unpack(data, SOURCE4, GROUP_IPV4).interval == 1.0


def test_a_packet_without_addresses_is_an_advert() -> None:
    """Some routers list none; the codec does not mind."""
    advert = Advert(3, 60, 100, 0.5)
    assert unpack(pack(advert, SOURCE4, GROUP_IPV4), SOURCE4, GROUP_IPV4) == advert


def test_255_addresses_fit() -> None:
    """The count is one byte, and all of it can be used."""
    many = tuple(IPv4Address(f"198.51.100.{n}") for n in range(1, 256))
    advert = Advert(2, 1, 1, 1.0, many)
    assert unpack(pack(advert, SOURCE4, GROUP_IPV4), SOURCE4, GROUP_IPV4) == advert
    with pytest.raises(ValueError, match="number of addresses"):
        pack(replace(advert, addresses=(*many, SOURCE4)), SOURCE4, GROUP_IPV4)


@given(
    adverts(),
    st.sampled_from(("pseudo-header", "plain")),
    st.one_of(st.just(b""), st.binary(min_size=28, max_size=28)),
)
def test_what_is_packed_is_unpacked(made: tuple[Advert, Address], checksum: str, trailer: bytes) -> None:
    """Any advert comes back as it was, with either checksum, with and without a trailer."""
    advert, source = made
    data = pack(advert, source, group_of(source), checksum=checksum, trailer=trailer)  # type: ignore[arg-type]
    assert unpack(data, source, group_of(source)) == advert
    pdu, rest = split(data, source.version)
    assert rest == trailer
    assert len(pdu) == length(data, source.version)


def test_the_checksum_covers_a_trailer_over_ipv6_only() -> None:
    """The kernel sums the whole IPv6 payload; over IPv4 the trailer is not summed."""
    trailer = bytes(range(1, 29))
    for advert, source in ((CAPTURED[2][2], SOURCE4), (CAPTURED[3][2], SOURCE6)):
        group = group_of(source)
        same = pack(advert, source, group)[6:8] == pack(advert, source, group, trailer=trailer)[6:8]
        assert same is (source.version == 4)


def test_intervals_are_rounded_on_the_wire_only() -> None:
    """A third of a second goes out as 33 centiseconds, and 1.6 seconds of version 2 as 2."""
    sent = pack(Advert(3, 1, 1, 1 / 3), SOURCE4, GROUP_IPV4)
    assert unpack(sent, SOURCE4, GROUP_IPV4).interval == 0.33
    sent = pack(Advert(2, 1, 1, 1.6), SOURCE4, GROUP_IPV4)
    assert unpack(sent, SOURCE4, GROUP_IPV4).interval == 2.0


@pytest.mark.parametrize(
    ("advert", "source", "destination"),
    [
        (Advert(1, 1, 1, 1.0), SOURCE4, GROUP_IPV4),
        (Advert(2, 1, 1, 1.0), SOURCE6, GROUP_IPV6),
        (Advert(3, 0, 1, 1.0), SOURCE4, GROUP_IPV4),
        (Advert(3, 256, 1, 1.0), SOURCE4, GROUP_IPV4),
        (Advert(3, 1, 256, 1.0), SOURCE4, GROUP_IPV4),
        (Advert(3, 1, -1, 1.0), SOURCE4, GROUP_IPV4),
        (Advert(3, 1, 1, 0.001), SOURCE4, GROUP_IPV4),
        (Advert(3, 1, 1, 41.0), SOURCE4, GROUP_IPV4),
        (Advert(2, 1, 1, 0.5), SOURCE4, GROUP_IPV4),
        (Advert(2, 1, 1, 256.0), SOURCE4, GROUP_IPV4),
        (Advert(3, 1, 1, 1.0, (IPv6Address("2001:db8::1"),)), SOURCE4, GROUP_IPV4),
        (Advert(3, 1, 1, 1.0), SOURCE4, GROUP_IPV6),
        (Advert(3, 1, 1, 1.0, auth=AuthType.PASSWORD), SOURCE4, GROUP_IPV4),
        (Advert(2, 1, 1, 1.0, auth=AuthType.PASSWORD, password=b"ninebytes"), SOURCE4, GROUP_IPV4),
    ],
)
def test_what_has_no_place_is_not_sent(advert: Advert, source: Address, destination: Address) -> None:
    """A value that the packet cannot hold is an error here, not another value at the peer."""
    with pytest.raises(ValueError, match=r"."):
        pack(advert, source, destination)


def test_a_password_does_not_show() -> None:
    """An advert that is logged tells no secret."""
    assert "secret12" not in repr(CAPTURED[1][2])


@given(st.binary(max_size=120), st.sampled_from((SOURCE4, SOURCE6)))
@example(b"", SOURCE4)
@example(b"\x31" + bytes(7), SOURCE6)
def test_any_bytes_are_an_advert_or_refused(data: bytes, source: Address) -> None:
    """Nothing but PacketError comes out of hostile bytes."""
    try:
        advert = unpack(data, source, group_of(source))
    except PacketError:
        return
    assert 1 <= advert.vrid <= 255
    assert advert.interval > 0


def test_thousands_of_damaged_packets() -> None:
    """Of 40,000 packets that were damaged each is refused for a reason, or is what it says."""
    reasons: dict[Reason | None, int] = {}
    for data, source in mutants(random.Random(1), 40_000):
        reason: Reason | None = None
        try:
            advert = unpack(data, source, group_of(source))
        except PacketError as error:
            reason = error.reason
        else:
            again = pack(advert, source, group_of(source), trailer=split(data, source.version)[1])
            assert unpack(again, source, group_of(source)) == advert
        reasons[reason] = reasons.get(reason, 0) + 1
    met = {Reason.TRUNCATED, Reason.VERSION, Reason.TYPE, Reason.LENGTH, Reason.CHECKSUM, None}
    assert met <= set(reasons)
