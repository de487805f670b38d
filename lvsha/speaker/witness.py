"""Ask somebody outside the pair whether this node is connected at all, before it takes over.

A backup whose own cable is the broken one hears no adverts either. If it reaches neither the
master nor the witness, the master is not what is missing. And one that answers late, after requests
that were lost, may do so because the cable is whole again: then the master is about to be heard as well.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from lvsha.speaker.trackers import gateway

Address = IPv4Address | IPv6Address

TRIES = 3
PATIENCE = 0.15
"""Seconds for the answer to one try."""


class Answer(Enum):
    """How a witness answers a few echo requests."""

    AT_ONCE = "at once"
    """The first of them."""
    LATE = "late"
    """Another one."""
    NEVER = "never"


async def ask(witness: Address) -> Answer:
    """Whether the witness answers one of a few echo requests, within half a second."""
    for sequence in range(TRIES):
        if not await gateway.ask(witness, None, sequence, PATIENCE):
            return Answer.LATE if sequence else Answer.AT_ONCE
    return Answer.NEVER
