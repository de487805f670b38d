"""Tests of lvsha.kernel.sourcenat.pool."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import Counter
from ipaddress import ip_address

import pytest

from lvsha import bpf
from lvsha.kernel.sourcenat.pool import (
    SEED,
    Pool,
    Share,
    by_iptables,
    by_nft,
    jhash,
    local_address,
    pool_of,
)
from lvsha.model import Address
from tests.lab.source_nats import DNS, WEB

POOL = tuple(ip_address(f"10.0.1.{n}") for n in range(1, 5))

# Computed by the C macros of include/linux/jhash.h.
KNOWN = [
    (struct.pack("<I", 0x04030201), 2637998151),
    (struct.pack("<4I", 0x04030201, 5, 6, 7), 1594678103),
]


@pytest.mark.parametrize(("key", "value"), KNOWN)
def test_the_hash_is_the_kernels(key: bytes, value: int) -> None:
    """One word and four, as the addresses of the two families have."""
    assert jhash(key, SEED) == value


def test_the_seed_never_changes() -> None:
    """Another one would break connections when the first of a pair is upgraded and the second is not."""
    assert SEED == 0x6C767368


CLIENTS = {
    "hosts of IPv4": (ip_address("198.51.100.0"), 1),
    "hosts of a network": (ip_address("2001:db8::1"), 1),
    "networks of a provider": (ip_address("2001:db8::1"), 1 << 64),
    "sites": (ip_address("2001:db8::"), 1 << 80),
    "hosts that chance named": (ip_address("2001:db8::"), 0x1D0_5A3B_77C9_1E4F),
}


@pytest.mark.parametrize(("first", "apart"), CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("share", [by_nft, by_iptables])
@pytest.mark.parametrize("total", [2, 3, 4])
def test_clients_spread_over_the_pool(first: Address, apart: int, share: Share, total: int) -> None:
    """Of a thousand clients that differ in some part of their addresses, about as many come to each."""
    shares = Counter(local_address(first + n * apart, POOL[:total], share) for n in range(1000))
    assert shares.keys() == {*POOL[:total]}
    assert max(shares.values()) < 1.35 * min(shares.values())


def test_of_ipv4_the_firewalls_are_one() -> None:
    """A director with nf_tables may stand beside one with iptables."""
    clients = [ip_address("198.51.100.0") + n for n in range(50)]
    assert [by_nft(one, 7) for one in clients] == [by_iptables(one, 7) for one in clients]


def test_the_program_of_a_share_is_the_kernels() -> None:
    """What the kernel's own machine makes of the program is what is worked out here: each has one share."""
    header, total = struct.pack(">IHBB", 6 << 28, 8, 17, 64), 5
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, two:
        one.setblocking(False)
        for number in range(total):
            bpf.attach(one, bpf.share(number, total, SEED))
            for n in range(64):
                client = ip_address("2001:db8::") + n * 0x1_0000_0003_0000_0000_0007
                with contextlib.suppress(PermissionError):
                    two.send(header + client.packed + bytes(16))
                if by_iptables(client, total) == number:
                    assert one.recv(100)[8:24] == client.packed
                else:
                    with pytest.raises(BlockingIOError):
                        one.recv(100)


def test_a_program_is_no_longer_than_iptables_takes() -> None:
    """Sixty-four steps."""
    assert len(bpf.share(31, 32, SEED)) <= 64


def test_a_pool_of_one_needs_no_choice() -> None:
    """Every client gets the one address."""
    assert local_address(ip_address("192.0.2.1"), POOL[:1], by_nft) == POOL[0]


def test_a_name_tells_pools_apart() -> None:
    """Equal pools have one name; an address, or the timestamps, make another."""
    names = {Pool(POOL[:n], strip_timestamps=s).name for n in (1, 2, 3) for s in (True, False)}
    assert len(names) == 6
    assert pool_of(WEB).name == Pool(WEB.addresses, strip_timestamps=True).name
    assert pool_of(DNS).name == Pool(DNS.addresses, strip_timestamps=False).name
