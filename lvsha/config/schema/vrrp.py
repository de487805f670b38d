"""The tables of VRRP: instances, what they hold, how they authenticate, announce and track."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from lvsha.config.schema.values import (
    INTERFACE_PATTERN,
    AbsolutePath,
    Duration,
    InterfaceName,
    IpAddress,
    IpInterface,
    Name,
    Priority,
    Table,
    Text,
    Threshold,
    TrackWeight,
    duration,
    refuse,
    shown,
    span,
    spoken,
)

Pause = Annotated[Duration, span(0, 3600)]
Period = Annotated[Duration, span(0.01, 3600)]


class VipTable(Table):
    """An address that an instance holds; a text stands for the address alone."""

    address: IpInterface
    """The address with its prefix length; without one it is a host's (/32, /128). No route to its network
    comes with it: that stays with the directors' own addresses, or is yours to put on both."""
    interface: InterfaceName | None = None
    """Interface that it is put on. Default: the instance's."""


def _vip(value: object) -> object:
    match value:
        case str():
            return {"address": value}
        case dict():
            return value
        case _:
            raise refuse(
                f"must be an address or a table, not {shown(value)}",
                'write "192.0.2.100/24" or { address = "192.0.2.100/24", interface = "eth1" }',
            )


Vip = Annotated[
    VipTable,
    BeforeValidator(_vip),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": INTERFACE_PATTERN}, {"$ref": "#/$defs/VipTable"}]}
    ),
]


class PasswordTable(Table):
    """Version 2's simple password: clear text on the wire, it guards against mistakes only."""

    password: Annotated[str, Field(min_length=1, max_length=64)]
    """1 to 8 bytes."""


class KeysTable(Table):
    """Version 3's HMAC-SHA256 trailer, as keepalived 2.4.2 and later has it."""

    keys: dict[str, Annotated[str, Field(min_length=1, max_length=4096)]]
    """Keys by id 0 to 255: 32 to 64 bytes as "hex:...", "file:/path", or plain text."""
    active: Annotated[int, Field(ge=0, le=255)] | None = None
    """Id of the key that signs. Default: the only one."""
    mode: Literal["enforce", "permissive", "receive-only"] = "enforce"
    """Unsigned adverts are dropped (`enforce`) or taken (`permissive`, `receive-only`, which signs none)."""
    window: Annotated[Duration, span(1, 300)] | None = None
    """How far a sender's clock may be off. Default: three intervals, at least 5 s."""


def _auth(value: Any) -> str | None:
    if isinstance(value, dict):
        # A table of both is neither of the two: each would call the other's key unknown.
        both = "password" in value and "keys" in value
        return None if both else "<password>" if "password" in value else "<keys>"
    return None


Auth = Annotated[
    Annotated[PasswordTable, Tag("<password>")] | Annotated[KeysTable, Tag("<keys>")],
    Discriminator(
        _auth,
        custom_error_type="refused",
        custom_error_message=(
            'must be a table with one of the two: { password = "..." } or { keys = { 1 = "..." } }'
        ),
    ),
]


class GarpTable(Table):
    """Announcements of the addresses to neighbours: gratuitous ARP, unsolicited neighbour advertisement."""

    repeat: Annotated[int, Field(ge=0, le=100)] = 5
    """How many at once, when this node takes over."""
    delay: Pause = 5.0
    """After so long the same again. 0: no."""
    refresh: Pause = 0.0
    """While master, again every so often. 0: never."""
    interval: Annotated[Duration, span(0, 10)] = 0.0
    """At least so long between two on one interface."""


class _Tracked(Table):
    weight: TrackWeight = 0
    """Added to the priority: a positive one while it holds, a negative one while it fails. 0: a failure is
    a FAULT, and the instance lets go of its addresses."""


class InterfaceTrack(_Tracked):
    """An interface must be up and have a carrier."""

    interface: InterfaceName
    """Its name."""


class ScriptTrack(_Tracked):
    """A program must end with 0."""

    script: Annotated[list[Text], Field(min_length=1, max_length=64)]
    """The program, by its absolute path, and its arguments. No shell."""
    interval: Period = 1.0
    """From one start to the next."""
    timeout: Period = 1.0
    """Longer is a failure."""
    rise: Threshold = 1
    """Successes in a row that count."""
    fall: Threshold = 1
    """Failures in a row that count."""
    user: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """User it runs as. Default: nobody. As root only a program that none but root can change."""


class FileTrack(Table):
    """The whole number in a file, times `weight`, is added to the priority."""

    file: AbsolutePath
    """Its path. With weight 0 any number but 0 is a FAULT."""
    weight: TrackWeight = 1
    """What the number is multiplied by."""


class ProcessTrack(_Tracked):
    """A process of this name must run."""

    process: Annotated[str, Field(min_length=1, max_length=64)]
    """Its name, as ps -e shows it."""


class GatewayTrack(_Tracked):
    """A neighbour must answer."""

    gateway: IpAddress
    """Its address."""
    interval: Period = 1.0
    """From one question (an echo request) to the next."""
    timeout: Period = 1.0
    """Longer is no answer."""
    rise: Threshold = 2
    """Answers in a row that count."""
    fall: Threshold = 3
    """Questions without an answer in a row that count."""


class ServiceTrack(_Tracked):
    """A service must have servers in service."""

    service: Name
    """A name in `[services]`."""
    at_least: Annotated[int, Field(ge=1, le=65535)] = 1
    """How many."""


TRACKS = ("interface", "script", "file", "process", "gateway", "service")


def _track(value: Any) -> str | None:
    if isinstance(value, dict):
        # A script has an interval too, and a table of two trackers is refused for its second key.
        return next((f"<{kind}>" for kind in TRACKS if kind in value), None)
    return None


Track = Annotated[
    Annotated[InterfaceTrack, Tag("<interface>")]
    | Annotated[ScriptTrack, Tag("<script>")]
    | Annotated[FileTrack, Tag("<file>")]
    | Annotated[ProcessTrack, Tag("<process>")]
    | Annotated[GatewayTrack, Tag("<gateway>")]
    | Annotated[ServiceTrack, Tag("<service>")],
    Discriminator(
        _track,
        custom_error_type="refused",
        custom_error_message="names none of interface, script, file, process, gateway, service",
    ),
]


def _lease(value: object) -> object:
    if value in ("auto", "none"):
        return value
    if isinstance(value, str) and value.isalpha():
        raise refuse(f"{shown(value)} is not a lease", '"auto", "none", or a duration of whole seconds')
    seconds = duration(value)
    if seconds != int(seconds) or not 2 <= seconds <= 86400:
        raise refuse(
            f"must be whole seconds within 2s and 1d, not {spoken(seconds)}",
            "the kernel counts whole seconds",
        )
    return int(seconds)


Lease = Annotated[
    int | str,
    BeforeValidator(_lease),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["auto", "none"]},
                {"type": "integer", "minimum": 2, "maximum": 86400},
                {"type": "string", "pattern": "^[0-9]{1,9}(s|m|h|d)$"},
            ]
        }
    ),
]


class VrrpTable(Table):
    """One VRRP instance."""

    interface: InterfaceName | None = None
    """Interface that adverts go out on; a node may name its own."""
    vrid: Annotated[int, Field(ge=1, le=255)]
    """Virtual router id: one to an interface and family."""
    version: Annotated[int, Field(ge=2, le=3)] = 3
    """Protocol version, 2 or 3."""
    priority: Priority | None = None
    """1 to 254, the highest becomes master; 255 owns the addresses. A node's comes first. Default: 100."""
    interval: Annotated[Duration, span(0.01, 255)] = 1.0
    """Between two adverts. Version 2: whole seconds up to 255; version 3: steps of 10 ms up to 40.95 s."""
    addresses: Annotated[list[Vip], Field(min_length=1)]
    """The addresses it holds and advertises, all of one family."""
    excluded: list[Vip] = Field(default_factory=list)
    """Addresses held with the others and not advertised; of either family."""
    preempt: bool = True
    """Take over from a master of lower priority."""
    preempt_delay: Annotated[Duration, span(0, 1000)] = 0.0
    """But only after so long."""
    start_delay: Pause = 0.0
    """After a start, so long as backup whatever happens."""
    carrier_delay: Pause = 0.0
    """After its interface, or one that it tracks, has got its carrier, that counts only so much later: a
    switch with spanning tree lets nothing through at first, often for 30 s. A carrier that is there at the
    start counts at once: that is for `start_delay`."""
    needs_carrier: bool = True
    """Its interface being down or without a carrier is a fault. `false` is for a cable from director to
    director, which has none while the other is off. When the cable is cut both are master, unless a `group`
    joins the instance to one on another network."""
    accept: bool = True
    """Take packets to the addresses while master. With `false` they are dropped, apart from IPv6 neighbour
    discovery; ARP is answered. For addresses that are gateways alone: what this node sends from them gets no
    answer either. An owner (priority 255) takes them always."""
    checksum: Literal["pseudo-header", "plain", "rfc9568"] | None = None
    """What a version 3 advert's checksum over IPv4 covers: with the pseudo header (keepalived's way, the
    default), or the message alone (`plain`, also spelt `rfc9568`). Either is accepted."""
    unicast: bool = False
    """Send adverts to the peers instead of multicast."""
    peers: list[IpAddress] | None = None
    """Unicast peers. Default: the addresses of the other `[nodes]`."""
    ttl_min: Annotated[int, Field(ge=1, le=255)] = 255
    """Least TTL of a unicast advert that is taken. 255: from a neighbour, through no router."""
    auth: Auth | None = None
    """Authentication. Default: none."""
    group: Name | None = None
    """Instances with the same word here fail over together."""
    virtual_mac: bool = False
    """Hold the addresses on an interface with the virtual router's own MAC, 00:00:5e:00:01:VRID."""
    lease: Lease = "auto"
    """How long the kernel keeps an address that is not renewed: a dead director loses its addresses.
    `auto`: four intervals, at least 2 s; `none`: for ever."""
    garp: GarpTable = GarpTable()
    """Announcements to neighbours."""
    track: list[Track] = Field(default_factory=list)
    """What the priority, or being in the election at all, depends on."""
    witness: IpAddress | None = None
    """Must be reachable before this node takes over."""
