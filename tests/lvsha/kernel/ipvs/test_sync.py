"""The sync daemon as IPVS's attributes."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.errors import InputError
from lvsha.kernel.attributes import MalformedError, pack, pack_text, pack_u8, pack_u16, pack_u32
from lvsha.kernel.ipvs.sync import pack_daemon, pack_role, unpack_daemon
from lvsha.model import SyncDaemon, SyncRole
from tests.lab import drawn


@given(drawn.daemons)
def test_daemons_come_back(daemon: SyncDaemon) -> None:
    """What is packed for the kernel is what would be read from it."""
    assert unpack_daemon(pack_daemon(daemon)) == daemon


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes from anywhere give a daemon or MalformedError, and nothing else."""
    try:
        daemon = unpack_daemon(data)
    except MalformedError:
        return
    assert daemon.role in SyncRole


def test_a_daemon_byte_for_byte() -> None:
    """The group stands in network order; the port, unlike those of services, in the machine's."""
    daemon = SyncDaemon(SyncRole.BACKUP, "eth1", 7, 1400, 8849, 3, ip_address("224.0.0.82"))
    assert pack_daemon(daemon) == b"".join(
        [
            pack_u32(1, 2),
            pack_text(2, "eth1"),
            pack_u32(3, 7),
            pack_u16(4, 1400),
            pack(5, bytes([224, 0, 0, 82])),
            pack(7, struct.pack("=H", 8849)),
            pack_u8(8, 3),
        ]
    )
    assert pack_role(daemon) == pack_u32(1, 2)


def test_what_is_left_open_is_not_sent() -> None:
    """So that the kernel fills it in: 0 would not mean the same everywhere."""
    daemon = SyncDaemon(SyncRole.MASTER, "eth1", 7)
    assert pack_daemon(daemon) == pack_u32(1, 1) + pack_text(2, "eth1") + pack_u32(3, 7)


@pytest.mark.parametrize("name", ["", "an-interface-too", "a\0b"])
def test_an_impossible_interface_is_refused(name: str) -> None:
    """The kernel's names have 1 to 15 bytes, and would be cut at a NUL."""
    with pytest.raises((InputError, ValueError)):
        pack_daemon(SyncDaemon(SyncRole.MASTER, name))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pack_u32(1, 3) + pack_text(2, "eth1") + pack_u32(3, 7), "state 3"),
        (pack_u32(1, 1) + pack_u32(3, 7), "attribute 2 is missing"),
        (pack_u32(1, 1) + pack_text(2, "eth1"), "attribute 3 is missing"),
        (pack_u32(1, 1) + pack_text(2, "eth1") + pack_u32(3, 7) + pack(6, b"abcd"), "neither 4 nor 16 bytes"),
    ],
)
def test_a_broken_daemon_is_told(data: bytes, said: str) -> None:
    """What is missing or impossible is said in words."""
    with pytest.raises(MalformedError, match=said):
        unpack_daemon(data)
