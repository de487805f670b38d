"""What an operator said by hand about servers, until when, and why.

An override outlives restarts and reloads: it names servers by the words the operator used,
not by a place in a list, so `drain rs3` also holds for a service that gains `rs3` tomorrow.
Kinds do not exclude each other across targets; on one server the strongest wins: disabled
before drained before a weight.

It also holds on every director of the pair, whichever it was said to, in whatever order they hear
of it. So what is kept is not a list that grows and shrinks but, for each kind on each selector,
the latest word (`Record`): an override, or that it has ended. `merge` takes the later word of
two. What is later is told by a stamp: the clock, or one more than the newest stamp known where
the clock has not got so far, so that whoever answers a word wins over it although his clock is
behind. Reaching its end is not a word of anybody's: the record keeps its stamp, every director
comes to the same by itself, and `drain rs3 for 2 more hours` said elsewhere meanwhile is not undone.

An end is remembered (`KEPT`) because a director that was away still has the override; one that
was away for longer brings it back, visibly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import isfinite
from typing import Any

from lvsha.errors import InputError
from lvsha.model import Address, endpoint

KEPT = 30 * 86400.0
"""Seconds for which it is remembered that an override has ended."""
TEXT = 4096
"""Longest text in a document, in characters."""

_LAST = 2**62


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

    def __str__(self) -> str:
        weight = "" if self.weight is None else f" {self.weight}"
        return f"{self.kind.value}{weight} {self.selector}"


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """Which of two words is the later one. No two words have the same."""

    time: int = 0
    """Microseconds since the epoch, or one more than the newest that the sayer knew."""
    node: str = ""
    """Who said it: decides between words that did not know of each other."""


@dataclass(frozen=True, slots=True)
class Record:
    """The latest word of one kind on one selector."""

    override: Override
    stamp: Stamp = Stamp()
    ended: float | None = None
    """When it was taken back or reached its end, seconds since the epoch; None: it is in force."""

    @property
    def key(self) -> tuple[Selector, Kind]:
        """What there is one word for."""
        return self.override.selector, self.override.kind


@dataclass(frozen=True, slots=True)
class Overrides:
    """All that was said, the latest word of each kind on each selector."""

    records: tuple[Record, ...] = ()
    """By their stamps."""
    entries: tuple[Override, ...] = field(init=False, repr=False, compare=False)
    """What is in force, in the order in which it was said."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", tuple(sorted(self.records, key=_place)))
        object.__setattr__(self, "entries", tuple(r.override for r in self.records if r.ended is None))

    # --- what is in force -----------------------------------------------------------------------

    def on(self, service: str, server: str, address: Address, port: int) -> Override | None:
        """The strongest override on one server; of two of a kind the later."""
        rank = list(Kind)
        hits = [e for e in reversed(self.entries) if e.selector.matches(service, server, address, port)]
        return min(hits, key=lambda e: rank.index(e.kind), default=None)

    def next_expiry(self) -> float | None:
        """When the next one ends, seconds since the epoch."""
        return min((e.until for e in self.entries if e.until is not None), default=None)

    # --- what an operator, or time, does --------------------------------------------------------

    def put(self, override: Override, *, node: str = "") -> Overrides:
        """With one more, said on `node` at `override.since`; it replaces its kind on its selector."""
        return self._with([Record(override, self._stamp(override.since, node))])

    def remove(self, doomed: Iterable[Override], *, now: float = 0.0, node: str = "") -> Overrides:
        """Without the given ones, which `node` takes back; those no longer in force stay as they are."""
        gone, stamp = frozenset(doomed), self._stamp(now, node)
        # The end by the stamp, which no clock that is behind makes older than what is known.
        ended = stamp.time / 1e6
        return self._with(Record(r.override, stamp, ended) for r in self._in_force() if r.override in gone)

    def expire(self, now: float) -> tuple[Overrides, tuple[Override, ...]]:
        """Without those whose time has passed, and these."""
        gone = [r for r in self._in_force() if r.override.until is not None and r.override.until <= now]
        return self._with(replace(r, ended=r.override.until) for r in gone), tuple(r.override for r in gone)

    def prune(self, now: float) -> Overrides:
        """Without the memory of ends that are long past."""
        left = tuple(r for r in self.records if r.ended is None or now - r.ended < KEPT)
        return self if left == self.records else Overrides(left)

    # --- what another director says -------------------------------------------------------------

    def merge(self, theirs: Overrides) -> Overrides:
        """The later word of the two on each; whoever merges what with whom, all come to the same."""
        return self._with(theirs.records)

    def beyond(self, known: Overrides) -> Overrides:
        """What somebody who has `known` has yet to be told."""
        return Overrides(tuple({*self.records} - {*known.records}))

    # --------------------------------------------------------------------------------------------

    def _in_force(self) -> Iterable[Record]:
        return (r for r in self.records if r.ended is None)

    def _stamp(self, now: float, node: str) -> Stamp:
        newest = self.records[-1].stamp.time + 1 if self.records else 0
        return Stamp(min(max(_microseconds(now), newest), _LAST), node)

    def _with(self, records: Iterable[Record]) -> Overrides:
        latest = {r.key: r for r in self.records}
        for r in records:
            latest[r.key] = _later(latest.get(r.key, r), r)
        merged = Overrides(tuple(latest.values()))
        return self if merged == self else merged


def changes(before: Overrides, after: Overrides) -> list[str]:
    """What is in force now and was not, and the other way round, each in words."""
    old, new = {*before.entries}, {*after.entries}
    replaced = {(o.selector, o.kind) for o in new}
    ended = [f"ended: {o}" for o in before.entries if (o.selector, o.kind) not in replaced]
    return [*ended, *(f"set: {o}" for o in after.entries if o not in old)]


def _place(r: Record) -> tuple[Stamp, str, str]:
    return r.stamp, repr(r.override.selector), r.override.kind.value


def _later(one: Record, other: Record) -> Record:
    """The later word. An end is later than what it ends.

    Two words of one stamp can only come of a state that was lost while a clock was set back; even
    then all directors must take the same one, and it does not matter which.
    """
    if one.stamp != other.stamp:
        return max(one, other, key=lambda r: r.stamp)
    return max(one, other, key=lambda r: (r.ended is not None, r.ended or 0.0, repr(r)))


def _microseconds(seconds: float) -> int:
    return int(min(max(seconds * 1e6, 0.0), float(_LAST)))


# --- documents ----------------------------------------------------------------------------------


def to_document(overrides: Overrides) -> dict[str, Any]:
    """As plain values, for a state file or for another director."""
    live = [_entry(r) for r in overrides.records if r.ended is None]
    ended = [{**_entry(r), "ended": r.ended} for r in overrides.records if r.ended is not None]
    return {"overrides": live, "ended": ended}


def from_document(document: dict[str, Any]) -> Overrides:
    """From plain values; InputError names the entry that is wrong.

    An older lvsha wrote neither stamps nor what has ended: there the word is as old as it says. It
    reads what is written here, without the ends.
    """
    live = _list(document, "overrides", None)
    ended = _list(document, "ended", [])
    records = [_parse(f"overrides[{i}]", e, None) for i, e in enumerate(live)]
    records += [_parse(f"ended[{i}]", e, "ended") for i, e in enumerate(ended)]
    return Overrides().merge(Overrides(tuple(records)))


def _list(document: dict[str, Any], name: str, default: list[Any] | None) -> list[Any]:
    entries = document.get(name, default)
    if not isinstance(entries, list):
        raise InputError(f"{name} of overrides: a list is expected")
    return entries


def _entry(r: Record) -> dict[str, Any]:
    o = r.override
    return {
        "service": o.selector.service,
        "server": o.selector.server,
        "address": None if o.selector.address is None else str(o.selector.address),
        "port": o.selector.port,
        "kind": o.kind.value,
        "weight": o.weight,
        "reason": o.reason,
        "by": o.by,
        "since": o.since,
        "until": o.until,
        "stamp": r.stamp.time,
        "node": r.stamp.node,
    }


def _parse(place: str, e: Any, end: str | None) -> Record:
    try:
        override = Override(
            _selector(e),
            Kind(e["kind"]),
            _whole(e["weight"], 65535),
            _text(e["reason"]) or "",
            _text(e["by"]) or "",
            _moment(e["since"]),
            None if e["until"] is None else _moment(e["until"]),
        )
        if (override.kind is Kind.WEIGHT) is (override.weight is None):
            raise ValueError(f"a weight goes with kind weight and no other, not with {override.kind.value}")
        time = _whole(e.get("stamp", _microseconds(override.since)), _LAST)
        stamp = Stamp(time or 0, _text(e.get("node", "")) or "")
        return Record(override, stamp, None if end is None else _moment(e[end]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{place} of overrides: {error!r:.200}") from error


def _selector(e: Any) -> Selector:
    address: IPv4Address | IPv6Address | None = None
    if (text := _text(e["address"])) is not None:
        address = ip_address(text)
    return Selector(_text(e["service"]), _text(e["server"]), address, _whole(e["port"], 65535))


def _text(value: object) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= TEXT):
        return value
    raise ValueError(f"a text of at most {TEXT} characters is expected")


def _whole(value: object, most: int) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most):
        return value
    raise ValueError(f"a whole number up to {most} is expected")


def _moment(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    raise ValueError("a moment is expected, in seconds since the epoch")
