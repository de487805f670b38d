"""A director without a kernel: it satisfies Control, and behaves.

Overrides are kept and resolved by the real code, connections of a server that gets no new ones end
one look after the other, an instance that is handed over is backup afterwards. `serving` puts it
behind the real API on a Unix socket, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lvsha.api.app import build
from lvsha.api.listen import serve
from lvsha.api.metrics import render
from lvsha.api.target import ServerRef, resolve, select, unknown
from lvsha.api.views import (
    FindingView,
    OverrideView,
    PeerView,
    ReloadView,
    ServerView,
    ServiceView,
    StatusView,
    SyncView,
    TrackerView,
    VrrpView,
)
from lvsha.errors import UnavailableError
from lvsha.log import Journal, emit, listening
from lvsha.model import Counters
from lvsha.overrides import Kind, Override, Overrides

SERVERS = (
    ServerView("web", "rs1", "10.0.0.1", 80, "nat", 10, 10, "up", "HTTP 200 in 2 ms", active=40, inactive=2),
    ServerView("web", "rs2", "10.0.0.2", 80, "nat", 10, None, "down", "connection refused"),
    ServerView("tls", "rs1", "10.0.0.1", 8443, "nat", 1, 1, "up", "TLS handshake in 4 ms", active=3),
    ServerView("six", "rs6", "2001:db8::3", 80, "dr", 1, 1, "up"),
    ServerView("pool-a", "worker", "10.0.0.21", 80, "tun", 1, 1, "up"),
    ServerView("pool-b", "worker", "10.0.0.22", 80, "tun", 1, 1, "up"),
)
INSTANCES = (
    VrrpView(
        name="public",
        group="front",
        interface="eth0",
        vrid=51,
        version=3,
        state="master",
        priority=150,
        base_priority=200,
        why="no advertisement",
        since=1_700_000_000.0,
        master=None,
        peers=("192.0.2.2",),
        interval=1.0,
        timers={"master_down": 3.2},
        addresses=("192.0.2.100/24",),
        counters={"sent": 10, "checksum": 1},
        trackers=(TrackerView("gateway 192.0.2.254", ok=False, weight=-50, detail="no answer"),),
    ),
    VrrpView(
        name="inside",
        group="front",
        interface="eth1",
        vrid=52,
        version=3,
        state="master",
        priority=200,
        base_priority=200,
        why="no advertisement",
        since=1_700_000_000.0,
        master=None,
        peers=(),
        interval=1.0,
        addresses=("10.0.0.254/24",),
    ),
)


class Director:
    """The state of a small pair's master, in memory."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.said = Overrides()
        self.active = {(s.service, s.name): s.active for s in SERVERS}
        self.inactive = {(s.service, s.name): s.inactive for s in SERVERS}
        self.ending = 10
        """How many connections of a drained server end between two looks."""
        self.instances = {v.name: v for v in INSTANCES}
        self.peer_takes_over = True
        self.peer_lacks = ""
        """What is said where the peer does not know the connections."""
        self.problems: tuple[str, ...] = ()
        self.steps = ["set tcp 192.0.2.100:80 server 10.0.0.1:80 weight 10"]
        self.findings = [FindingView("ok", "kernel", "IPVS 1.2.1 answers")]
        self.warnings: tuple[str, ...] = ()
        self.peers: tuple[PeerView, ...] = ()
        self.sync: SyncView | None = None
        self.generation = 1
        self.left = asyncio.Event()
        """Set when somebody who followed the events has gone."""
        self.failure: BaseException | None = None
        """Raised by `status`, as a bug or a lost kernel would."""
        self.slowness: asyncio.Event | None = None
        """Waited for by `status`."""
        self.reached: asyncio.Event | None = None
        """Set by `status` before it waits."""

    # --- what there is ---

    async def status(self) -> StatusView:
        """The director in one glance."""
        if self.slowness is not None:
            if self.reached is not None:
                self.reached.set()
            await self.slowness.wait()
        if self.failure is not None:
            raise self.failure
        servers = self._servers()
        return StatusView(
            node="lb1",
            version="0.1.0",
            role="master",
            started=1_700_000_000.0,
            config_file="/etc/lvsha/lvsha.toml",
            config_loaded_at=1_700_000_100.0,
            config_generation=self.generation,
            kernel="IPVS 1.2.1",
            services=len(await self.services()),
            servers_up=sum(s.state == "up" for s in servers),
            servers_down=sum(s.state == "down" for s in servers),
            servers_unknown=0,
            servers_drained=sum(s.override is not None for s in servers),
            warnings=self.warnings,
            peers=self.peers,
            sync=self.sync,
        )

    async def services(self) -> list[ServiceView]:
        """The services."""
        names = dict.fromkeys(s.service for s in SERVERS)
        return [self._service(name) for name in names]

    async def servers(self) -> list[ServerView]:
        """The servers; connections of those set aside end."""
        for server in self._servers():
            if not server.weight_now:
                for kept in (self.active, self.inactive):
                    left = kept[server.service, server.name]
                    kept[server.service, server.name] = max(0, left - self.ending)
        return self._servers()

    async def overrides(self) -> list[OverrideView]:
        """What was said by hand."""
        return [_view(o) for o in self.said.entries]

    async def plan(self) -> list[str]:
        """The steps that would be applied."""
        return list(self.steps)

    async def config(self) -> dict[str, Any]:
        """A configuration."""
        return {"node": {"name": "lb1"}, "services": {"web": {"port": 80}}}

    async def vrrp(self) -> list[VrrpView]:
        """The instances."""
        return list(self.instances.values())

    async def doctor(self) -> list[FindingView]:
        """The findings."""
        return self.findings

    async def events(self, since: int | None) -> AsyncIterator[dict[str, Any]]:
        """The events."""
        try:
            async for record in self.journal.subscribe(since):
                yield record
        finally:
            self.left.set()

    async def metrics(self) -> str:
        """The metrics."""
        return render(
            await self.status(),
            await self.services(),
            self._servers(),
            await self.vrrp(),
            self.journal.last,
        )

    # --- what can be asked for ---

    async def override(
        self,
        target: str,
        kind: Kind,
        *,
        weight: int | None,
        reason: str,
        expires_in: float | None,
        by: str,
    ) -> list[ServerView]:
        """Set servers aside."""
        now = time.time()
        until = None if expires_in is None else now + expires_in
        said = Override(select(target, _refs()), kind, weight, reason, by, now, until)
        self.said = self.said.put(said)
        self._say("override.set", kind=kind, weight=weight, reason=reason, by=by, expires=until)
        return self._of(target)

    async def clear(self, target: str, kinds: Collection[Kind], *, by: str) -> list[ServerView]:
        """Take overrides back."""
        meant = resolve(target, _refs())
        doomed = [
            o
            for o in self.said.entries
            if o.kind in kinds
            and any(o.selector.matches(r.service, r.name, r.address, r.port) for r in meant)
        ]
        self.said = self.said.remove(doomed)
        for o in doomed:
            self._say("override.cleared", kind=o.kind, reason=o.reason, by=by)
        return self._of(target)

    async def look(self) -> list[str]:
        """Apply the plan."""
        steps, self.steps = self.steps, []
        return steps

    async def reload(self, *, by: str) -> ReloadView:
        """Read the configuration again."""
        if self.problems:
            return ReloadView(self.generation, problems=self.problems)
        self.generation += 1
        self._say("reload.done", file="/etc/lvsha/lvsha.toml", generation=self.generation, by=by)
        return ReloadView(self.generation, changed=("services.web.servers.rs3: added",))

    async def failover(
        self, instance: str | None, *, wait: float | None, force: bool, by: str
    ) -> list[VrrpView]:
        """Hand over."""
        names = self._instances(instance)
        if self.peer_lacks and not force:
            raise UnavailableError(self.peer_lacks)
        if not self.peer_takes_over:
            wait = 0.01 if wait is None else wait
            await asyncio.sleep(wait)
            raise TimeoutError(f"no peer took over {names[0]} within {wait:g} s; it is master here again")
        for name in names:
            self.instances[name] = replace(self.instances[name], state="backup", master="192.0.2.2")
            self._say("vrrp.failover", instance=name, by=by)
        return await self.vrrp()

    async def hold(self, instance: str | None, *, by: str) -> list[VrrpView]:
        """Keep from being master."""
        return await self._hold(instance, "vrrp.held", by, held=True)

    async def release(self, instance: str | None, *, by: str) -> list[VrrpView]:
        """Let be master."""
        return await self._hold(instance, "vrrp.released", by, held=False)

    # --- inside ---

    async def _hold(self, instance: str | None, event: str, by: str, *, held: bool) -> list[VrrpView]:
        for name in self._instances(instance):
            self._say(event, instance=name, by=by)
            self.instances[name] = replace(self.instances[name], held=held)
        return await self.vrrp()

    def _instances(self, instance: str | None) -> list[str]:
        if instance is not None and instance not in self.instances:
            raise unknown("VRRP instance", instance, self.instances)
        return list(self.instances) if instance is None else [instance]

    def _say(self, event: str, **fields: object) -> None:
        with listening(self.journal.append):
            emit(event, **fields)

    def _of(self, target: str) -> list[ServerView]:
        meant = {str(r) for r in resolve(target, _refs())}
        return [s for s in self._servers() if f"{s.service}/{s.name}" in meant]

    def _service(self, name: str) -> ServiceView:
        servers = [s for s in self._servers() if s.service == name]
        used = sum(bool(s.weight_now) for s in servers)
        state = "ok" if used == len(servers) else "degraded" if used else "down"
        key = f"tcp 192.0.2.100:{servers[0].port}"
        up = sum(s.state == "up" for s in servers)
        active = sum(s.active for s in servers)
        counters = Counters(connections=1000, bytes_in=2_500_000, connections_rate=12, bytes_out_rate=1500)
        return ServiceView(
            name, key, servers[0].mode, "wlc", state, used, up, len(servers), active, 0, counters
        )

    def _servers(self) -> list[ServerView]:
        return [self._server(s) for s in SERVERS]

    def _server(self, server: ServerView) -> ServerView:
        said = self.said.on(server.service, server.name, ip_address(server.address), server.port)
        now = server.weight_now
        if said is not None and now is not None:
            now = {Kind.DISABLE: None, Kind.DRAIN: 0, Kind.WEIGHT: said.weight}[said.kind]
        return replace(
            server,
            weight_now=now,
            active=self.active[server.service, server.name],
            inactive=self.inactive[server.service, server.name],
            override=_view(said) if said else None,
        )


def _view(o: Override) -> OverrideView:
    return OverrideView(str(o.selector), o.kind.value, o.weight, o.reason, o.by, o.since, o.until)


def _refs() -> list[ServerRef]:
    return [ServerRef(s.service, s.name, ip_address(s.address), s.port) for s in SERVERS]


@contextlib.contextmanager
def serving(director: Director, path: Path) -> Iterator[None]:
    """The real API over a director, on a Unix socket, served by a thread until the end."""
    loop = asyncio.new_event_loop()
    up = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(build(director), path):
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        assert up.wait(10), "the API did not come up"
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
