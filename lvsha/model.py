"""The nouns of the field, as frozen values.

Identity, settings and observation are different types, so a difference between what is
wanted and what is there is `==` on plain values:

    ServiceKey   what the kernel finds a virtual service by
    Service      its settings (scheduler, flags, persistence)
    ServerKey    what the kernel finds a real server of one service by
    Server       its settings (weight, forwarding method, thresholds, tunnel)
    SourceNat    the director's own addresses that a service's servers see instead of a client's
    Collision    a connection whose port source NAT had to change
    Desired      key -> settings: what should be in the kernel
    Observed     key -> settings and counters: what the kernel holds

Numbers are the kernel's own (`include/uapi/linux/ip_vs.h`). Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag, StrEnum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import NamedTuple

Address = IPv4Address | IPv6Address


class Family(IntEnum):
    """Address family, by Linux's AF_* numbers."""

    IPV4 = 2
    IPV6 = 10

    @property
    def bits(self) -> int:
        """The length of an address in bits."""
        return 32 if self is Family.IPV4 else 128


def family_of(address: Address) -> Family:
    """The family that an address belongs to."""
    return Family.IPV4 if address.version == 4 else Family.IPV6


class Protocol(IntEnum):
    """Transport protocol, by IANA number."""

    TCP = 6
    UDP = 17
    SCTP = 132


class Mode(StrEnum):
    """How packets reach a server, in an operator's words."""

    NAT = "nat"
    DR = "dr"
    TUN = "tun"
    FULLNAT = "fullnat"


class Method(IntEnum):
    """IPVS forwarding method: IP_VS_CONN_F_FWD_MASK of ip_vs.h."""

    MASQUERADE = 0
    LOCAL = 1
    TUNNEL = 2
    ROUTE = 3
    BYPASS = 4


class TunnelKind(IntEnum):
    """IP_VS_CONN_F_TUNNEL_TYPE_* of ip_vs.h."""

    IPIP = 0
    GUE = 1
    GRE = 2


class TunnelFlag(IntFlag):
    """IP_VS_TUNNEL_ENCAP_FLAG_* of ip_vs.h."""

    NONE = 0
    CHECKSUM = 1
    REMOTE_CHECKSUM = 2


class ServiceFlag(IntFlag):
    """IP_VS_SVC_F_* of ip_vs.h, apart from HASHED, which the kernel sets by itself."""

    NONE = 0
    PERSISTENT = 0x0001
    ONE_PACKET = 0x0004
    SCHEDULER_1 = 0x0008
    SCHEDULER_2 = 0x0010
    SCHEDULER_3 = 0x0020


@dataclass(frozen=True, slots=True)
class AddressKey:
    """A virtual service found by protocol, address and port (port 0: every port)."""

    protocol: Protocol
    address: Address
    port: int

    @property
    def family(self) -> Family:
        """The family of the service's address."""
        return family_of(self.address)

    def __str__(self) -> str:
        return f"{self.protocol.name.lower()} {endpoint(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class FwmarkKey:
    """A virtual service found by a firewall mark that something else sets."""

    family: Family
    mark: int

    def __str__(self) -> str:
        return f"fwmark {self.mark} {self.family.name.lower()}"


ServiceKey = AddressKey | FwmarkKey


@dataclass(frozen=True, slots=True)
class Service:
    """The settings of one virtual service."""

    scheduler: str
    flags: ServiceFlag = ServiceFlag.NONE
    timeout: int = 0
    """Persistence timeout in whole seconds; 0 unless flags hold PERSISTENT."""
    prefix: int | None = None
    """Persistence granularity: how many leading bits of a client's address count
    (None: the whole address)."""
    engine: str | None = None
    """Persistence engine, such as `sip`."""


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A real server within one service."""

    address: Address
    port: int

    def __str__(self) -> str:
        return endpoint(self.address, self.port)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How packets are wrapped on their way to a TUNNEL server."""

    kind: TunnelKind = TunnelKind.IPIP
    port: int = 0
    """UDP port of GUE, 0 otherwise."""
    flags: TunnelFlag = TunnelFlag.NONE


@dataclass(frozen=True, slots=True)
class Server:
    """The settings of one real server in one service."""

    method: Method
    weight: int
    upper: int = 0
    """No new connection above this many (0: no limit)."""
    lower: int = 0
    """New connections again below this many."""
    tunnel: Tunnel = Tunnel()


@dataclass(frozen=True, slots=True)
class Counters:
    """IPVS_STATS64: totals since the object was added, and the kernel's rate estimates per second."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections_rate: int = 0
    packets_in_rate: int = 0
    packets_out_rate: int = 0
    bytes_in_rate: int = 0
    bytes_out_rate: int = 0


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server as the kernel shows it: settings beside what is counted."""

    server: Server
    active: int = 0
    inactive: int = 0
    persistent: int = 0
    counters: Counters = Counters()

    @property
    def connections(self) -> int:
        """Entries that keep a drained server busy: established, closing and persistent."""
        return self.active + self.inactive + self.persistent


@dataclass(frozen=True, slots=True)
class SourceNat:
    """Mode fullnat of one service: its servers see one of these addresses instead of the client's.

    Build it with `source_nat`, so that equal pools are equal values.
    """

    service: ServiceKey
    addresses: tuple[Address, ...]
    """The pool, in ascending order: a client's share of it must not depend on who wrote it down."""
    servers: frozenset[ServerKey]
    strip_timestamps: bool = True
    """TCP timestamps are taken out of the handshake: behind one address there are many clocks."""


def source_nat(
    service: ServiceKey,
    addresses: Iterable[Address],
    servers: Iterable[ServerKey],
    *,
    strip_timestamps: bool = True,
) -> SourceNat:
    """The source NAT of a service, with its pool in order and without repetitions."""
    pool = tuple(sorted({*addresses}, key=int))
    return SourceNat(service, pool, frozenset(servers), strip_timestamps)


@dataclass(frozen=True, slots=True)
class SourceNatState:
    """The source NAT that the kernel holds, as far as it is lvsha's own."""

    entries: frozenset[SourceNat] = frozenset()
    altered: str = ""
    """How it differs from what lvsha writes for these entries: somebody has been at it, or it cannot
    be read. Empty: not at all."""


class Collision(NamedTuple):
    """A connection of mode fullnat whose client's port another one had: its server sees another port.

    A tuple, for thousands of them are compared with thousands.
    """

    protocol: Protocol
    client: Address
    client_port: int
    address: Address
    """The service's."""
    port: int
    server: Address
    server_port: int
    local: Address
    """What the server sees ..."""
    local_port: int
    """... and the port that was found for it."""


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """An address that this node may hold, but takes no packets to (RFC 9568, Accept_Mode False)."""

    address: Address
    interface: str = ""
    """A link-local address is one only together with its interface; empty: on every interface."""


@dataclass(frozen=True, slots=True)
class UnacceptedState:
    """The addresses whose packets the kernel drops on lvsha's behalf."""

    entries: frozenset[Unaccepted] = frozenset()
    altered: str = ""
    """How the rules differ from what lvsha writes for these addresses, as with `SourceNatState`."""


_NO_SERVERS: Mapping[ServerKey, Server] = MappingProxyType({})
_NO_STATES: Mapping[ServerKey, ServerState] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DesiredService:
    """One service as it should be, with its servers."""

    service: Service
    servers: Mapping[ServerKey, Server] = field(default_factory=lambda: _NO_SERVERS)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as the kernel shows it, with its servers."""

    service: Service
    servers: Mapping[ServerKey, ServerState] = field(default_factory=lambda: _NO_STATES)
    counters: Counters = Counters()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """IPVS's connection timeouts in whole seconds; 0 leaves the kernel's value alone."""

    tcp: int = 0
    tcp_fin: int = 0
    udp: int = 0


class SyncRole(IntEnum):
    """IP_VS_STATE_MASTER sends connections, IP_VS_STATE_BACKUP receives them."""

    MASTER = 1
    BACKUP = 2


GONE = " (gone)"
"""Behind the name of an interface that was replaced or removed; no interface is called so."""


@dataclass(frozen=True, slots=True)
class SyncKey:
    """By what a role of the sync daemon is known again: what it was started for."""

    role: SyncRole
    interface: str
    sync_id: int


@dataclass(frozen=True, slots=True)
class SyncDaemon:
    """The settings of one role of the kernel's connection-sync daemon."""

    role: SyncRole
    interface: str
    sync_id: int = 0
    maxlen: int = 0
    """Largest sync message in bytes (0: from the interface's MTU)."""
    port: int = 0
    """UDP port (0: 8848)."""
    ttl: int = 0
    """Multicast TTL (0: 1)."""
    group: Address | None = None
    """Multicast group (None: 224.0.0.81)."""

    @property
    def key(self) -> SyncKey:
        """What it was started for, also where its interface is gone by now."""
        return SyncKey(self.role, self.interface.removesuffix(GONE), self.sync_id)


@dataclass(frozen=True, slots=True)
class Owned:
    """What of IPVS is lvsha's own, because it once was in the configuration."""

    services: frozenset[ServiceKey] = frozenset()
    sync: frozenset[SyncKey] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.services or self.sync)

    def __or__(self, other: Owned) -> Owned:
        return Owned(self.services | other.services, self.sync | other.sync)

    def __and__(self, other: Owned) -> Owned:
        return Owned(self.services & other.services, self.sync & other.sync)


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that should be in the kernel, apart from addresses, which the speaker owns."""

    services: Mapping[ServiceKey, DesiredService] = field(default_factory=dict)
    timeouts: Timeouts = Timeouts()
    sync: frozenset[SyncDaemon] | None = None
    """None: the sync daemon is somebody else's business, but for what is owned."""
    owned: Owned = Owned()
    """What may be removed although it is not wanted, because lvsha itself once added it."""
    sweep: bool = False
    """Every service that is not wanted may be removed."""
    source_nat: frozenset[SourceNat] | None = None
    """None: this wish is not about it."""
    unaccepted: frozenset[Unaccepted] | None = None
    """None: this wish is not about it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the kernel holds."""

    services: Mapping[ServiceKey, ServiceState] = field(default_factory=dict)
    timeouts: Timeouts = Timeouts()
    sync: frozenset[SyncDaemon] = frozenset()
    source_nat: SourceNatState | None = None
    """None: it was not looked at."""
    unaccepted: UnacceptedState | None = None
    """None: it was not looked at."""


class Role(Enum):
    """What the pair's election says of this director."""

    MASTER = "master"
    BACKUP = "backup"
    FAULT = "fault"
    ALONE = "alone"
    """No VRRP is configured: one director."""


def virtual_interface(version: int, vrid: int) -> str:
    """The name of the interface with a virtual router's own MAC, by its IP version (4 or 6)."""
    return f"vrrp{version}.{vrid}"


def endpoint(address: Address, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80`, as an operator writes it."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
