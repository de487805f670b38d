"""The tables of what is directed: services, their servers, persistence, tunnels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from lvsha.config.schema.checks import CheckReference
from lvsha.config.schema.values import (
    INTERFACE_PATTERN,
    Count,
    Family,
    InterfaceName,
    IpAddress,
    IpInterface,
    Name,
    NetmaskValue,
    Port,
    PortOrZero,
    Table,
    Weight,
    WholeSeconds,
    refuse,
    shown,
    span,
)

Mode = Literal["nat", "dr", "tun", "fullnat"]
Scheduler = Literal[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"
]
Flag = Literal["sh-port", "sh-fallback", "mh-port", "mh-fallback", "flag-1", "flag-2", "flag-3"]


class TunnelTable(Table):
    """How packets are wrapped on their way to a server of mode `tun`."""

    kind: Literal["ipip", "gue", "gre"] = "ipip"
    """Encapsulation; the server's tunnel device must be of the same kind."""
    port: Port | None = None
    """UDP port of `gue`."""
    checksum: Literal["none", "checksum", "remote"] = "none"
    """Checksum of the outer header: `checksum` with gue and gre, `remote` (offload) with gue."""


class PersistenceTable(Table):
    """One client goes to one server."""

    timeout: Annotated[WholeSeconds, span(1, 2678400)] = 300.0
    """So long after its last connection, in whole seconds."""
    netmask: NetmaskValue | None = None
    """How much of the client's address counts: a prefix length, or a mask for IPv4. Default: all of it."""
    engine: Literal["sip"] | None = None
    """What else tells clients apart: `sip` looks at the Call-ID of SIP over UDP."""


class NamedServerTable(Table):
    """A machine that services refer to by name."""

    address: IpAddress
    """Its address."""
    weight: Weight = 1
    """Weight in services that give none."""
    check: CheckReference | None = None
    """Check in services that give none: a name in `[checks]`, a table, or "none"."""


class ServerTable(Table):
    """A real server of one service: a name in `[servers]`, or a name and address of its own."""

    server: Name | None = None
    """A name in `[servers]`."""
    name: Name | None = None
    """A name, where `address` is given. Default: the address."""
    address: IpAddress | None = None
    """Its address, where no `server` is named."""
    port: PortOrZero | None = None
    """Its port. Default: the service's; for a firewall mark, the port the client asked for."""
    weight: Weight | None = None
    """Its share. 0: no new connections. Default: the named server's, else 1."""
    mode: Mode | None = None
    """How packets reach it. Default: the service's."""
    upper: Count = 0
    """No new connection above so many. 0: no limit."""
    lower: Count = 0
    """New connections again below so many. 0: three quarters of `upper`."""
    tunnel: TunnelTable | None = None
    """Encapsulation, with mode `tun`. Default: ipip."""
    check: CheckReference | None = None
    """A name in `[checks]`, a table, or "none". Default: the service's, else the named server's."""


class LocalAddressTable(Table):
    """An address of the directors' that servers of mode `fullnat` see instead of the client's."""

    address: IpInterface
    """The address; with `interface`, with its prefix length."""
    interface: InterfaceName | None = None
    """Interface that it is put on, held by the VRRP instance of the service's address as if it stood under
    its `excluded`. Default: it stands there, or under its `addresses`, already."""


def _local(value: object) -> object:
    match value:
        case str():
            return {"address": value}
        case dict():
            return value
        case _:
            raise refuse(
                f"must be an address or a table, not {shown(value)}",
                'write "10.0.1.100" or { address = "10.0.1.100/24", interface = "eth1" }',
            )


LocalAddress = Annotated[
    LocalAddressTable,
    BeforeValidator(_local),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": INTERFACE_PATTERN}, {"$ref": "#/$defs/LocalAddressTable"}]}
    ),
]
POOL = 32
"""Local addresses of one service: as many as xt_cluster, of the kernel's older firewall, can choose from."""


class ServiceTable(Table):
    """A virtual service: an address, port and protocol, or a firewall mark."""

    address: IpAddress | None = None
    """The address clients use."""
    port: PortOrZero | None = None
    """The port clients use. 0: every port (with persistence only)."""
    protocol: Literal["tcp", "udp", "sctp"] | None = None
    """Transport protocol. Default: tcp."""
    fwmark: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = None
    """Instead of address, port and protocol: the mark that the firewall sets."""
    family: Family | None = None
    """Of a firewall-mark service. Default: ipv4."""
    mode: Mode = "nat"
    """How packets reach the servers."""
    local_addresses: Annotated[list[LocalAddress], Field(max_length=POOL)] = Field(default_factory=list)
    """With mode `fullnat`: the addresses, one of which the servers see instead of the client's."""
    strip_timestamps: bool = True
    """With mode `fullnat`: take TCP timestamps out of the handshake. Behind one address they come from many
    clocks, which confuses servers."""
    scheduler: Scheduler = "wlc"
    """Who gets the next connection."""
    flags: list[Flag] = Field(default_factory=list)
    """Flags of the scheduler."""
    one_packet: bool = False
    """UDP: every packet is scheduled for itself."""
    persistence: PersistenceTable | None = None
    """One client goes to one server."""
    on_failure: Literal["remove", "quiesce"] = "remove"
    """What happens to a failed server. `quiesce`: weight 0, its established connections go on."""
    floor: Count = 0
    """Never fewer than so many servers in service: rather a bad one than none."""
    check: CheckReference | None = None
    """Check of its servers: a name in `[checks]`, a table, or "none"."""
    servers: list[ServerTable] = Field(default_factory=list)
    """The real servers."""
    fallback: list[ServerTable] = Field(default_factory=list)
    """Servers used only while none of `servers` is in service. The service's check is not theirs."""
