"""What an operator said by hand about servers, until when, and why.

An override outlives restarts and reloads: it names servers by the words the operator used,
not by a place in a list, so `drain rs3` also holds for a service that gains `rs3` tomorrow.
Kinds do not exclude each other across targets; on one server the strongest wins: disabled
before drained before a weight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from lvsha.errors import InputError
from lvsha.model import Address, endpoint


class Kind(Enum):
    """What an override does to a server, strongest first."""

    DISABLE = "disable"
    DRAIN = "drain"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which servers are meant: each part that is given has to match."""

    service: str | None = None
    server: str | None = None
    address: Address | None = None
    port: int | None = None

    def matches(self, service: str, server: str, address: Address, port: int) -> bool:
        """Whether the server `server` of `service` at address and port is meant."""
        return (
            self.service in (None, service)
            and self.server in (None, server)
            and self.address in (None, address)
            and self.port in (None, port)
        )

    def __str__(self) -> str:
        if self.address is None:
            place = self.server or "*"
        elif self.port is None:
            place = str(self.address)
        else:
            place = endpoint(self.address, self.port)
        return f"{self.service}/{place}" if self.service else place


@dataclass(frozen=True, slots=True)
class Override:
    """One thing said by hand."""

    selector: Selector
    kind: Kind
    weight: int | None = None
    """The weight of a WEIGHT override, None for the others."""
    reason: str = ""
    by: str = ""
    since: float = 0.0
    """When it was said, seconds since the epoch."""
    until: float | None = None
    """When it ends by itself, seconds since the epoch; None: when it is taken back."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """All that is in force."""

    entries: tuple[Override, ...] = ()

    def put(self, override: Override) -> Overrides:
        """With one more; the same kind on the same selector is replaced."""
        same = (override.selector, override.kind)
        return Overrides((*(e for e in self.entries if (e.selector, e.kind) != same), override))

    def expire(self, now: float) -> tuple[Overrides, tuple[Override, ...]]:
        """Without those whose time has passed, and these."""
        gone = tuple(e for e in self.entries if e.until is not None and e.until <= now)
        return Overrides(tuple(e for e in self.entries if e not in gone)), gone

    def next_expiry(self) -> float | None:
        """When the next one ends, seconds since the epoch."""
        return min((e.until for e in self.entries if e.until is not None), default=None)

    def remove(self, doomed: Iterable[Override]) -> Overrides:
        """Without the given ones."""
        gone = frozenset(doomed)
        return Overrides(tuple(e for e in self.entries if e not in gone))

    def on(self, service: str, server: str, address: Address, port: int) -> Override | None:
        """The strongest override on one server; of two of a kind the later."""
        rank = list(Kind)
        hits = [e for e in self.entries if e.selector.matches(service, server, address, port)]
        return min(hits, key=lambda e: (rank.index(e.kind), -e.since), default=None)


def to_document(overrides: Overrides) -> dict[str, Any]:
    """As plain values for a state file."""
    return {"overrides": [_entry(e) for e in overrides.entries]}


def from_document(document: dict[str, Any]) -> Overrides:
    """From the plain values of a state file; InputError names the entry that is wrong."""
    entries = document.get("overrides")
    if not isinstance(entries, list):
        raise InputError("overrides: a list is expected")
    return Overrides(tuple(_parse(i, e) for i, e in enumerate(entries)))


def _entry(e: Override) -> dict[str, Any]:
    return {
        "service": e.selector.service,
        "server": e.selector.server,
        "address": None if e.selector.address is None else str(e.selector.address),
        "port": e.selector.port,
        "kind": e.kind.value,
        "weight": e.weight,
        "reason": e.reason,
        "by": e.by,
        "since": e.since,
        "until": e.until,
    }


def _parse(index: int, e: Any) -> Override:
    try:
        address: IPv4Address | IPv6Address | None = None
        if e["address"] is not None:
            address = ip_address(e["address"])
        kind = Kind(e["kind"])
        weight = None if e["weight"] is None else int(e["weight"])
        if (kind is Kind.WEIGHT) is (weight is None):
            raise ValueError(f"a weight goes with kind weight and no other, not with {kind.value}")
        selector = Selector(e["service"], e["server"], address, e["port"])
        until = None if e["until"] is None else float(e["until"])
        return Override(selector, kind, weight, str(e["reason"]), str(e["by"]), float(e["since"]), until)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"overrides[{index}]: {error!r}") from error
