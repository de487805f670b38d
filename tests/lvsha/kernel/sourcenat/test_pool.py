"""Tests of lvsha.kernel.sourcenat.pool."""

from __future__ import annotations

import struct
from collections import Counter
from ipaddress import IPv4Address, ip_address

import pytest

from lvsha.kernel.sourcenat.pool import SEED, Pool, jhash, local_address, pool_of
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


def test_clients_spread_over_the_pool() -> None:
    """A thousand neighbouring clients come to about as many on each address."""
    shares = Counter(local_address(IPv4Address("198.51.100.0") + n, POOL) for n in range(1000))
    assert shares.keys() == {*POOL}
    assert max(shares.values()) < 1.3 * min(shares.values())


def test_a_pool_of_one_needs_no_choice() -> None:
    """Every client gets the one address."""
    assert local_address(ip_address("192.0.2.1"), POOL[:1]) == POOL[0]


def test_half_an_address_can_decide() -> None:
    """Clients that differ beyond the bits that count get one address."""
    shares = {local_address(ip_address(f"2001:db8::{n:x}"), POOL, bits=32) for n in range(50)}
    assert len(shares) == 1
    assert len({local_address(ip_address(f"2001:db8::{n:x}"), POOL) for n in range(50)}) == len(POOL)


def test_a_name_tells_pools_apart() -> None:
    """Equal pools have one name; an address, or the timestamps, make another."""
    names = {Pool(POOL[:n], strip_timestamps=s).name for n in (1, 2, 3) for s in (True, False)}
    assert len(names) == 6
    assert pool_of(WEB).name == Pool(WEB.addresses, strip_timestamps=True).name
    assert pool_of(DNS).name == Pool(DNS.addresses, strip_timestamps=False).name
