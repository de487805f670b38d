"""The door: where a packet came from, whose it is, and what is counted."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lvsha.model import Address
from lvsha.vrrp.admission import Admission
from lvsha.vrrp.auth import Key, Keyring, Mode
from lvsha.vrrp.member import Spec
from lvsha.vrrp.packet import GROUP_IPV4, Advert, PacketError, Reason, pack
from tests.lvsha.vrrp.adverts import (
    KEEPALIVED_V2,
    KEEPALIVED_V2_PASSWORD,
    KEEPALIVED_V3,
    SOURCE4,
    addresses,
    group_of,
    mutants,
)

SPEC = Spec("public", 51, IPv4Address("192.0.2.12"), addresses=addresses("192.0.2.100", "192.0.2.101"))
V2 = replace(SPEC, version=2)
OURS = IPv4Address("192.0.2.12")
NOW = 1_700_000_000.0
KEY = Key(1, bytes(range(32)))


def refused(
    door: Admission,
    data: bytes = KEEPALIVED_V3,
    source: Address = SOURCE4,
    destination: Address = GROUP_IPV4,
    ttl: int = 255,
) -> Reason:
    """Why a packet is not let in; that it is counted is seen on the way."""
    before = door.refused.copy()
    with pytest.raises(PacketError) as caught:
        door.admit(data, source, destination, ttl, NOW)
    assert door.refused - before == {caught.value.reason: 1}
    return caught.value.reason


def test_a_peer_is_let_in() -> None:
    """An advert of keepalived for our router is let in and counted."""
    door = Admission(SPEC)
    advert = door.admit(KEEPALIVED_V3, SOURCE4, GROUP_IPV4, 255, NOW)
    assert (advert.vrid, advert.priority) == (51, 100)
    assert (door.admitted, door.refused.total()) == (1, 0)


@pytest.mark.parametrize("ttl", [0, 1, 64, 254])
def test_multicast_comes_from_this_link(ttl: int) -> None:
    """A TTL below 255 has passed a router."""
    assert refused(Admission(SPEC), ttl=ttl) is Reason.TTL


def test_a_unicast_packet_is_not_multicast() -> None:
    """Where no peers are configured nobody sends to our own address."""
    data = pack(Advert(3, 51, 100, 1.0), SOURCE4, OURS)
    assert refused(Admission(SPEC), data, destination=OURS) is Reason.DESTINATION


def test_unicast_peers_are_a_list() -> None:
    """With peers, only they are heard, only at our address, and from as far as was said."""
    door = Admission(SPEC, peers=[SOURCE4], ttl_min=250)
    data = pack(Advert(3, 51, 100, 1.0), SOURCE4, OURS)
    assert door.admit(data, SOURCE4, OURS, 250, NOW).priority == 100
    assert refused(door, data, destination=OURS, ttl=249) is Reason.TTL
    assert refused(door, data) is Reason.DESTINATION
    stranger = IPv4Address("192.0.2.66")
    assert refused(door, pack(Advert(3, 51, 255, 1.0), stranger, OURS), stranger, OURS) is Reason.SOURCE


def test_another_router_is_not_ours() -> None:
    """The VRID and the version must be those of the router behind this door."""
    assert refused(Admission(replace(SPEC, vrid=52))) is Reason.VRID
    assert refused(Admission(V2)) is Reason.VERSION
    assert refused(Admission(SPEC), KEEPALIVED_V2) is Reason.VERSION


def test_the_codec_stands_at_the_door() -> None:
    """A damaged packet is refused with the codec's reason."""
    assert refused(Admission(SPEC), KEEPALIVED_V3[:-1]) is Reason.LENGTH


def test_passwords_are_asked_for() -> None:
    """A version 2 router with a password hears those who have it."""
    door = Admission(replace(V2, password=b"secret12"))
    assert door.admit(KEEPALIVED_V2_PASSWORD, SOURCE4, GROUP_IPV4, 255, NOW).priority == 100
    assert refused(door, KEEPALIVED_V2) is Reason.AUTH_TYPE
    assert refused(Admission(replace(V2, password=b"other")), KEEPALIVED_V2_PASSWORD) is Reason.PASSWORD
    assert refused(Admission(V2), KEEPALIVED_V2_PASSWORD) is Reason.AUTH_TYPE


@pytest.mark.parametrize(("version", "spec"), [(3, SPEC), (2, V2)])
def test_trailers_are_asked_for(version: int, spec: Spec) -> None:
    """With keys an advert of either version must be signed, and is heard once."""
    door = Admission(spec, keyring=Keyring([KEY], 1))
    pdu = pack(Advert(version, 51, 100, 1.0), SOURCE4, GROUP_IPV4)
    data = pdu + Keyring([KEY], 1).sign(pdu, SOURCE4, NOW)
    assert door.admit(data, SOURCE4, GROUP_IPV4, 255, NOW).priority == 100
    assert refused(door, data) is Reason.AUTH_REPLAY
    assert refused(door, pdu) is Reason.AUTH_MISSING
    assert refused(Admission(spec), data) is Reason.LENGTH


def test_a_permissive_door_takes_both() -> None:
    """During a migration signed and bare adverts are let in."""
    door = Admission(SPEC, keyring=Keyring([KEY], 1, mode=Mode.PERMISSIVE))
    pdu = pack(Advert(3, 51, 100, 1.0), SOURCE4, GROUP_IPV4)
    door.admit(pdu, SOURCE4, GROUP_IPV4, 255, NOW)
    door.admit(pdu + Keyring([KEY], 1).sign(pdu, SOURCE4, NOW), SOURCE4, GROUP_IPV4, 255, NOW)
    assert door.admitted == 2


def test_a_door_with_other_settings_knows_what_was_heard() -> None:
    """A reload opens no gap for replays, and the counters go on."""
    before = Admission(SPEC, keyring=Keyring([KEY], 1))
    pdu = pack(Advert(3, 51, 100, 1.0), SOURCE4, GROUP_IPV4)
    data = pdu + Keyring([KEY], 1).sign(pdu, SOURCE4, NOW)
    before.admit(data, SOURCE4, GROUP_IPV4, 255, NOW)
    after = Admission(replace(SPEC, priority=50), keyring=Keyring([KEY, Key(2, bytes(32))], 1))
    after.succeed(before)
    assert refused(after, data) is Reason.AUTH_REPLAY
    assert after.admitted == 1


def test_thousands_of_hostile_packets_at_the_door() -> None:
    """Damaged packets, with and without something like a trailer, are counted and nothing else."""
    rng = random.Random(2)
    doors = [
        Admission(SPEC),
        Admission(V2),
        Admission(SPEC, keyring=Keyring([KEY], 1)),
        Admission(SPEC, keyring=Keyring([KEY], 1, mode=Mode.PERMISSIVE)),
        Admission(SPEC, peers=[SOURCE4]),
    ]
    count = 20_000
    for data, source in mutants(rng, count):
        door = rng.choice(doors)
        try:
            door.admit(data, source, group_of(source), 255, NOW)
        except PacketError:
            continue
    assert sum(door.admitted + door.refused.total() for door in doors) == count
    assert doors[2].admitted == 0
