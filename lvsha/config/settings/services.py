"""Services, their servers and the checks of these, as they are in force on this node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    Tunnel,
    source_nat,
)

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
