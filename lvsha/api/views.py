"""What the director answers with: frozen values, made to be written as JSON.

Moments are seconds since the epoch, durations seconds; addresses are text. `to_json` turns any of
them into plain values; the field names are the JSON keys, and are an interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from math import isfinite
from typing import Any

from lvsha.model import Counters


@dataclass(frozen=True, slots=True)
class PeerView:
    """Another director."""

    name: str
    address: str
    connected: bool
    since: float
    """When it was connected or lost; at the beginning, when that was."""
    version: str | None
    """Of the lvsha it runs; None: unknown."""
    same_config: bool | None
    """Whether it runs the same configuration; None: unknown."""


@dataclass(frozen=True, slots=True)
class PortsView:
    """How many of a local address's ports are used up towards one server's port."""

    local: str
    protocol: str
    address: str
    """The server's."""
    port: int
    used: int


@dataclass(frozen=True, slots=True)
class RoomView:
    """What mode fullnat can run out of."""

    ports: tuple[PortsView, ...] = ()
    ports_limit: int = 0
    """How many each of them can be."""
    tracked: int | None = None
    """Entries of connection tracking; None: unknown."""
    tracked_limit: int | None = None
    collisions: int = 0
    """Connections since the director's start whose port had to be changed."""
    collisions_known: int = 0
    """Those of them, and of the other director's, that are alive."""


@dataclass(frozen=True, slots=True)
class SyncView:
    """How many established connections each director knows."""

    here: int | None
    """None: the kernel does not say."""
    peers: Mapping[str, int | None] = field(default_factory=dict)
    """By the other directors' names, where `[peer]` is configured; None: it does not say."""


@dataclass(frozen=True, slots=True)
class StatusView:
    """The director in one glance."""

    node: str
    version: str
    role: str
    """master, backup, fault or alone."""
    started: float
    config_file: str
    config_loaded_at: float
    config_generation: int
    kernel: str
    """What the kernel's IPVS says of itself, or why it does not answer."""
    services: int
    servers_up: int
    servers_down: int
    servers_unknown: int
    servers_drained: int
    """Set aside by hand: drained or disabled. They are counted as up or down as well."""
    warnings: tuple[str, ...] = ()
    """What an operator should look at, each a sentence; empty when all is well."""
    peers: tuple[PeerView, ...] = ()
    """The other directors, where `[peer]` is configured."""
    sync: SyncView | None = None
    """Where `[sync]` is configured."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A virtual service."""

    name: str
    key: str
    """Protocol, address and port, or the firewall mark."""
    mode: str
    scheduler: str
    state: str
    """checking, ok, degraded, fail-open, fallback or down: see `lvsha.standing.Word`."""
    in_service: int
    """Servers that take new connections."""
    healthy: int
    servers: int
    active: int = 0
    inactive: int = 0
    counters: Counters = Counters()


@dataclass(frozen=True, slots=True)
class OverrideView:
    """One thing said by hand."""

    target: str
    """What was said, such as `web/rs3`."""
    kind: str
    """drain, disable or weight."""
    weight: int | None
    reason: str
    by: str
    since: float
    expires: float | None
    """None: when it is taken back."""


@dataclass(frozen=True, slots=True)
class ServerView:
    """A real server of one service."""

    service: str
    name: str
    address: str
    port: int
    mode: str
    weight: int
    """As configured."""
    weight_now: int | None
    """In the kernel; None: it is not there."""
    state: str
    """up, down, unknown (no verdict yet) or checking (a verdict is changing)."""
    detail: str = ""
    """What the latest check tried and saw."""
    since: float | None = None
    """When it entered its state."""
    override: OverrideView | None = None
    """The one that is in force."""
    fallback: bool = False
    active: int = 0
    inactive: int = 0
    persistent: int = 0
    counters: Counters = Counters()

    @property
    def connections(self) -> int:
        """What keeps a drained server busy."""
        return self.active + self.inactive + self.persistent


@dataclass(frozen=True, slots=True)
class TrackerView:
    """Something a VRRP instance depends on."""

    name: str
    ok: bool
    weight: int
    """0: its failure means fault."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VrrpView:
    """A VRRP instance."""

    name: str
    group: str | None
    interface: str
    vrid: int
    version: int
    state: str
    """init, backup, master or fault."""
    priority: int
    base_priority: int
    why: str
    """What brought it into its state."""
    since: float
    master: str | None
    """The address that advertises; None: nobody, or this node."""
    peers: tuple[str, ...]
    """Unicast peers; empty: multicast."""
    interval: float
    timers: Mapping[str, float] = field(default_factory=dict)
    """Seconds: `interval`, `skew` and `master_down` as they count now, the master was `heard` so long ago,
    the next advert or the take-over is `due`, and the configured `lease`."""
    addresses: tuple[str, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    """Adverts sent, received, and refused by reason."""
    trackers: tuple[TrackerView, ...] = ()
    held: bool = False
    """An operator keeps it from being master."""
    master_priority: int | None = None
    """Of the master that was heard last."""
    yields: bool = False
    """It was handed over: a living master is left the addresses until it is released."""
    known: str = ""
    """In the answer to a hand-over: what the other director knew of the connections."""


@dataclass(frozen=True, slots=True)
class ReloadView:
    """What a reload came to."""

    generation: int
    changed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Not empty: the configuration was refused and the one before stays in force."""


@dataclass(frozen=True, slots=True)
class FindingView:
    """Something the doctor saw."""

    severity: str
    """ok, info, warning or error."""
    subject: str
    finding: str
    command: str = ""
    """What would mend it, to be read before it is run."""


def to_json(value: Any) -> Any:
    """A view, or a collection of them, as JSON has it."""
    match value:
        case float():
            return value if isfinite(value) else None
        case None | bool() | int():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case _:
            return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
