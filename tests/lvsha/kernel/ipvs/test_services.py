"""Virtual services as IPVS's attributes."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.errors import InputError
from lvsha.kernel.attributes import MalformedError, pack, pack_be16, pack_text, pack_u16, pack_u32, unpack
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.services import FOREIGN_PREFIX, pack_key, pack_service, unpack_address, unpack_service
from lvsha.model import AddressKey, Family, FwmarkKey, Protocol, Service, ServiceFlag, ServiceState
from tests.lab import drawn

WEB = AddressKey(Protocol.TCP, ip_address("192.0.2.1"), 80)
WEB6 = AddressKey(Protocol.UDP, ip_address("2001:db8::1"), 53)


@given(st.data())
def test_services_come_back(data: st.DataObject) -> None:
    """What is packed for the kernel is what would be read from it."""
    key = data.draw(drawn.keys)
    service = data.draw(drawn.services(key.family))
    assert unpack_service(pack_service(key, service)) == (key, ServiceState(service))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes from anywhere give a service, none, or MalformedError, and nothing else."""
    try:
        found = unpack_service(data)
    except MalformedError:
        return
    assert found is None or isinstance(found[1], ServiceState)


@given(st.data())
def test_a_service_cut_short_anywhere_is_never_a_crash(data: st.DataObject) -> None:
    """Every prefix of a real service is a service with defaults, or MalformedError."""
    key = data.draw(drawn.keys)
    whole = pack_service(key, data.draw(drawn.services(key.family)))
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        unpack_service(whole[:cut])
    except MalformedError:
        return
    # Only what is optional may be missing from what was read.
    assert unpack(whole[:cut]).keys() >= {abi.SVC_AF, abi.SVC_SCHED_NAME, abi.SVC_FLAGS, abi.SVC_TIMEOUT}


def test_an_ipv4_service_byte_for_byte() -> None:
    """Port and mask stand in network order, everything else in the machine's."""
    service = Service("wlc", ServiceFlag.PERSISTENT | ServiceFlag.ONE_PACKET, 360, 24)
    assert pack_service(WEB, service) == b"".join(
        [
            pack_u16(1, 2),
            pack_u16(2, 6),
            pack(3, bytes([192, 0, 2, 1]) + bytes(12)),
            pack(4, b"\x00\x50"),
            pack(6, b"wlc\0"),
            pack(7, struct.pack("=II", 0x5, 0xFFFFFFFF)),
            pack_u32(8, 360),
            pack(9, bytes([255, 255, 255, 0])),
        ]
    )


def test_the_mask_of_ipv6_is_a_prefix_length() -> None:
    """In the machine's order, and 128 for the whole address."""
    assert unpack(pack_service(WEB6, Service("rr", prefix=64)))[9] == struct.pack("=I", 64)
    assert unpack(pack_service(WEB6, Service("rr")))[9] == struct.pack("=I", 128)
    assert unpack(pack_service(FwmarkKey(Family.IPV6, 7), Service("rr", prefix=48)))[9] == struct.pack(
        "=I", 48
    )


def test_a_marked_service_has_a_family_and_a_mark() -> None:
    """A firewall mark needs neither protocol nor address."""
    assert pack_key(FwmarkKey(Family.IPV6, 7)) == pack_u16(1, 10) + pack_u32(5, 7)


@pytest.mark.parametrize(
    ("key", "service", "said"),
    [
        (WEB, Service("a-name-of-16-byt"), "scheduler 'a-name-of-16-byt'"),
        (WEB, Service(""), "scheduler ''"),
        (WEB, Service("rr\0x"), "1 to 15 bytes"),
        (WEB, Service("rr", engine="a-name-of-16-byt"), "persistence engine"),
        (WEB, Service("rr", prefix=33), "IPV4 has 32 bits"),
        (WEB, Service("rr", prefix=FOREIGN_PREFIX), "persistence prefix -1"),
        (WEB6, Service("rr", prefix=0), "persistence prefix 0"),
        (WEB6, Service("rr", prefix=129), "IPV6 has 128 bits"),
    ],
)
def test_what_has_no_place_in_the_format_is_refused(key: AddressKey, service: Service, said: str) -> None:
    """Names too long and impossible prefixes are told, not cut."""
    with pytest.raises(InputError, match=said):
        pack_service(key, service)


def row(*, protocol: int = 6, family: int = 2, mask: bytes = b"\xff\xff\xff\xff", flags: int = 0x2) -> bytes:
    """A service as the kernel might show it, with things that lvsha would not have put there."""
    return b"".join(
        [
            pack_u16(1, family),
            pack_u16(2, protocol),
            pack(3, bytes([192, 0, 2, 1]) + bytes(12)),
            pack_be16(4, 80),
            pack_text(6, "rr"),
            pack(7, struct.pack("=II", flags, 0xFFFFFFFF)),
            pack_u32(8, 0),
            pack(9, mask),
        ]
    )


def test_what_the_kernel_sets_by_itself_is_not_seen() -> None:
    """The flag HASHED and the mask of a whole address are no settings."""
    assert unpack_service(row()) == (WEB, ServiceState(Service("rr")))


def test_a_mask_with_holes_is_never_what_was_wanted() -> None:
    """255.0.255.0 is no prefix: it differs from every configuration, and is put right."""
    found = unpack_service(row(mask=bytes([255, 0, 255, 0])))
    assert found is not None
    assert found[1].service.prefix == FOREIGN_PREFIX


def test_flags_of_a_newer_kernel_are_kept() -> None:
    """A flag without a name here makes a difference, so that it is not lost sight of."""
    found = unpack_service(row(flags=0x42))
    assert found is not None
    assert found[1].service.flags == ServiceFlag(0x40)


@pytest.mark.parametrize("foreign", [row(protocol=1), row(family=1)])
def test_a_service_beyond_words_is_left_out(foreign: bytes) -> None:
    """Another protocol or family is somebody else's business."""
    assert unpack_service(foreign) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (row()[:-8] + pack(9, b"\xff"), "a persistence mask of 1 bytes"),
        (row().replace(pack_text(6, "rr"), b""), "is missing"),
        (row().replace(pack_u16(1, 2), pack(1, b"abc")), "no number"),
        (row().replace(pack(3, bytes([192, 0, 2, 1]) + bytes(12)), pack(3, b"ab")), "an address of 2 bytes"),
        (
            row().replace(pack(7, struct.pack("=II", 2, 0xFFFFFFFF)), pack_u32(7, 2)),
            "flags of a service in 4",
        ),
    ],
)
def test_a_broken_service_is_told(data: bytes, said: str) -> None:
    """What is missing or has an impossible size is said in words."""
    with pytest.raises(MalformedError, match=said):
        unpack_service(data)


def test_an_ipv4_address_is_the_first_four_of_sixteen_bytes() -> None:
    """The kernel has one union for both families."""
    assert unpack_address(2, bytes([10, 0, 0, 1]) + b"x" * 12) == IPv4Address("10.0.0.1")
    with pytest.raises(MalformedError, match="16 are needed"):
        unpack_address(10, bytes(4))
