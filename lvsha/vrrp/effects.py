"""What the election asks of its shell, as values.

The shell performs them in the order given. A `Send` before an `Enter` stands there because the
advert must not wait for the addresses: it is what stops the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from lvsha.vrrp.packet import Advert


class State(Enum):
    """Initialize, Backup and Master of the RFC (Active in RFC 9568), and FAULT."""

    INITIAL = "initial"
    BACKUP = "backup"
    MASTER = "master"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this advert from the member's source address, now."""

    member: str
    advert: Advert


@dataclass(frozen=True, slots=True)
class Enter:
    """The group is in `state`: MASTER adds and announces the members' addresses, others remove them."""

    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Another node has claimed the member's addresses: say again where they are."""

    member: str
    why: str


@dataclass(frozen=True, slots=True)
class AskWitness:
    """Find out whether the witness is reachable and call `Group.witness` with the answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something an operator should know; at most one of a kind every REPORT_PERIOD seconds."""

    event: str
    fields: Mapping[str, str | float] = field(default_factory=dict)


Effect = Send | Enter | Announce | AskWitness | Report
