"""Which local address a client gets: a pool's name, and the constant that both directors share.

The kernel hashes the client's address with `SEED` and takes the remainder's place in the pool,
in both of its firewalls: nf_tables' `jhash` of an address (net/netfilter/nft_hash.c) and
xt_cluster (net/netfilter/xt_cluster.c). So two directors agree about every client, whoever started
last. Nothing here may ever be random: a client that got another address after a failover would be a
stranger to its server.

For IPv4 the two are one function, and a director with one may stand beside a director with the other.
Of an IPv6 address xt_cluster sees the first 32 bits only (xt_cluster_hash_ipv6() is given
NF_CT_TUPLE_L3SIZE, which counts words, as if it counted bytes): the clients of one provider get one
address, and a pair has to have the same firewall on both sides.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from lvsha.model import Address, SourceNat

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
