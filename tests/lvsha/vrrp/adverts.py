"""Adverts, packets and hostile bytes for the tests of this room."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import strategies as st

from lvsha.model import Address
from lvsha.vrrp.packet import GROUP_IPV4, GROUP_IPV6, Advert, AuthType, pack

SOURCE4 = IPv4Address("192.0.2.11")
SOURCE6 = IPv6Address("fe80::ff:fe00:11")

# Captured from keepalived 2.2.7: IP payloads from 192.0.2.11 (fe80::ff:fe00:11) to the group, VRID 51,
# priority 100, one second.
KEEPALIVED_V2 = bytes.fromhex("213364010001b865 c0000264 0000000000000000")
KEEPALIVED_V2_PASSWORD = bytes.fromhex("21336401010149e7 c0000264 7365637265743132")
KEEPALIVED_V3 = bytes.fromhex("31336402006442fd c0000264 c0000265")
KEEPALIVED_V3_IPV6 = bytes.fromhex(
    "3133640200643eed fe800000000000000000000000000100 20010db8000000000000000000000100"
)


def addresses(*texts: str) -> tuple[Address, ...]:
    """Addresses from their texts."""
    return tuple(ip_address(text) for text in texts)


def group_of(source: Address) -> Address:
    """The multicast destination of adverts from such a source."""
    return GROUP_IPV4 if source.version == 4 else GROUP_IPV6


@st.composite
def adverts(draw: st.DrawFn) -> tuple[Advert, Address]:
    """Any advert that can be sent, and the address that it comes from."""
    version = draw(st.sampled_from((2, 3)))
    family = 4 if version == 2 else draw(st.sampled_from((4, 6)))
    address = st.ip_addresses(v=family)
    password = draw(st.binary(max_size=8)).rstrip(b"\0") if version == 2 else b""
    auth = draw(st.sampled_from(AuthType)) if version == 2 else AuthType.NONE
    advert = Advert(
        version=version,
        vrid=draw(st.integers(1, 255)),
        priority=draw(st.integers(0, 255)),
        interval=float(draw(st.integers(1, 255))) if version == 2 else draw(st.integers(1, 4095)) / 100,
        addresses=tuple(draw(st.lists(address, max_size=20))),
        auth=auth,
        password=password if auth is AuthType.PASSWORD else b"",
    )
    return advert, draw(address)


def mutants(rng: random.Random, count: int) -> list[tuple[bytes, Address]]:
    """Packets that were right once, with bits turned, bytes lost, added, or put in from another."""
    seeds: list[tuple[bytes, Address]] = [
        (KEEPALIVED_V2, SOURCE4),
        (KEEPALIVED_V2_PASSWORD, SOURCE4),
        (KEEPALIVED_V3, SOURCE4),
        (KEEPALIVED_V3_IPV6, SOURCE6),
    ]
    made = []
    for _ in range(count):
        data, source = rng.choice(seeds)
        packet = bytearray(data + (rng.randbytes(28) if rng.random() < 0.3 else b""))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(packet) + 1)
            match rng.randrange(4):
                case 0 if at < len(packet):
                    packet[at] ^= 1 << rng.randrange(8)
                case 1:
                    del packet[at:]
                    packet += rng.randbytes(rng.choice((0, 1, 8, 40)))
                case 2:
                    packet[at:at] = rng.randbytes(rng.randrange(1, 9))
                case _:
                    packet[at : at + 4] = rng.choice(seeds)[0][at : at + 4]
        made.append((bytes(packet), source))
    return made


def packed(advert: Advert, source: Address) -> bytes:
    """The packet of a multicast advert."""
    return pack(advert, source, group_of(source))
