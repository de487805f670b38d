"""Which local address a client gets: a pool's name, and the constant that both directors share.

The kernel hashes the client's address with `SEED` and takes the remainder's place in the pool,
in both of its firewalls: nf_tables' `jhash` of an address (net/netfilter/nft_hash.c) and
xt_cluster (net/netfilter/xt_cluster.c). So two directors agree about every client, whoever started
last. Nothing here may ever be random: a client that got another address after a failover would be a
stranger to its server.

For IPv4 the two are one function, and a director with one may stand beside a director with the other.
Of an IPv6 address xt_cluster sees the first 32 bits only (xt_cluster_hash_ipv6() is given
NF_CT_TUPLE_L3SIZE, which counts words, as if it counted bytes), so that all clients of a provider would
get one address. There iptables is given a program of ours (`bpf.share`), which hashes all of it, but not as
nf_tables does: a pair has to have the same firewall on both sides.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lvsha import bpf
from lvsha.model import Address, AddressKey, SourceNat

SEED = 0x6C767368
"""Constant for ever: another one would break every connection at the first failover after an upgrade."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses that connections share."""

    addresses: tuple[Address, ...]
    """In ascending order."""
    strip_timestamps: bool

    @property
    def name(self) -> str:
        """A short name that equal pools share and others do not."""
        text = f"{' '.join(map(str, self.addresses))} {self.strip_timestamps}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def pool_of(entry: SourceNat) -> Pool:
    """The pool of a service."""
    return Pool(entry.addresses, entry.strip_timestamps)


def service_addresses(entries: Iterable[SourceNat]) -> list[Address]:
    """The addresses of services, in order; where a firewall mark is the service, nobody knows them."""
    keys = (entry.service for entry in entries)
    return sorted({key.address for key in keys if isinstance(key, AddressKey)}, key=int)


Share = Callable[[Address, int], int]
"""Which of so many addresses a client gets."""


def by_nft(client: Address, total: int) -> int:
    """As nf_tables chooses."""
    return jhash(client.packed, SEED) * total >> 32


def by_iptables(client: Address, total: int) -> int:
    """As iptables chooses: as nf_tables does, or by our program."""
    return by_nft(client, total) if client.version == 4 else mixture(client.packed, SEED) % total


def local_address(client: Address, addresses: tuple[Address, ...], share: Share) -> Address:
    """The address of a pool that a client gets."""
    return addresses[share(client, len(addresses))] if len(addresses) > 1 else addresses[0]


def mixture(key: bytes, seed: int) -> int:
    """The hash of `bpf.share`, for the four words of an address."""
    mixed = seed
    for word in struct.unpack(">4I", key):
        mixed = _mixed(word ^ mixed, *bpf.MIX[0])
    return _mixed(mixed, *bpf.MIX[1])


def _mixed(word: int, factor: int, shift: int) -> int:
    product = word * factor & _M
    return product ^ product >> shift


def jhash(key: bytes, seed: int) -> int:
    """Jenkins' hash of whole 32-bit words (include/linux/jhash.h, on a little-endian machine)."""
    words: tuple[int, ...] = struct.unpack(f"<{len(key) // 4}I", key)
    a = b = c = (0xDEADBEEF + len(key) + seed) & _M
    while len(words) > 3:
        a, b, c = _mix((a + words[0]) & _M, (b + words[1]) & _M, (c + words[2]) & _M)
        words = words[3:]
    words = (*words, 0, 0)
    return _final((a + words[0]) & _M, (b + words[1]) & _M, (c + words[2]) & _M)


_M = 0xFFFFFFFF


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """The macro __jhash_mix. Written out, for there are many clients."""
    a = ((a - c) & _M) ^ (c << 4 & _M | c >> 28)
    c = (c + b) & _M
    b = ((b - a) & _M) ^ (a << 6 & _M | a >> 26)
    a = (a + c) & _M
    c = ((c - b) & _M) ^ (b << 8 & _M | b >> 24)
    b = (b + a) & _M
    a = ((a - c) & _M) ^ (c << 16 & _M | c >> 16)
    c = (c + b) & _M
    b = ((b - a) & _M) ^ (a << 19 & _M | a >> 13)
    a = (a + c) & _M
    c = ((c - b) & _M) ^ (b << 4 & _M | b >> 28)
    return a, (b + a) & _M, c


def _final(a: int, b: int, c: int) -> int:
    """The macro __jhash_final."""
    c = ((c ^ b) - (b << 14 & _M | b >> 18)) & _M
    a = ((a ^ c) - (c << 11 & _M | c >> 21)) & _M
    b = ((b ^ a) - (a << 25 & _M | a >> 7)) & _M
    c = ((c ^ b) - (b << 16 & _M | b >> 16)) & _M
    a = ((a ^ c) - (c << 4 & _M | c >> 28)) & _M
    b = ((b ^ a) - (a << 14 & _M | a >> 18)) & _M
    return ((c ^ b) - (b << 24 & _M | b >> 8)) & _M
