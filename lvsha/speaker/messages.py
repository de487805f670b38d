"""What passes between the director and the speaker: frozen values, one JSON object each.

The director's commands carry an `id` that the speaker's `Reply` repeats. What the speaker
says by itself (`RoleChange`, `Event`) carries none.

A message travels as one SOCK_SEQPACKET packet holding the JSON object. A longer one is cut:
`+` and a part, as often as needed, then `.` and the last part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, cast

from lvsha.errors import InputError
from lvsha.speaker import codec
from lvsha.speaker.spec import InstanceSpec

PART = 64 * 1024
"""Octets of one packet: well below a socket's default buffer."""
LIMIT = 8 * 1024 * 1024
"""Octets of one message; a thousand instances with ten addresses each are one megabyte."""


class State(StrEnum):
    """Where an instance stands (RFC 9568 section 6.4, and what hinders it)."""

    INIT = "init"
    BACKUP = "backup"
    MASTER = "master"
    FAULT = "fault"


# ---- director to speaker -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """All instances of this node, as they should be from now on."""

    kind: ClassVar[str] = "configure"
    id: int = 0
    node: str
    instances: tuple[InstanceSpec, ...]
    grace: float = 30.0
    """How long the director may stay away before every instance resigns."""
    realtime: bool = True
    directors_serve: bool = False
    """The directors are real servers as well: only the master's IPVS directs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The start gate: IPVS is programmed and the first verdicts are in."""

    kind: ClassVar[str] = "ready"
    id: int = 0
    preempt: bool = True
    """Whether this node may take over from a living master already. One that comes back may not before it
    knows the connections; where there is no master it takes over at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The director lives; sent every second."""

    kind: ClassVar[str] = "beat"
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """How a tracker that the director keeps stands: what it adds to the priority, or that it forbids."""

    kind: ClassVar[str] = "track"
    id: int = 0
    instance: str
    name: str
    weight: int = 0
    fault: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resign:
    """Give up every address (priority 0) and close the start gate until the next `Ready`."""

    kind: ClassVar[str] = "resign"
    id: int = 0
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Resign, remove the addresses, end the process."""

    kind: ClassVar[str] = "stop"
    id: int = 0
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """Hand an instance, or every member of a group, to the peer.

    The reply comes when the peer is seen as master, or after `timeout`; then this node is an
    ordinary backup again.
    """

    kind: ClassVar[str] = "failover"
    id: int = 0
    instance: str | None = None
    group: str | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if (self.instance is None) == (self.group is None):
            raise ValueError("instance: give either an instance or a group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Keep an instance in backup, whatever happens, until it is released."""

    kind: ClassVar[str] = "hold"
    id: int = 0
    instance: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The instance may be master again."""

    kind: ClassVar[str] = "release"
    id: int = 0
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Ask for a `StatusReport`."""

    kind: ClassVar[str] = "status"
    id: int = 0


Command = Configure | Ready | Beat | Track | Resign | Stop | Failover | Hold | Release | Status

# ---- speaker to director -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a command: done, or why not. `fields` hold what the command asks for."""

    kind: ClassVar[str] = "reply"
    id: int
    ok: bool = True
    why: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange:
    """An instance stands somewhere else now; also sent for each when a director connects."""

    kind: ClassVar[str] = "role"
    instance: str
    group: str | None = None
    state: State
    why: str
    at: float
    """Seconds since the epoch."""
    priority: int = 0
    """With everything that trackers add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something an operator should know, by its name in the catalogue of events."""

    kind: ClassVar[str] = "event"
    event: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """One instance as it stands."""

    name: str
    group: str | None
    state: State
    since: float
    """Seconds since the epoch."""
    why: str
    priority: int
    """With everything that trackers add."""
    master: str | None
    """The address of the master: this node's own or the one last heard."""
    held: bool
    faults: Mapping[str, str]
    """Tracker -> why it forbids to be master."""
    weights: Mapping[str, int]
    """Tracker -> what it adds to the priority, where that is not 0."""
    addresses: tuple[str, ...]
    sent: int
    received: int
    dropped: Mapping[str, int]
    """Reason -> adverts that were not taken."""
    transitions: int
    """Times it became master."""
    master_priority: int = 0
    """Of the master last heard; 0: none was, or it resigned."""
    timers: Mapping[str, float] = field(default_factory=dict)
    """Seconds: what it counts by (`interval`, `skew`, `master_down`), how long ago the master was `heard`, in
    how long the next advert, or the take-over of a backup that hears nothing, is `due`."""
    yields: bool = False
    """It was handed over, and is not taken back from a living master."""
    unsent: int = 0
    """Adverts that could not be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """Everything the speaker knows of itself."""

    kind: ClassVar[str] = "report"
    id: int
    pid: int
    started: float
    """Seconds since the epoch."""
    configured: bool
    gate: bool
    """Whether the start gate is open."""
    realtime: bool
    locked: bool
    """Whether its memory cannot be swapped out."""
    instances: tuple[InstanceStatus, ...]
    dropped: Mapping[str, int]
    """Reason -> packets that no instance could be asked about."""


Report = Reply | RoleChange | Event | StatusReport


# ---- codec ---------------------------------------------------------------------------------


def encode(message: Command | Report) -> bytes:
    """A message as JSON."""
    return codec.dumps(message)


def decode_command(text: bytes) -> Command:
    """A command out of JSON; raises InputError."""
    return cast("Command", codec.decode_any(Command, codec.loads(text, "command")))


def decode_report(text: bytes) -> Report:
    """A report out of JSON; raises InputError."""
    return cast("Report", codec.decode_any(Report, codec.loads(text, "report")))


def cut(text: bytes) -> Iterator[bytes]:
    """The packets that a message travels in. Raises InputError for one over LIMIT."""
    if len(text) > LIMIT:
        raise InputError(f"a message of {len(text)} octets is over the limit of {LIMIT}")
    if len(text) <= PART:
        yield text
        return
    parts = [text[start : start + PART] for start in range(0, len(text), PART)]
    for part in parts[:-1]:
        yield b"+" + part
    yield b"." + parts[-1]


class Assembly:
    """Packets of one connection back to messages."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, packet: bytes) -> bytes | None:
        """The message that this packet completes, if it does. Raises InputError."""
        mark = packet[:1]
        if mark not in (b"+", b"."):
            if self._parts:
                raise InputError("a message began before the one before it ended")
            return packet
        self._size += len(packet)
        if self._size > LIMIT:
            raise InputError(f"a message is over the limit of {LIMIT} octets")
        self._parts.append(packet[1:])
        if mark == b"+":
            return None
        whole = b"".join(self._parts)
        self._parts, self._size = [], 0
        return whole
