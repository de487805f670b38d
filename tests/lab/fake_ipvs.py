"""An IPVS table in memory that behaves as the kernel's does, for tests of planning and reconciling.

Adding twice fails, a server needs its service, a service takes its servers with it, a role of
the sync daemon runs once; a refusal stops nothing, as net/netfilter/ipvs/ip_vs_ctl.c does it. Beside it
stand the source NAT and the accept mode, which are replaced as a whole.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from lvsha.kernel.ipvs import AbsentError, Failure, StepError
from lvsha.model import (
    Observed,
    Server,
    ServerKey,
    ServerState,
    Service,
    ServiceKey,
    ServiceState,
    SourceNatState,
    SyncDaemon,
    SyncRole,
    Timeouts,
    UnacceptedState,
)
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    SetAcceptance,
    SetServer,
    SetService,
    SetSourceNat,
    SetTimeouts,
    StartSync,
    Step,
    StopSync,
)


@dataclass
class FakeIpvs:
    """Satisfies the reconciler's `Kernel`; `applied` keeps every step that was carried out."""

    services: dict[ServiceKey, Service] = field(default_factory=dict)
    servers: dict[ServiceKey, dict[ServerKey, Server]] = field(default_factory=dict)
    timeouts: Timeouts = Timeouts(900, 120, 300)
    daemons: dict[SyncRole, SyncDaemon] = field(default_factory=dict)
    active: dict[tuple[ServiceKey, ServerKey], int] = field(default_factory=dict)
    source_nat: SourceNatState = SourceNatState()
    unaccepted: UnacceptedState = UnacceptedState()
    applied: list[Step] = field(default_factory=list)
    gone: bool = False
    """No IPVS answers at all."""

    async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """As `Ipvs.observe`."""
        self._check_there()
        return self.table(keys)

    async def apply(self, steps: Sequence[Step]) -> list[Failure]:
        """As `Ipvs.apply`."""
        self._check_there()
        return [f for step in steps if (f := self.carry_out(step)) is not None]

    def table(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """What is there now."""
        services = {
            key: ServiceState(service, {k: self._state(key, k, s) for k, s in self.servers[key].items()})
            for key, service in self.services.items()
            if keys is None or key in keys
        }
        daemons = frozenset(self.daemons.values())
        if keys is not None:
            return Observed(services, self.timeouts, daemons)
        return Observed(services, self.timeouts, daemons, self.source_nat, self.unaccepted)

    def carry_out(self, step: Step) -> Failure | None:
        """One step; what the kernel would refuse is refused."""
        number = self._carry_out(step)
        if number:
            drift = number in (errno.EEXIST, errno.ESRCH, errno.ENOENT)
            words = errno.errorcode[number]
            return Failure(step, StepError(f"{step}: {words}", number=number, text=words, drift=drift))
        self.applied.append(step)
        return None

    def _check_there(self) -> None:
        if self.gone:
            raise AbsentError("the kernel has no IPVS: load it with `modprobe ip_vs`")

    def _state(self, service: ServiceKey, key: ServerKey, server: Server) -> ServerState:
        return ServerState(server, active=self.active.get((service, key), 0))

    def _carry_out(self, step: Step) -> int:
        match step:
            case AddService(key, service):
                if key in self.services:
                    return errno.EEXIST
                self.services[key] = service
                self.servers[key] = {}
            case SetService(key, service):
                if key not in self.services:
                    return errno.ESRCH
                self.services[key] = service
            case DeleteService(key):
                if self.services.pop(key, None) is None:
                    return errno.ESRCH
                del self.servers[key]
            case AddServer(service, key, server):
                if service not in self.services:
                    return errno.ESRCH
                if key in self.servers[service]:
                    return errno.EEXIST
                self.servers[service][key] = server
            case SetServer(service, key, server):
                if service not in self.services:
                    return errno.ESRCH
                if key not in self.servers[service]:
                    return errno.ENOENT
                self.servers[service][key] = server
            case DeleteServer(service, key):
                if service not in self.services:
                    return errno.ESRCH
                if self.servers[service].pop(key, None) is None:
                    return errno.ENOENT
            case SetTimeouts(wanted):
                now = self.timeouts
                self.timeouts = Timeouts(
                    wanted.tcp or now.tcp, wanted.tcp_fin or now.tcp_fin, wanted.udp or now.udp
                )
            case StartSync(daemon):
                if daemon.role in self.daemons:
                    return errno.EEXIST
                # The kernel fills in what was left open (ip_vs_sync.c: start_sync_thread).
                self.daemons[daemon.role] = replace(
                    daemon, maxlen=daemon.maxlen or 1460, port=daemon.port or 8848, ttl=daemon.ttl or 1
                )
            case StopSync(daemon):
                if self.daemons.pop(daemon.role, None) is None:
                    return errno.ESRCH
            case SetSourceNat(entries):
                self.source_nat = SourceNatState(entries)
            case SetAcceptance(addresses):
                self.unaccepted = UnacceptedState(addresses)
        return 0
