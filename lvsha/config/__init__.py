"""TOML -> Config: strict, every problem at once, each with its path and line.

`load(path, node)` gives a `Config` with every name looked up, or raises `ConfigError` with all
the problems found. `check(path, node)` reports them beside the warnings, and `json_schema()` is
the JSON Schema of the file.
"""

from __future__ import annotations

from lvsha.config.document import json_schema
from lvsha.config.load import check, load
from lvsha.config.problems import ConfigError, Problem, Report, Severity
from lvsha.config.settings import Config
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
from lvsha.config.settings.services import (
    CheckConfig,
    NamedServer,
    Passage,
    PersistenceConfig,
    ServerConfig,
    ServiceConfig,
)
from lvsha.config.settings.vrrp import (
    GarpConfig,
    KeyAuth,
    PasswordAuth,
    Track,
    TrackFile,
    TrackGateway,
    TrackInterface,
    TrackProcess,
    TrackScript,
    TrackService,
    VipConfig,
    VrrpConfig,
)

__all__ = [
    "ApiConfig",
    "CheckConfig",
    "Config",
    "ConfigError",
    "GarpConfig",
    "IpvsConfig",
    "KeyAuth",
    "NamedServer",
    "NodeConfig",
    "NotifyConfig",
    "Passage",
    "PasswordAuth",
    "PeerConfig",
    "PersistenceConfig",
    "Problem",
    "Report",
    "ServerConfig",
    "ServiceConfig",
    "Severity",
    "SpeakerConfig",
    "StateConfig",
    "SyncConfig",
    "Track",
    "TrackFile",
    "TrackGateway",
    "TrackInterface",
    "TrackProcess",
    "TrackScript",
    "TrackService",
    "VipConfig",
    "VrrpConfig",
    "check",
    "json_schema",
    "load",
]
