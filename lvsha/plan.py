"""From what the kernel holds to what it should hold, as an ordered list of steps.

The plan is computed, not carried out: it is the audit log, the answer to "what would you
do", and what the tests assert. Two properties hold for every plan:

*   **It may be cut anywhere.** After any prefix of the steps the table still forwards
    traffic, and a plan made from there leads to the same end. Nothing has to be remembered
    between two plans.
*   **Capacity never dips on the way.** Services come before their servers, additions before
    changes before removals, and a weight is raised before another is lowered.
*   **No server is reached without its source NAT.** In mode fullnat a packet that keeps its
    client's address would be answered past the director. So the source NAT of what is there and
    of what is wanted comes first, and that of what is no longer wanted goes last.

A change that the kernel cannot make in place (a running sync daemon's settings) is a removal
followed by an addition, the only place where that order is turned round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lvsha.model import (
    Desired,
    DesiredService,
    Observed,
    Server,
    ServerKey,
    ServerState,
    Service,
    ServiceKey,
    ServiceState,
    SourceNat,
    SyncDaemon,
    Timeouts,
    Unaccepted,
    UnacceptedState,
)


@dataclass(frozen=True, slots=True)
class AddService:
    """Add a virtual service without servers."""

    key: ServiceKey
    service: Service

    def __str__(self) -> str:
        return f"add service {self.key} scheduler {self.service.scheduler}"


@dataclass(frozen=True, slots=True)
class SetService:
    """Change the settings of a virtual service; its servers and connections stay."""

    key: ServiceKey
    service: Service

    def __str__(self) -> str:
        return f"set service {self.key} scheduler {self.service.scheduler}"


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Remove a virtual service; the kernel removes its servers with it."""

    key: ServiceKey

    def __str__(self) -> str:
        return f"delete service {self.key}"


@dataclass(frozen=True, slots=True)
class AddServer:
    """Add a real server to a service."""

    service: ServiceKey
    key: ServerKey
    server: Server

    def __str__(self) -> str:
        return f"add server {self.key} to {self.service} {_words(self.server)}"


@dataclass(frozen=True, slots=True)
class SetServer:
    """Change the settings of a real server; its connections stay."""

    service: ServiceKey
    key: ServerKey
    server: Server

    def __str__(self) -> str:
        return f"set server {self.key} of {self.service} {_words(self.server)}"


@dataclass(frozen=True, slots=True)
class DeleteServer:
    """Remove a real server from a service."""

    service: ServiceKey
    key: ServerKey

    def __str__(self) -> str:
        return f"delete server {self.key} of {self.service}"


@dataclass(frozen=True, slots=True)
class SetTimeouts:
    """Set the connection timeouts; 0 leaves a value as it is."""

    timeouts: Timeouts

    def __str__(self) -> str:
        t = self.timeouts
        return f"set timeouts tcp {t.tcp} tcp_fin {t.tcp_fin} udp {t.udp}"


@dataclass(frozen=True, slots=True)
class StartSync:
    """Start one role of the connection-sync daemon."""

    daemon: SyncDaemon

    def __str__(self) -> str:
        d = self.daemon
        return f"start sync {d.role.name.lower()} on {d.interface} id {d.sync_id}"


@dataclass(frozen=True, slots=True)
class StopSync:
    """Stop one role of the connection-sync daemon."""

    daemon: SyncDaemon

    def __str__(self) -> str:
        return f"stop sync {self.daemon.role.name.lower()} on {self.daemon.interface}"


@dataclass(frozen=True, slots=True)
class SetSourceNat:
    """Put this source NAT in the place of whatever lvsha's own was, at one stroke; none: remove it."""

    entries: frozenset[SourceNat]
    why: str = ""
    """What was wrong with it, where somebody had changed it."""

    def __str__(self) -> str:
        pools = {entry.addresses for entry in self.entries}
        addresses = {address for pool in pools for address in pool}
        what = f"for {_count(len(self.entries), 'service')} from {_count(len(addresses), 'address', 'es')}"
        return f"set source NAT {what if self.entries else 'for nothing'}" + (
            f" ({self.why})" if self.why else ""
        )


@dataclass(frozen=True, slots=True)
class SetAcceptance:
    """Drop what is sent to these addresses, and no others, at one stroke."""

    entries: frozenset[Unaccepted]
    why: str = ""
    """What was wrong with the rules, where somebody had changed them."""

    def __str__(self) -> str:
        what = _count(len(self.entries), "address", "es") if self.entries else "no address"
        return f"drop packets to {what} of VRRP" + (f" ({self.why})" if self.why else "")


IpvsStep = (
    AddService
    | SetService
    | DeleteService
    | AddServer
    | SetServer
    | DeleteServer
    | SetTimeouts
    | StartSync
    | StopSync
)
"""What is done to the kernel's IPVS."""
Step = IpvsStep | SetSourceNat | SetAcceptance


def plan(desired: Desired, observed: Observed) -> list[Step]:
    """The steps that lead from `observed` to `desired`, in an order that is safe to cut.

    Empty when there is nothing to do. What is neither wanted nor owned is left alone.
    """
    return [
        *_timeouts(desired.timeouts, observed.timeouts),
        # No service uses such an address, but one may be about to.
        *_acceptance(desired.unaccepted, observed.unaccepted),
        *_source_nat_first(desired, observed),
        *_additions(desired, observed),
        *_changes(desired, observed),
        *_removals(desired, observed),
        *_source_nat_last(desired, observed),
        *_sync(desired, observed.sync),
    ]


def _words(server: Server) -> str:
    return f"{server.method.name.lower()} weight {server.weight}"


def _timeouts(wanted: Timeouts, there: Timeouts) -> Iterator[Step]:
    pairs = ((wanted.tcp, there.tcp), (wanted.tcp_fin, there.tcp_fin), (wanted.udp, there.udp))
    if any(want and want != have for want, have in pairs):
        yield SetTimeouts(wanted)


def _acceptance(wanted: frozenset[Unaccepted] | None, there: UnacceptedState | None) -> Iterator[Step]:
    if wanted is None or there is None:
        return
    if wanted != there.entries or there.altered:
        yield SetAcceptance(wanted, there.altered)


def _additions(desired: Desired, observed: Observed) -> Iterator[Step]:
    for key, wanted in desired.services.items():
        there = observed.services.get(key)
        if there is None:
            yield AddService(key, wanted.service)
        held: Mapping[ServerKey, ServerState] = there.servers if there else {}
        for server_key, server in wanted.servers.items():
            if server_key not in held:
                yield AddServer(key, server_key, server)


def _changes(desired: Desired, observed: Observed) -> Iterator[Step]:
    both = [
        (key, wanted, there)
        for key, wanted in desired.services.items()
        if (there := observed.services.get(key)) is not None
    ]
    for key, wanted, there in both:
        if wanted.service != there.service:
            yield SetService(key, wanted.service)
    changed = [step for key, wanted, there in both for step in _changed_servers(key, wanted, there)]
    # A rise first: the last server in service may not lose its weight before another has gained its own.
    yield from (step for step, rise in changed if rise)
    yield from (step for step, rise in changed if not rise)


def _changed_servers(
    key: ServiceKey, wanted: DesiredService, there: ServiceState
) -> Iterator[tuple[SetServer, bool]]:
    for server_key, server in wanted.servers.items():
        held = there.servers.get(server_key)
        if held is not None and held.server != server:
            yield SetServer(key, server_key, server), server.weight >= held.server.weight


def _removals(desired: Desired, observed: Observed) -> Iterator[Step]:
    for key, there in observed.services.items():
        wanted = desired.services.get(key)
        if wanted is None:
            if desired.sweep or key in desired.owned.services:
                yield DeleteService(key)
            continue
        for server_key in there.servers:
            if server_key not in wanted.servers:
                yield DeleteServer(key, server_key)


def _source_nat_first(desired: Desired, observed: Observed) -> Iterator[Step]:
    wanted, there = desired.source_nat, observed.source_nat
    if wanted is None or there is None:
        return
    both = _union(wanted, there.entries)
    if both != there.entries or there.altered:
        yield SetSourceNat(both, there.altered)


def _source_nat_last(desired: Desired, observed: Observed) -> Iterator[Step]:
    wanted, there = desired.source_nat, observed.source_nat
    if wanted is not None and there is not None and _union(wanted, there.entries) != wanted:
        yield SetSourceNat(wanted)


def _union(wanted: frozenset[SourceNat], there: frozenset[SourceNat]) -> frozenset[SourceNat]:
    """What is wanted, and the servers that are still there beside it; of two pools the wanted one."""
    held = {entry.service: entry for entry in there}
    kept = {entry.service for entry in wanted}
    grown = (
        replace(entry, servers=entry.servers | held[entry.service].servers)
        if entry.service in held
        else entry
        for entry in wanted
    )
    return frozenset((*grown, *(entry for entry in there if entry.service not in kept)))


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number != 1 else ''}"


def _sync(desired: Desired, there: frozenset[SyncDaemon]) -> Iterator[Step]:
    wanted = desired.sync or frozenset()
    running = {daemon.role: daemon for daemon in there}
    for daemon in sorted(there, key=lambda d: d.role):
        ours = desired.sync is not None or daemon.key in desired.owned.sync
        if ours and not any(_serves(daemon, want) for want in wanted):
            yield StopSync(daemon)
    for want in sorted(wanted, key=lambda d: d.role):
        if want.role not in running or not _serves(running[want.role], want):
            yield StartSync(want)


def _serves(there: SyncDaemon, wanted: SyncDaemon) -> bool:
    """Whether a running daemon is the wanted one; what the wish leaves open, the kernel chose."""
    return (
        (there.role, there.interface, there.sync_id) == (wanted.role, wanted.interface, wanted.sync_id)
        and wanted.maxlen in (0, there.maxlen)
        and wanted.port in (0, there.port)
        and wanted.ttl in (0, there.ttl)
        and wanted.group in (None, there.group)
    )
