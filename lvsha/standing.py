"""How well a service stands, in one word: what an operator wants to know first.

Derived from the places of its servers (`lvsha.desired.place`), never kept. A server that an
operator drained or disabled does not make a service degraded: that was on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lvsha.desired import Placement
from lvsha.health import State
from lvsha.overrides import Kind


class Word(Enum):
    """From best to worst, after the first verdicts."""

    CHECKING = "checking"
    """Nothing serves yet and verdicts are still to come."""
    OK = "ok"
    DEGRADED = "degraded"
    """Some server is down."""
    FAIL_OPEN = "fail-open"
    """Servers that are down are kept in service by the floor."""
    FALLBACK = "fallback"
    """Only fallback servers serve."""
    DOWN = "down"
    """No server takes new connections."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A service's word, with the numbers behind it."""

    word: Word
    in_service: int
    """Servers that take new connections, fallbacks included."""
    healthy: int
    """Servers whose verdict is up."""
    servers: int
    """Servers configured, fallbacks not counted."""


def standing(places: Sequence[Placement]) -> Standing:
    """How a service stands whose servers are placed so."""
    own = [p for p in places if not p.fallback]
    serving = [p for p in places if p.serving]
    healthy = sum(p.health.state is State.UP for p in own)
    return Standing(_word(own, serving), len(serving), healthy, len(own))


def _word(own: Sequence[Placement], serving: Sequence[Placement]) -> Word:
    if not serving:
        waiting = any(p.health.state is State.UNKNOWN for p in own)
        return Word.CHECKING if waiting else Word.DOWN
    if all(p.fallback for p in serving):
        return Word.FALLBACK
    if any(p.health.state is State.DOWN for p in serving if not p.fallback):
        return Word.FAIL_OPEN
    if any(p.health.state is State.DOWN and not _set_aside(p) for p in own):
        return Word.DEGRADED
    return Word.OK


def _set_aside(p: Placement) -> bool:
    return p.override is not None and p.override.kind in (Kind.DISABLE, Kind.DRAIN)
