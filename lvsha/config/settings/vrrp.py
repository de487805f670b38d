"""VRRP instances as they run on this node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from lvsha.model import Address, Family, virtual_interface

OWNER = 255
"""The priority of who owns the addresses (RFC 9568, 5.2.4)."""

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class VipConfig:
    """An address that a VRRP instance holds."""

    address: Interface
    """With its prefix length; `.ip` is the address alone."""
    interface: str


@dataclass(frozen=True, slots=True)
class PasswordAuth:
    """VRRPv2's simple password: clear text on the wire, guards against mistakes only."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyAuth:
    """The HMAC trailer."""

    keys: Mapping[int, bytes] = field(repr=False)
    active: int
    """The id of the key that signs."""
    mode: str = "enforce"
    """`enforce`, `permissive` or `receive-only`."""
    window: float = 5.0
    """Seconds by which a stamp may differ from this node's clock."""


@dataclass(frozen=True, slots=True)
class GarpConfig:
    """Announcements (gratuitous ARP, unsolicited NA) of an instance's addresses."""

    repeat: int = 5
    delay: float = 5.0
    """After so long the burst is sent once more (0: no)."""
    refresh: float = 0.0
    """While master, again every so often (0: never)."""
    interval: float = 0.0
    """Between two announcements on one interface."""


@dataclass(frozen=True, slots=True)
class TrackInterface:
    """Follow an interface's operational state."""

    interface: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class TrackScript:
    """Follow a program's exit status."""

    script: tuple[str, ...]
    interval: float = 1.0
    timeout: float = 1.0
    rise: int = 1
    fall: int = 1
    user: str | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class TrackFile:
    """Follow the number in a file; it is multiplied by the weight."""

    file: Path
    weight: int = 1


@dataclass(frozen=True, slots=True)
class TrackProcess:
    """Follow whether a process of this name runs."""

    process: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class TrackGateway:
    """Follow whether a neighbour on the instance's interface answers."""

    gateway: Address
    weight: int = 0
    interval: float = 1.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class TrackService:
    """Follow how many servers of a service are in service."""

    service: str
    at_least: int = 1
    weight: int = 0


Track = TrackInterface | TrackScript | TrackFile | TrackProcess | TrackGateway | TrackService
"""A weight of 0 means: a failure is a FAULT, the instance lets go of its addresses."""


@dataclass(frozen=True, slots=True)
class VrrpConfig:
    """One VRRP instance as it runs on this node."""

    name: str
    interface: str
    vrid: int
    version: int
    family: Family
    priority: int
    interval: float
    addresses: tuple[VipConfig, ...]
    excluded: tuple[VipConfig, ...] = ()
    """Held with the instance, not advertised."""
    preempt: bool = True
    preempt_delay: float = 0.0
    start_delay: float = 0.0
    carrier_delay: float = 0.0
    needs_carrier: bool = True
    accept: bool = True
    checksum: str = "pseudo-header"
    """`pseudo-header` or `plain`: version 3 over IPv4 only."""
    unicast: bool = False
    address: Address | None = None
    """Source of adverts; None: the interface's own."""
    peers: tuple[Address, ...] = ()
    ttl_min: int = 255
    auth: PasswordAuth | KeyAuth | None = None
    group: str | None = None
    virtual_mac: bool = False
    lease: int | None = None
    """Kernel lifetime of the addresses in whole seconds; None: for ever."""
    garp: GarpConfig = GarpConfig()
    track: tuple[Track, ...] = ()
    witness: Address | None = None

    @property
    def held(self) -> frozenset[Address]:
        """Every address that its master holds, advertised or not."""
        return frozenset(vip.address.ip for vip in (*self.addresses, *self.excluded))

    @property
    def accepts(self) -> bool:
        """Whether its master takes packets to the addresses: an owner always does (RFC 9568, 6.1)."""
        return self.accept or self.priority == OWNER

    def carrier(self, vip: VipConfig) -> str:
        """The interface that an address is on while this node holds it."""
        if self.virtual_mac and vip.interface == self.interface:
            return virtual_interface(self.addresses[0].address.version, self.vrid)
        return vip.interface

    @property
    def master_down(self) -> float:
        """Seconds of silence after which this node takes over (RFC 9568, 6.1)."""
        return master_down(self.interval, self.priority)


def master_down(interval: float, priority: int) -> float:
    """3 intervals and the skew: (256 - priority) / 256 of an interval (RFC 9568, 6.1)."""
    return interval * (3 + (256 - priority) / 256)


def automatic_lease(interval: float) -> int:
    """A lease that no backup's master-down interval outlasts, whatever its priority.

    The kernel counts whole seconds, and less than two would leave no room for a late renewal.
    """
    return max(2, math.ceil(4 * interval))
