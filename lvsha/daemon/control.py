"""The director as the API sees it: every question and command of `lvsha.api.control.Control`.

Views are put together here from three sources that are kept apart everywhere else: the
configuration (what was asked for), the director's state (verdicts, overrides) and the
reconciler's latest look (what the kernel holds and counts).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

from lvsha import __version__
from lvsha.api import views
from lvsha.api.metrics import render
from lvsha.api.target import ServerRef, TargetError, resolve, select, unknown
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon import doctor, vrrp_views
from lvsha.daemon.director import Director
from lvsha.daemon.pair import Pair
from lvsha.daemon.peers import Peers
from lvsha.daemon.plain import plain
from lvsha.daemon.reconciler import Reconciler
from lvsha.daemon.record import Entry
from lvsha.daemon.standby import Standby
from lvsha.daemon.table import Table
from lvsha.desired import Placement
from lvsha.errors import InputError, KernelError, UnavailableError
from lvsha.health import State
from lvsha.log import Journal, emit
from lvsha.model import Counters, Observed, ServerState, ServiceState
from lvsha.overrides import Kind, Override
from lvsha.standing import Word

Reload = Callable[[str], Awaitable[views.ReloadView]]
SLICE = 20
"""Services that are shown at a stretch."""
WITNESSES = 1.0
"""Seconds that a peer may take to ask its witnesses before it takes over."""


class Controller:
    """Satisfies `lvsha.api.control.Control`."""

    def __init__(
        self,
        director: Director,
        reconciler: Reconciler,
        table: Table,
        pair: Pair,
        journal: Journal,
        reload: Reload,
        peers: Peers,
        room: Callable[[], views.RoomView | None] = lambda: None,
        changed: Callable[[], tuple[Entry, ...]] = tuple,
        standby: Standby | None = None,
    ) -> None:
        self._director = director
        self._reconciler = reconciler
        self._table = table
        self._pair = pair
        self._journal = journal
        self._reload = reload
        self._peers = peers
        self._room = room
        self._changed = changed
        self._standby = standby
        self._started = time.time()

    # --- what there is ------------------------------------------------------------------------

    async def status(self) -> views.StatusView:
        """The director in one glance."""
        config = self._config
        servers = [s for s in await self._servers() if not s.fallback]
        states = [s.state for s in servers]
        return views.StatusView(
            node=config.node.name,
            version=__version__,
            role=self._pair.role.value,
            started=self._started,
            config_file=str(config.files[0]) if config.files else "",
            config_loaded_at=self._director.loaded_at,
            config_generation=self._director.generation,
            kernel=self._table.words,
            services=len(config.services),
            servers_up=states.count("up"),
            servers_down=states.count("down"),
            servers_unknown=len(states) - states.count("up") - states.count("down"),
            servers_drained=sum(_set_aside(s.override) for s in servers),
            warnings=self._warnings(),
            peers=self._peers.views(),
            sync=None if self._standby is None else await self._standby.view(),
        )

    async def services(self) -> list[views.ServiceView]:
        """The services, in the configuration's order, with fresh counters."""
        await self._refresh(None)
        return await self._services()

    async def servers(self) -> list[views.ServerView]:
        """The servers of every service, in the configuration's order, with fresh counters."""
        await self._refresh(None)
        return await self._servers()

    async def overrides(self) -> list[views.OverrideView]:
        """What is in force that was said by hand."""
        return [_override(o) for o in self._director.overrides.entries]

    async def plan(self) -> list[str]:
        """The steps that would be applied now; nothing is changed."""
        return [str(step) for step in await self._reconciler.preview()]

    async def config(self) -> dict[str, Any]:
        """The configuration in force as plain values, secrets left out."""
        document = plain(self._config)
        assert isinstance(document, dict)  # noqa: S101 - a dataclass becomes a table
        return document

    async def vrrp(self) -> list[views.VrrpView]:
        """The VRRP instances."""
        return vrrp_views.views(self._config, await self._pair.status())

    async def doctor(self) -> list[views.FindingView]:
        """What is wrong, or about to be, with this director and its kernel."""
        trouble, observed = "", self._reconciler.observed
        try:
            observed = await self._reconciler.see()
        except KernelError as error:
            trouble = str(error)
        facts = await doctor.look(
            self._config,
            observed,
            trouble=trouble,
            refused=[str(failed.error) for failed in self._reconciler.failures],
            report=await self._pair.status() if self._config.vrrp else None,
            alarms=self._pair.alarms(),
            changed=self._changed(),
        )
        return doctor.judge(self._config, facts)

    def events(self, since: int | None) -> AsyncIterator[dict[str, Any]]:
        """Events from a number on, without end."""
        return self._journal.subscribe(since)

    async def metrics(self) -> str:
        """The metrics in Prometheus' text format."""
        # Verdicts and roles are known without the kernel, and `status` warns that it does not answer.
        with contextlib.suppress(KernelError):
            await self._refresh(None)
        parts = (await self.status(), await self._services(), await self._servers(), await self.vrrp())
        return await asyncio.to_thread(render, *parts, self._journal.last, self._room())

    # --- what can be asked for ------------------------------------------------------------------

    async def override(
        self,
        target: str,
        kind: Kind,
        *,
        weight: int | None,
        reason: str,
        expires_in: float | None,
        by: str,
    ) -> list[views.ServerView]:
        """Set servers aside, or give them a weight, and reconcile; the servers it concerns."""
        if (kind is Kind.WEIGHT) is (weight is None):
            raise InputError("a weight goes with `weight` and nothing else")
        now = time.time()
        until = None if expires_in is None else now + expires_in
        selector = select(target, self._refs())
        # It will be read on the other director too, where a process number alone says nothing.
        by = f"{by} on {self._config.node.name}" if self._config.peer is not None else by
        self._director.override(Override(selector, kind, weight, reason, by, now, until))
        return await self._after(target)

    async def clear(self, target: str, kinds: Collection[Kind], *, by: str) -> list[views.ServerView]:
        """Take overrides of these kinds back, and reconcile; the servers it concerns."""
        try:
            meant = resolve(target, self._refs())
        except TargetError:
            # What it meant may have left the configuration; the words by which it is listed still name it.
            left = [
                o for o in self._director.overrides.entries if o.kind in kinds and str(o.selector) == target
            ]
            if not left:
                raise
            self._director.clear(left, by=by)
            return []
        doomed = [
            o
            for o in self._director.overrides.entries
            if o.kind in kinds
            and any(o.selector.matches(s.service, s.name, s.address, s.port) for s in meant)
        ]
        self._check_wholly(target, doomed, meant)
        if not doomed:
            return await self._shown(target)
        self._director.clear(doomed, by=by)
        return await self._after(target)

    async def look(self) -> list[str]:
        """Compare with the kernel now; the steps that were applied."""
        look = await self._reconciler.looked()
        return [str(step) for step in look.steps]

    async def reload(self, *, by: str) -> views.ReloadView:
        """Read the configuration again. Problems are an answer, not an error."""
        return await self._reload(by)

    async def failover(
        self, instance: str | None, *, wait: float | None, force: bool, by: str
    ) -> list[views.VrrpView]:
        """Hand over an instance (None: all that are master here), and wait until a peer has taken it.

        `wait`: at most so many seconds. None: as long as a living peer needs. `force`: also where the peer
        does not know the connections.
        """
        names = self._leaders(instance)
        if instance is None and names:
            names = [name for name in names if self._pair.is_master(name)]
            if not names:
                raise UnavailableError("this director is not master: there is nothing to hand over")
        leads = any(self._pair.is_master(name) for name in names)
        known = "" if self._standby is None or not leads else await self._standby.permit(force=force)
        for name in names:
            emit("vrrp.failover", instance=name, interface=self._config.vrrp[name].interface, by=by)
            answer = await self._pair.failover(name, self._patience(name) if wait is None else wait)
            if not answer.ok:
                # Without fields it was refused at once.
                kind = TimeoutError if answer.fields else UnavailableError
                raise kind(f"{name}: {answer.why}")
        return [replace(view, known=known) for view in await self.vrrp()]

    def _patience(self, name: str) -> float:
        """What a peer needs at most: its master-down interval, should it not hear that this node resigns.

        For longer nobody would have the addresses where there is no peer.
        """
        group = self._config.vrrp[name].group
        members = [v for v in self._config.vrrp.values() if v.name == name or (group and v.group == group)]
        return WITNESSES + 4 * max(v.interval for v in members)

    async def hold(self, instance: str | None, *, by: str) -> list[views.VrrpView]:
        """Keep an instance (None: all) from being master until it is released."""
        for name in self._instances(instance):
            _accepted(name, await self._pair.hold(name, f"held by {by}"))
            emit("vrrp.held", instance=name, interface=self._config.vrrp[name].interface, by=by)
        return await self.vrrp()

    async def release(self, instance: str | None, *, by: str) -> list[views.VrrpView]:
        """Let an instance (None: all) be master again."""
        for name in self._instances(instance):
            _accepted(name, await self._pair.release(name))
            emit("vrrp.released", instance=name, interface=self._config.vrrp[name].interface, by=by)
        return await self.vrrp()

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _config(self) -> Config:
        return self._director.config

    def _refs(self) -> list[ServerRef]:
        return [
            ServerRef(name, s.name, s.address, s.port)
            for name, service in self._config.services.items()
            for s in (*service.servers, *service.fallback)
        ]

    def _check_wholly(self, target: str, doomed: list[Override], meant: list[ServerRef]) -> None:
        """Taking back part of what one override covers is refused: the rest would change unseen."""
        for o in doomed:
            covered = [r for r in self._refs() if o.selector.matches(r.service, r.name, r.address, r.port)]
            if not {*covered} <= {*meant}:
                raise InputError(
                    f"{target} is only a part of what `{o.kind.value} {o.selector}` covers: "
                    f"take back {o.selector} as a whole"
                )

    async def _after(self, target: str) -> list[views.ServerView]:
        """The servers of a target once the kernel has what was just recorded."""
        try:
            return await self._shown(target)
        except KernelError as error:
            # Not done, but nothing that would have to be said again: the peer has been told as well.
            raise KernelError(f"recorded, and done here when the kernel answers again: {error}") from error

    async def _shown(self, target: str) -> list[views.ServerView]:
        meant = {(r.service, str(r.address), r.port) for r in resolve(target, self._refs())}
        names = {service for service, _, _ in meant}
        await self._refresh(names)
        servers = await self._servers(names)
        return [s for s in servers if (s.service, s.address, s.port) in meant]

    async def _refresh(self, names: Collection[str] | None) -> None:
        services = self._config.services
        keys = [services[n].key for n in (services if names is None else names)]
        await self._reconciler.looked(keys)

    async def _services(self) -> list[views.ServiceView]:
        shown = []
        for name, service in self._chosen(None):
            shown.append(self._service(name, service, self._reconciler.observed))
            await _breathe(len(shown))
        return shown

    def _service(self, name: str, service: ServiceConfig, observed: Observed) -> views.ServiceView:
        there = observed.services.get(service.key)
        now = self._director.standing(name)
        states = there.servers.values() if there else ()
        return views.ServiceView(
            name=name,
            key=str(service.key),
            mode=service.mode.value,
            scheduler=service.scheduler,
            state=now.word.value,
            in_service=now.in_service,
            healthy=now.healthy,
            servers=now.servers,
            active=sum(s.active for s in states),
            inactive=sum(s.inactive for s in states),
            counters=there.counters if there else Counters(),
        )

    async def _servers(self, names: Collection[str] | None = None) -> list[views.ServerView]:
        shown: list[views.ServerView] = []
        for number, (name, service) in enumerate(self._chosen(names)):
            there = self._reconciler.observed.services.get(service.key)
            shown += [self._server(service, p, there) for p in self._director.places(name)]
            await _breathe(number)
        return shown

    def _chosen(self, names: Collection[str] | None) -> list[tuple[str, ServiceConfig]]:
        """The services of one configuration: a reload in the middle of an answer changes nothing in it."""
        config = self._config
        return [(n, s) for n, s in config.services.items() if names is None or n in names]

    def _server(self, service: ServiceConfig, p: Placement, there: ServiceState | None) -> views.ServerView:
        config = p.config
        held = there.servers.get(config.key) if there else None
        state = held or ServerState(config.server)
        return views.ServerView(
            service=service.name,
            name=config.name,
            address=str(config.address),
            port=config.port,
            mode=config.mode.value,
            weight=config.weight,
            weight_now=held.server.weight if held else None,
            state=_state(config, p),
            detail=p.health.detail or p.why,
            since=p.health.since or None,
            override=_override(p.override) if p.override else None,
            fallback=p.fallback,
            active=state.active,
            inactive=state.inactive,
            persistent=state.persistent,
            counters=state.counters,
        )

    def _warnings(self) -> tuple[str, ...]:
        quiet = (Word.OK, Word.CHECKING)
        stands = [f"service {n} is {w.value}" for n, w in self._director.words.items() if w not in quiet]
        failed = [f"step refused: {f.error}" for f in self._reconciler.failures]
        speaker = self._pair.instances and not self._pair.link.connected
        silent = ["the speaker does not answer"] if speaker else []
        kernel = [f"the kernel does not answer: {self._table.trouble}"] if self._table.trouble else []
        return (*kernel, *stands, *failed, *silent, *self._pair.warnings(), *self._peers.warnings())

    def _instances(self, instance: str | None) -> list[str]:
        names = list(self._config.vrrp)
        if instance is None:
            return names
        if instance not in names:
            raise unknown("VRRP instance", instance, names)
        return [instance]

    def _leaders(self, instance: str | None) -> list[str]:
        """One instance of each group: handing over one hands over all of the group."""
        chosen: dict[str, str] = {}
        for name in self._instances(instance):
            chosen.setdefault(self._config.vrrp[name].group or f"instance {name}", name)
        return list(chosen.values())


async def _breathe(number: int) -> None:
    """Let other tasks run now and then: a thousand services are not to hold up the event loop."""
    if number % SLICE == 0:
        await asyncio.sleep(0)


def _accepted(name: str, answer: Any) -> None:
    if not answer.ok:
        raise InputError(f"{name}: {answer.why}")


def _state(config: ServerConfig, p: Placement) -> str:
    if p.health.state is State.UNKNOWN:
        return "unknown"
    if config.check is not None and p.health.streak:
        return "checking"
    word: str = p.health.state.value
    return word


def _set_aside(override: views.OverrideView | None) -> bool:
    return override is not None and override.kind in ("drain", "disable")


def _override(o: Override) -> views.OverrideView:
    return views.OverrideView(str(o.selector), o.kind.value, o.weight, o.reason, o.by, o.since, o.until)
