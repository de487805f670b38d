"""What the rest of lvsha reads: the configuration with every name looked up.

A file speaks in names (`server = "rs1"`, `check = "web"`, `[nodes.lb1]`); the values here hold
what the names stand for on this node, so nobody below has to search. They are plain frozen
values: two configurations can be compared with `==`, and a service that is equal in both has
not changed.

Times are seconds. Attribute names are the keys of the file wherever a key has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lvsha.config.settings.machine import (
    ApiConfig,
    IpvsConfig,
    NodeConfig,
    PeerConfig,
    SpeakerConfig,
    StateConfig,
    SyncConfig,
)
from lvsha.config.settings.notify import NotifyConfig
from lvsha.config.settings.services import CheckConfig, NamedServer, ServiceConfig
from lvsha.config.settings.vrrp import VrrpConfig


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
    notify: Mapping[str, NotifyConfig] = field(default_factory=dict)
    speaker: SpeakerConfig = SpeakerConfig()
    files: tuple[Path, ...] = ()
    """Every file that was read, the main one first."""
