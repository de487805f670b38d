"""Ask somebody outside the pair whether this node is connected at all, before it takes over.

A backup whose own cable is the broken one hears no adverts either. If it reaches neither the
master nor the witness, the master is not what is missing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from lvsha.speaker.trackers import gateway

Address = IPv4Address | IPv6Address

TRIES = 3
PATIENCE = 0.15
"""Seconds for the answer to one try."""


async def ask(witness: Address) -> bool:
    """Whether the witness answers one of a few echo requests, within half a second."""
    for sequence in range(TRIES):
        if not await gateway.ask(witness, None, sequence, PATIENCE):
            return True
    return False
