"""What one VRRP instance is told to be: frozen values, made by the director, kept over a crash.

Times are seconds. A spec is checked for itself when it is built (`ValueError` naming the
field), so a spec that exists can be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import ClassVar

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

_NAME_MAX = 15
"""IFNAMSIZ less the closing zero (include/uapi/linux/if.h)."""


def _octets(key: str, number: int) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        raise ValueError(f"keys.{number}: is not hexadecimal") from None


def _check(right: bool, field_name: str, wrong: str) -> None:
    if not right:
        raise ValueError(f"{field_name}: {wrong}")


class Checksum(StrEnum):
    """What the checksum of a v3 advert over IPv4 covers."""

    PSEUDO_HEADER = "pseudo-header"
    """RFC 5798 as keepalived reads it, its default."""
    PLAIN = "plain"
    """RFC 9568: the PDU alone."""


class HmacMode(StrEnum):
    """How strictly the HMAC trailer is asked for."""

    ENFORCE = "enforce"
    PERMISSIVE = "permissive"
    RECEIVE_ONLY = "receive-only"


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """An address that moves with the instance, and the interface that it is put on."""

    address: Interface
    interface: str

    def __str__(self) -> str:
        return f"{self.address} on {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """VRRP version 2's clear-text password: up to eight octets, no protection from anybody who listens."""

    kind: ClassVar[str] = "password"
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        _check(1 <= len(self.password.encode()) <= 8, "password", "is not 1 to 8 octets long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hmac:
    """The HMAC trailer (draft-cassen-vrrp-auth-hmac): keys by number, one of them for sending."""

    kind: ClassVar[str] = "hmac"
    keys: Mapping[int, str] = field(repr=False)
    """Key number 0..255 -> key of 32 to 64 octets in hexadecimal."""
    active: int
    mode: HmacMode = HmacMode.ENFORCE
    window: float | None = None
    """How far a sender's clock may be off (None: three intervals, at least 5 s)."""

    def __post_init__(self) -> None:
        for number, key in self.keys.items():
            _check(0 <= number <= 255, f"keys.{number}", "the number is not within 0..255")
            _check(32 <= len(_octets(key, number)) <= 64, f"keys.{number}", "is not 32 to 64 octets long")
        _check(self.active in self.keys, "active", f"there is no key {self.active}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Garp:
    """How a new master is announced to its neighbours."""

    repeat: int = 5
    """Announcements of each address at once, and again after `delay`."""
    delay: float = 5.0
    refresh: float = 0.0
    """Announce again every so often while master (0: never)."""
    interval: float = 0.0
    """At least so long between two announcements on one interface."""

    def __post_init__(self) -> None:
        _check(0 <= self.repeat <= 100, "repeat", f"{self.repeat} is not within 0..100")
        for name in ("delay", "refresh", "interval"):
            _check(getattr(self, name) >= 0, name, "is negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceTracker:
    """An interface must be there, up and with a carrier."""

    kind: ClassVar[str] = "interface"
    name: str
    interface: str
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptTracker:
    """A program must end with 0; it is run without a shell."""

    kind: ClassVar[str] = "script"
    name: str
    command: tuple[str, ...]
    interval: float = 1.0
    timeout: float = 1.0
    rise: int = 1
    fall: int = 1
    user: str | None = None
    weight: int = 0

    def __post_init__(self) -> None:
        _check(bool(self.command), "command", "is empty")
        _check(self.command[0].startswith("/"), "command", "the program is not an absolute path")
        _check(self.interval >= 0.01, "interval", "is shorter than 10 ms")
        _check(self.timeout > 0, "timeout", "is not positive")
        _check(self.rise >= 1 and self.fall >= 1, "rise", "rise and fall are at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTracker:
    """A process of this name (`comm`, or the base name of its program) must run."""

    kind: ClassVar[str] = "process"
    name: str
    process: str
    interval: float = 1.0
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTracker:
    """The whole number in a file, times weight, is added to the priority; with weight 0 it must be 0."""

    kind: ClassVar[str] = "file"
    name: str
    file: str
    interval: float = 0.2
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayTracker:
    """A neighbour must answer echo requests."""

    kind: ClassVar[str] = "gateway"
    name: str
    gateway: Address
    interface: str | None = None
    interval: float = 1.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTracker:
    """The director says how this one stands; until its first word, a weight counts nothing."""

    kind: ClassVar[str] = "service"
    name: str
    weight: int = 0


Tracker = InterfaceTracker | ScriptTracker | ProcessTracker | FileTracker | GatewayTracker | ServiceTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """One VRRP instance on this node."""

    name: str
    interface: str
    vrid: int
    version: int = 3
    priority: int = 100
    interval: float = 1.0
    addresses: tuple[VirtualAddress, ...]
    """Held and advertised; all of one family, which is the instance's."""
    excluded: tuple[VirtualAddress, ...] = ()
    """Held with the others but not advertised; any family."""
    preempt: bool = True
    preempt_delay: float = 0.0
    start_delay: float = 0.0
    carrier_delay: float = 0.0
    """After the interface has got its carrier, so long in fault."""
    needs_carrier: bool = True
    """An interface that is down or has no carrier is a fault."""
    accept: bool = True
    checksum: Checksum = Checksum.PSEUDO_HEADER
    peers: tuple[Address, ...] = ()
    """Unicast peers; none: multicast."""
    source: Address | None = None
    """The address adverts are sent from (None: the interface's first)."""
    ttl_min: int = 255
    """Least TTL of a unicast advert that is taken."""
    auth: Password | Hmac | None = None
    group: str | None = None
    virtual_mac: bool = False
    lease: int | None = None
    """Whole seconds after which the kernel takes an address that is not renewed (None: never)."""
    garp: Garp = Garp()
    trackers: tuple[Tracker, ...] = ()
    witness: Address | None = None
    """Must be reachable before this node takes over."""

    def __post_init__(self) -> None:
        _check(bool(self.name) and len(self.name) <= 64, "name", "is not 1 to 64 characters long")
        _check(1 <= len(self.interface) <= _NAME_MAX, "interface", "is not 1 to 15 characters long")
        _check(1 <= self.vrid <= 255, "vrid", f"{self.vrid} is not within 1..255")
        _check(self.version in (2, 3), "version", f"{self.version} is neither 2 nor 3")
        _check(1 <= self.priority <= 255, "priority", f"{self.priority} is not within 1..255")
        self._check_interval()
        self._check_families()
        _check(1 <= self.ttl_min <= 255, "ttl_min", f"{self.ttl_min} is not within 1..255")
        _check(self.lease is None or 2 <= self.lease <= 86400, "lease", "is not within 2..86400 s")
        names = [tracker.name for tracker in self.trackers]
        _check(len(set(names)) == len(names), "trackers", "two have one name")

    @property
    def family(self) -> int:
        """4 or 6: the IP version of the adverts."""
        return self.addresses[0].address.version

    @property
    def every_address(self) -> tuple[VirtualAddress, ...]:
        """All that is held while master: advertised or not."""
        return self.addresses + self.excluded

    @property
    def router(self) -> tuple[str, int, int, int]:
        """What an advert must agree in to be heard by another: link, family, VRID and version."""
        return self.interface, self.family, self.vrid, self.version

    def shares_an_address(self, other: InstanceSpec) -> bool:
        """Whether both hold an address on the same interface."""
        mine, others = ({(v.interface, v.address.ip) for v in s.every_address} for s in (self, other))
        return not mine.isdisjoint(others)

    def _check_interval(self) -> None:
        if self.version == 2:
            whole = self.interval == int(self.interval)
            _check(
                whole and 1 <= self.interval <= 255,
                "interval",
                "is not whole seconds within 1..255 (version 2)",
            )
        else:
            _check(0.01 <= self.interval <= 40.95, "interval", "is not within 0.01..40.95 s (version 3)")

    def _check_families(self) -> None:
        _check(1 <= len(self.addresses) <= 255, "addresses", "are not 1 to 255")
        families = {virtual.address.version for virtual in self.addresses}
        _check(len(families) == 1, "addresses", "are of both families; excluded may hold the other")
        _check(self.version == 3 or families == {4}, "version", "2 knows no IPv6")
        _check(
            self.version == 2 or not isinstance(self.auth, Password),
            "auth",
            "a password is of version 2 only",
        )
        outside = [*self.peers, *([self.source] if self.source else [])]
        _check(
            all(a.version in families for a in outside), "peers", "a peer or source is of the other family"
        )
