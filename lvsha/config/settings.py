"""What the rest of lvsha reads: the configuration with every name looked up.

A file speaks in names (`server = "rs1"`, `check = "web"`, `[nodes.lb1]`); the values here hold
what the names stand for on this node, so nobody below has to search. They are plain frozen
values: two configurations can be compared with `==`, and a service that is equal in both has
not changed.

Times are seconds. Attribute names are the keys of the file wherever a key has one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path

from checks.base import Check
from lvsha.model import (
    Address,
    AddressKey,
    Family,
    FwmarkKey,
    Method,
    Mode,
    Protocol,
    Server,
    ServerKey,
    Service,
    ServiceFlag,
    ServiceKey,
    SourceNat,
    SyncDaemon,
    SyncRole,
    Timeouts,
    Tunnel,
    source_nat,
    virtual_interface,
)

OWNER = 255
"""The priority of who owns the addresses (RFC 9568, 5.2.4)."""

Interface = IPv4Interface | IPv6Interface

METHODS: Mapping[Mode, Method] = {
    Mode.NAT: Method.MASQUERADE,
    Mode.FULLNAT: Method.MASQUERADE,
    Mode.DR: Method.ROUTE,
    Mode.TUN: Method.TUNNEL,
}

# IP_VS_SVC_F_SCHED_* of include/uapi/linux/ip_vs.h
FLAGS: Mapping[str, ServiceFlag] = {
    "flag-1": ServiceFlag.SCHEDULER_1,
    "flag-2": ServiceFlag.SCHEDULER_2,
    "flag-3": ServiceFlag.SCHEDULER_3,
    "sh-fallback": ServiceFlag.SCHEDULER_1,
    "sh-port": ServiceFlag.SCHEDULER_2,
    "mh-fallback": ServiceFlag.SCHEDULER_1,
    "mh-port": ServiceFlag.SCHEDULER_2,
}


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """One health check: what to ask, how often, and how many answers make a verdict."""

    kind: str
    check: Check
    interval: float = 2.0
    fast_interval: float = 2.0
    """Used while a verdict is changing."""
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3
    jitter: float = 0.1
    """Fraction of the interval by which a probe may start early or late."""
    port: int | None = None
    """None: the server's port."""
    address: Address | None = None
    """None: the server's address."""
    through: str = "server"
    """`server`, or `vip`: over the clients' way."""


@dataclass(frozen=True, slots=True)
class NamedServer:
    """An entry of `[servers]`: a machine, before a service gives it a port and a mode."""

    name: str
    address: Address
    weight: int = 1
    check: CheckConfig | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """The clients' way to one server, for its probes alone: a firewall-mark service with no other server."""

    mark: int
    family: Family
    """Of the service."""
    address: Address
    """What is probed, as a client would: the service's address ..."""
    port: int
    """... and port."""
    key: ServerKey
    server: Server

    @property
    def service(self) -> FwmarkKey:
        """What the kernel finds the service by."""
        return FwmarkKey(self.family, self.mark)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A real server of one service."""

    name: str
    address: Address
    port: int
    """0 in a firewall-mark service: the port the client asked for."""
    mode: Mode
    weight: int = 1
    upper: int = 0
    lower: int = 0
    tunnel: Tunnel = Tunnel()
    check: CheckConfig | None = None
    """None: always in service."""
    passage: Passage | None = None
    """None: the check goes straight to the server."""

    @property
    def key(self) -> ServerKey:
        """What the kernel finds this server by."""
        return ServerKey(self.address, self.port)

    @property
    def server(self) -> Server:
        """The settings as the kernel takes them."""
        return Server(METHODS[self.mode], self.weight, self.upper, self.lower, self.tunnel)


@dataclass(frozen=True, slots=True)
class PersistenceConfig:
    """One client goes to one server."""

    timeout: int = 300
    """Whole seconds."""
    netmask: int | None = None
    """Prefix length; None: the whole address."""
    engine: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A virtual service with its servers. Either `address` or `fwmark` is set."""

    name: str
    family: Family
    address: Address | None
    port: int
    protocol: Protocol
    fwmark: int | None
    mode: Mode
    scheduler: str = "wlc"
    flags: tuple[str, ...] = ()
    one_packet: bool = False
    persistence: PersistenceConfig | None = None
    on_failure: str = "remove"
    """`remove`, or `quiesce`: weight 0, established connections go on."""
    floor: int = 0
    """Never fewer than so many servers in service."""
    servers: tuple[ServerConfig, ...] = ()
    fallback: tuple[ServerConfig, ...] = ()
    """Used only while none of `servers` is in service."""
    local_addresses: tuple[Address, ...] = ()
    """Mode fullnat: what the servers see instead of the client's address."""
    strip_timestamps: bool = True
    """Mode fullnat: TCP timestamps are taken out of the handshake."""

    @property
    def key(self) -> ServiceKey:
        """What the kernel finds this service by."""
        if self.address is None:
            return FwmarkKey(self.family, self.fwmark or 0)
        return AddressKey(self.protocol, self.address, self.port)

    @property
    def service(self) -> Service:
        """The settings as the kernel takes them."""
        flags = ServiceFlag.ONE_PACKET if self.one_packet else ServiceFlag.NONE
        for flag in self.flags:
            flags |= FLAGS[flag]
        if self.persistence is None:
            return Service(self.scheduler, flags)
        wanted = self.persistence
        prefix = None if wanted.netmask == self.family.bits else wanted.netmask
        return Service(self.scheduler, flags | ServiceFlag.PERSISTENT, wanted.timeout, prefix, wanted.engine)

    @property
    def source_nat(self) -> SourceNat | None:
        """The source NAT of its servers of mode fullnat; None where it has none."""
        servers = [s.key for s in (*self.servers, *self.fallback) if s.mode is Mode.FULLNAT]
        if not servers or not self.local_addresses:
            return None
        return source_nat(self.key, self.local_addresses, servers, strip_timestamps=self.strip_timestamps)


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


@dataclass(frozen=True, slots=True)
class SpeakerConfig:
    """The VRRP process."""

    grace: float = 30.0
    """The director is away for longer: resign."""
    realtime: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the files say, as it concerns this node."""

    node: NodeConfig
    nodes: Mapping[str, NodeConfig] = field(default_factory=dict)
    """Every node of `[nodes]`, this one among them."""
    api: ApiConfig = ApiConfig()
    state: StateConfig = StateConfig()
    ipvs: IpvsConfig = field(default_factory=IpvsConfig)
    sync: SyncConfig | None = None
    peer: PeerConfig | None = None
    servers: Mapping[str, NamedServer] = field(default_factory=dict)
    checks: Mapping[str, CheckConfig] = field(default_factory=dict)
    services: Mapping[str, ServiceConfig] = field(default_factory=dict)
    vrrp: Mapping[str, VrrpConfig] = field(default_factory=dict)
    speaker: SpeakerConfig = SpeakerConfig()
    files: tuple[Path, ...] = ()
    """Every file that was read, the main one first."""


def master_down(interval: float, priority: int) -> float:
    """3 intervals and the skew: (256 - priority) / 256 of an interval (RFC 9568, 6.1)."""
    return interval * (3 + (256 - priority) / 256)


def automatic_lease(interval: float) -> int:
    """A lease that no backup's master-down interval outlasts, whatever its priority.

    The kernel counts whole seconds, and less than two would leave no room for a late renewal.
    """
    return max(2, math.ceil(4 * interval))
