"""The tables about this machine: which node it is, the API, the state, IPVS as a whole, the speaker."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from lvsha.config.schema.values import (
    AbsolutePath,
    Duration,
    EndpointText,
    InterfaceName,
    IpAddress,
    Name,
    Port,
    Priority,
    SocketPath,
    Table,
    WholeSeconds,
    refuse,
    shown,
    span,
)

# ip_vs_set_timeout() of net/netfilter/ipvs/ip_vs_ctl.c refuses more than INT_MAX jiffies; HZ is at most 1000.
KernelTimeout = Annotated[WholeSeconds, span(1, 2147483)]


def _sysctl(value: object) -> object:
    match value:
        case int() if not isinstance(value, bool) and -1 <= value < 2**31:
            return value
        case str() if re.fullmatch(r"[0-9]{1,10}[ \t]+[0-9]{1,10}", value):
            return " ".join(value.split())
        case _:
            raise refuse(f"must be a number, or two in quotes, not {shown(value)}")


SysctlName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
SysctlValue = Annotated[
    int | str,
    BeforeValidator(_sysctl),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -1, "maximum": 2**31 - 1},
                {"type": "string", "pattern": "^[0-9]{1,10}[ \t]+[0-9]{1,10}$"},
            ]
        }
    ),
]


class NodeTable(Table):
    """Which entry of `[nodes]` this machine is."""

    name: Name | None = None
    """The name. Default: `--node` of the command line, else the host name."""


class NodeVrrpTable(Table):
    """What one node does differently in one VRRP instance."""

    priority: Priority | None = None
    """Priority of this instance on this node."""
    interface: InterfaceName | None = None
    """Interface of this instance on this node."""
    address: IpAddress | None = None
    """Source of this instance's adverts on this node, and the address its unicast peers send to."""


class NodeEntry(Table):
    """One director of the pair; both can then share one file."""

    priority: Priority | None = None
    """Priority of its VRRP instances, instead of what they say."""
    address: IpAddress | None = None
    """Its address for unicast VRRP and for `[peer]`; the other nodes' addresses are the peers."""
    vrrp: dict[Name, NodeVrrpTable] = Field(default_factory=dict)
    """By instance: what this node does differently."""


class ApiTable(Table):
    """The control API, which `lvsha-cli` talks to."""

    socket: SocketPath = "/run/lvsha/lvsha.sock"
    """Unix socket it listens on."""
    group: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Group that may use the socket (mode 0660). Default: root alone (0600)."""
    metrics: EndpointText | None = None
    """Address and port for /metrics over TCP. Default: on the socket only."""


class StateTable(Table):
    """Where lvsha keeps what it must remember."""

    directory: AbsolutePath = "/var/lib/lvsha"
    """What outlives a reboot: overrides, adopted services."""
    runtime: Annotated[AbsolutePath, Field(max_length=80)] = "/run/lvsha"
    """What outlives a restart: sockets between the processes, the speaker's memory."""


class TimeoutsTable(Table):
    """IPVS's connection timeouts, in whole seconds. What is left out stays as the kernel has it."""

    tcp: KernelTimeout | None = None
    """An established TCP connection without traffic."""
    tcp_fin: KernelTimeout | None = None
    """A TCP connection after a FIN."""
    udp: KernelTimeout | None = None
    """A UDP exchange without traffic."""


class IpvsTable(Table):
    """How the kernel's IPVS table is kept."""

    look: Annotated[Duration, span(1, 3600)] = 30.0
    """Longest time between two looks at the kernel; what somebody else changed is then mended."""
    unknown_services: Literal["keep", "remove"] = "keep"
    """What happens to services in the kernel that the configuration does not know."""
    timeouts: TimeoutsTable = TimeoutsTable()
    """Connection timeouts."""
    mark_base: Annotated[int, Field(ge=1, le=2**32 - 65536)] = 0x6C760000
    """First of the 65,536 firewall marks that belong to checks with `through = "vip"`."""
    directors_serve: bool = False
    """The directors are real servers as well, in mode `dr`: only the master's IPVS directs (docs/sync.md)."""
    sysctl: dict[SysctlName, SysctlValue] = Field(default_factory=dict)
    """Settings of net.ipv4.vs by name: `conn_reuse_mode = 1`, `sync_threshold = "3 50"`."""


class SyncTable(Table):
    """The kernel's connection-sync daemon, in both roles at once: nothing is switched at a failover."""

    interface: InterfaceName
    """Interface the sync messages go out on and come in by."""
    id: Annotated[int, Field(ge=0, le=255)] = 0
    """Sync id; directors with one id share their connections."""
    group: IpAddress = IPv4Address("224.0.0.81")
    """Multicast group."""
    port: Port = 8848
    """UDP port; with the sysctl sync_ports, the first of several."""
    ttl: Annotated[int, Field(ge=1, le=255)] = 1
    """Multicast TTL (hop limit)."""
    maxlen: Annotated[int, Field(ge=1024, le=65507)] | None = None
    """Largest sync message in bytes. Default: what fits the interface's MTU."""
    catch_up: Annotated[Duration, span(0, 3600)] = 30.0
    """A node that comes back takes over from a living master once it knows its connections, or after so long.
    0: at once."""


class PeerTable(Table):
    """The channel between the directors of `[nodes]`: what an operator says to one holds on all."""

    key: Annotated[str, Field(min_length=1, max_length=4096)]
    """The secret that they share: 32 to 64 bytes as "hex:...", "file:/path", or plain text."""
    listen: IpAddress | None = None
    """Address it listens on. Default: this node's in `[nodes]`."""
    port: Port = 8850
    """TCP port."""


class SpeakerTable(Table):
    """The VRRP process."""

    grace: Annotated[Duration, span(1, 3600)] = 30.0
    """The director is away for longer: resign, because nobody checks the servers any more."""
    realtime: bool = True
    """Ask for real-time scheduling and locked memory where that is allowed."""
