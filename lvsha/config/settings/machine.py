"""The node and its surroundings: directories, the kernel's table, connection sync, the peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from lvsha.model import Address, SyncDaemon, SyncRole, Timeouts


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One director of the pair, by the name that `[nodes]` gives it."""

    name: str
    priority: int | None = None
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Where the control API listens."""

    socket: Path = Path("/run/lvsha/lvsha.sock")
    group: str | None = None
    metrics: tuple[Address, int] | None = None
    """Address and port for /metrics over TCP."""


@dataclass(frozen=True, slots=True)
class StateConfig:
    """Where lvsha keeps what must outlive a reboot (directory) or a restart (runtime)."""

    directory: Path = Path("/var/lib/lvsha")
    runtime: Path = Path("/run/lvsha")


@dataclass(frozen=True, slots=True)
class IpvsConfig:
    """How the kernel's table is kept."""

    look: float = 30.0
    """Seconds between looks at the kernel when nothing happens."""
    unknown_services: str = "keep"
    """`keep` or `remove` what the configuration does not know."""
    timeouts: Timeouts = Timeouts()
    sysctl: Mapping[str, int | str] = field(default_factory=dict)
    """Of net.ipv4.vs, without that prefix."""
    mark_base: int = 0x6C760000
    """First of the firewall marks of passages."""
    directors_serve: bool = False
    """The directors are real servers as well: only the master's IPVS directs."""


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """The kernel's connection-sync daemon, run in both roles."""

    interface: str
    id: int = 0
    group: Address = IPv4Address("224.0.0.81")
    port: int = 8848
    ttl: int = 1
    maxlen: int = 0
    """Bytes (0: the kernel's choice)."""
    catch_up: float = 30.0
    """Seconds at most before a living master is taken over from (0: at once)."""

    @property
    def daemons(self) -> frozenset[SyncDaemon]:
        """Both roles as the kernel takes them."""
        return frozenset(
            SyncDaemon(role, self.interface, self.id, self.maxlen, self.port, self.ttl, self.group)
            for role in SyncRole
        )


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """The channel between the directors."""

    key: bytes = field(repr=False)
    address: Address
    """This node's own; what it dials from, and what its peers know it by."""
    listen: Address
    nodes: Mapping[str, Address]
    """The other directors, by name."""
    port: int = 8850


@dataclass(frozen=True, slots=True)
class SpeakerConfig:
    """The VRRP process."""

    grace: float = 30.0
    """The director is away for longer: resign."""
    realtime: bool = True
