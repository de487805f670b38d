"""The file as it is written: one model a table, before any name is looked up.

`Document` is the whole file. The models say what each value may be and, in the words under each
key, what it means; `docs/configuration.md` and the JSON Schema are made from them. They judge a
value by itself. What two values mean together is the business of `lvsha.config.rules`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from lvsha.config.schema.machine import (
    ApiTable,
    IpvsTable,
    NodeEntry,
    NodeTable,
    PeerTable,
    SpeakerTable,
    StateTable,
    SyncTable,
)
from lvsha.config.schema.notify import NotifyTable
from lvsha.config.schema.services import NamedServerTable, ServiceTable
from lvsha.config.schema.values import Name, Table
from lvsha.config.schema.vrrp import VrrpTable

CheckEntry = Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/$defs/Check"})]

SINGLE: dict[str, type[Table]] = {
    "node": NodeTable,
    "api": ApiTable,
    "state": StateTable,
    "ipvs": IpvsTable,
    "sync": SyncTable,
    "peer": PeerTable,
    "speaker": SpeakerTable,
}
"""Sections that are one table."""

NAMED = ("nodes", "servers", "checks", "services", "vrrp", "notify")
"""Sections of tables with names."""


class Document(Table):
    """The configuration of lvsha."""

    include: list[str] = Field(default_factory=list)
    """Further files, as patterns relative to this file. Their tables merge with this one's."""
    node: NodeTable = NodeTable()
    """Which of the nodes this machine is."""
    nodes: dict[Name, NodeEntry] = Field(default_factory=dict)
    """The directors of the pair, by name."""
    api: ApiTable = ApiTable()
    """The control API."""
    state: StateTable = StateTable()
    """Where lvsha keeps its state."""
    ipvs: IpvsTable = IpvsTable()
    """The kernel's IPVS table."""
    sync: SyncTable | None = None
    """Connection sync. Default: none; the kernel's daemon is left alone."""
    peer: PeerTable | None = None
    """The channel between the directors. Default: none; overrides hold on one director only."""
    servers: dict[Name, NamedServerTable] = Field(default_factory=dict)
    """Machines that services refer to, by name."""
    checks: dict[Name, CheckEntry] = Field(default_factory=dict)
    """Health checks that services and servers refer to, by name."""
    services: dict[Name, ServiceTable] = Field(default_factory=dict)
    """What is directed, by name."""
    vrrp: dict[Name, VrrpTable] = Field(default_factory=dict)
    """VRRP instances, by name."""
    notify: dict[Name, NotifyTable] = Field(default_factory=dict)
    """Programs that are told when a role changes, by name."""
    speaker: SpeakerTable = SpeakerTable()
    """The VRRP process."""
