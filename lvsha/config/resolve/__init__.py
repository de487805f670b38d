"""From what is written to what it stands for on this node: every name looked up.

`resolve` gives a `Config` and, beside it, the drafts with their places, which the rules judge.
The instances of every node are worked out, not only this one's: the file is shared by the pair,
and a mistake that bites on the other node only is better found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lvsha.config.decode import Findings, Written
from lvsha.config.problems import did_you_mean, error
from lvsha.config.resolve import passages
from lvsha.config.resolve.checks import Checks
from lvsha.config.resolve.notify import notices
from lvsha.config.resolve.peer import peer
from lvsha.config.resolve.services import Draft, Servers, Services
from lvsha.config.resolve.vrrp import Instance, Instances, overrides
from lvsha.config.schema.machine import ApiTable, IpvsTable, NodeTable, SpeakerTable, StateTable, SyncTable
from lvsha.config.schema.values import Table, shown
from lvsha.config.settings import Config
from lvsha.config.settings.machine import (
    ApiConfig,
    IpvsConfig,
    NodeConfig,
    SpeakerConfig,
    StateConfig,
    SyncConfig,
)
from lvsha.model import Mode, Timeouts

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The configuration, and the places of its parts."""

    written: Written
    config: Config
    services: Mapping[str, Draft] = field(default_factory=dict)
    instances: Mapping[str, Mapping[str, Instance]] = field(default_factory=dict)
    """By node, then by name."""


def resolve(written: Written, node: str, files: tuple[Path, ...], findings: Findings) -> Resolved:
    """Look up every name. What cannot be found is a finding and is left out."""
    checks = Checks(written, findings)
    servers = Servers(written, checks, findings)
    ipvs = _single(written, IpvsTable)
    services = passages.lay(_services(written, servers, checks, findings), ipvs.mark_base)
    _known_node(written, node, findings)
    overrides(written, findings)
    instances = Instances(written, findings)
    nodes = written.nodes if written.names["nodes"] else [node]
    on = {name: instances.on(name, services.values()) for name in nodes}
    findings.add(*checks.unused(), *servers.unused())
    known = {name: NodeConfig(name, entry.priority, entry.address) for name, entry in written.nodes.items()}
    config = Config(
        node=known.get(node, NodeConfig(node)),
        nodes=known,
        api=_api(_single(written, ApiTable)),
        state=_state(_single(written, StateTable)),
        ipvs=_ipvs(ipvs, services.values()),
        sync=_sync(written.single.get("sync")),
        peer=peer(written, node, findings),
        servers=servers.named,
        checks=checks.named,
        services={name: draft.config for name, draft in services.items()},
        vrrp={name: instance.config for name, instance in on.get(node, {}).items()},
        notify=notices(written.notify),
        speaker=_speaker(_single(written, SpeakerTable)),
        files=files,
    )
    return Resolved(written, config, services, on)


def node_name(written: Written, given: str | None, host: str) -> str:
    """Which node this is: what the caller says, else what the file says, else the host's name."""
    return given or _single(written, NodeTable).name or host


def _known_node(written: Written, node: str, findings: Findings) -> None:
    nodes = written.names["nodes"]
    if nodes and node not in nodes:
        known = ", ".join(sorted(nodes))
        hint = did_you_mean(node, nodes) or 'write [node] name = "..." or start with --node'
        findings.add(error(("nodes",), f"this node is called {shown(node)}, known are {known}", hint))


def _services(written: Written, servers: Servers, checks: Checks, findings: Findings) -> dict[str, Draft]:
    drafts = Services(servers, checks, findings)
    found = {name: drafts.draft(name, service) for name, service in written.services.items()}
    return {name: draft for name, draft in found.items() if draft is not None}


def _single(written: Written, shape: type[T]) -> T:
    """The table of that shape; its defaults where it is not written or could not be read."""
    return next((table for table in written.single.values() if isinstance(table, shape)), None) or shape()


def _api(table: ApiTable) -> ApiConfig:
    metrics = (table.metrics.address, table.metrics.port) if table.metrics else None
    return ApiConfig(Path(table.socket), table.group, metrics)


def _state(table: StateTable) -> StateConfig:
    return StateConfig(Path(table.directory), Path(table.runtime))


def _ipvs(table: IpvsTable, services: Iterable[Draft]) -> IpvsConfig:
    # In mode fullnat connection tracking does the source NAT, and IPVS tells it only with this set.
    fullnat = any(place.config.mode is Mode.FULLNAT for draft in services for place in draft.places)
    sysctl = {"conntrack": 1, **table.sysctl} if fullnat else dict(table.sysctl)
    written = table.timeouts
    timeouts = Timeouts(*(int(value or 0) for value in (written.tcp, written.tcp_fin, written.udp)))
    return IpvsConfig(
        table.look, table.unknown_services, timeouts, sysctl, table.mark_base, table.directors_serve
    )


def _sync(table: Table | None) -> SyncConfig | None:
    if not isinstance(table, SyncTable):
        return None
    maxlen = table.maxlen or 0
    return SyncConfig(table.interface, table.id, table.group, table.port, table.ttl, maxlen, table.catch_up)


def _speaker(table: SpeakerTable) -> SpeakerConfig:
    return SpeakerConfig(table.grace, table.realtime)
