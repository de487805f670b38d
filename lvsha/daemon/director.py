"""The live state of one director, and the only place that changes it.

Four things can change: the configuration (reload), verdicts (a probe came back), overrides (an
operator spoke, here or to another director, or a time ran out) and what is owned in the kernel.
Each change is recorded first (on disk where it has to survive), told as an event, and followed by
a look at the services it touches. What follows from the state is computed by `lvsha.desired`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import checks
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon.memory import Memory
from lvsha.desired import Knowledge, Placement, Target, place, target_of
from lvsha.errors import StateError
from lvsha.health import Health, State
from lvsha.log import emit
from lvsha.model import Observed, Owned, ServerKey, ServiceKey
from lvsha.overrides import Override, Overrides, changes
from lvsha.standing import Standing, Word, standing

Users = Mapping[Target, list[tuple[ServiceConfig, ServerConfig]]]

SLICE = 20
"""Servers that are gone through at a stretch."""


class Look(Protocol):
    """How the reconciler is asked to look."""

    def __call__(self, keys: Iterable[ServiceKey] | None = None) -> None:
        """Look at the named services, or at everything."""


class Director:
    """Configuration, verdicts, overrides and ownership."""

    def __init__(
        self, config: Config, memory: Memory, *, look: Look, clock: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self.generation = 1
        self.loaded_at = clock()
        self.overrides: Overrides = memory.overrides()
        self.health: dict[Target, Health] = {}
        self._memory = memory
        self._owned: Owned = memory.owned()
        self._recorded = self._owned
        """What of it is on disk."""
        self._adopted: dict[tuple[ServiceKey, ServerKey], int] = {}
        self._adopting = True
        self._look = look
        self._clock = clock
        self._users = users_of(config)
        self.words: dict[str, Word] = {}
        """What was last said of each service."""
        self._unsaid: set[str] = set()
        self._more_to_say = asyncio.Event()
        self._unjudged: set[Target | None] = set(self._users)
        self._all_judged = asyncio.Event()
        self._overrides_changed = asyncio.Event()
        self._note_judged(None)

    # --- what the reconciler asks -------------------------------------------------------------

    def wanted(self) -> tuple[Config, Knowledge]:
        """The configuration and what is known, frozen as of now."""
        known = self._known()
        return self.config, replace(known, health=dict(self.health), adopted=dict(self._adopted))

    def _known(self) -> Knowledge:
        """What is known, live: for a question that is answered before anything can change."""
        return Knowledge(self.health, self.overrides, self._adopted, self._owned)

    async def found(self, observed: Observed) -> None:
        """Adopt what the table holds, once after the start and once after each reload."""
        if not self._adopting:
            return
        self._adopting = False
        self._adopted = await asyncio.to_thread(_weights, observed)
        if self._adopted:
            emit("kernel.adopted", services=len(observed.services), servers=len(self._adopted))
        self._tell_standing(self.config.services)

    @property
    def owns(self) -> bool:
        """Whether something in the kernel's IPVS may be lvsha's."""
        return bool(self._owned)

    def own(self, more: Owned) -> None:
        """Record that this is lvsha's, before anything is done to it."""
        self._own(self._owned | more)

    def disown(self, *, but: Owned) -> None:
        """Forget everything else: it is neither wanted nor there."""
        self._own(self._owned & but)

    def _own(self, owned: Owned) -> None:
        """Where it cannot be recorded it is known until the next start, and tried again at the next look.

        A service that is left over one day does less harm than one that is not served now.
        """
        self._owned = owned
        if owned != self._recorded:
            with contextlib.suppress(StateError):
                self._memory.keep_owned(owned)
                self._recorded = owned

    # --- what changes the state ---------------------------------------------------------------

    @property
    def targets(self) -> frozenset[Target]:
        """What has to be probed."""
        return frozenset(self._users)

    async def all_judged(self) -> None:
        """Return once every target has had its first verdict."""
        await self._all_judged.wait()

    async def overrides_changed(self) -> None:
        """Return at the next change of the overrides."""
        await self._overrides_changed.wait()

    def report(self, target: Target, outcome: checks.Outcome) -> Health:
        """Take one probe's result; a changed verdict is told and looked at."""
        before = self.health.get(target, Health())
        check = target.check
        after = before.observe(
            outcome.ok, outcome.detail, rise=check.rise, fall=check.fall, now=self._clock()
        )
        if target not in self._users:
            # A reload took it away while it was probed; should it come back, it starts anew.
            return after
        self.health[target] = after
        if after.state is not before.state:
            self._note_judged(target)
            users = self._users[target]
            self._look({service.key for service, _ in users})
            for service, server in users:
                _tell_verdict(service, server, before, after)
            self._tell_standing({service.name for service, _ in users})
        return after

    def override(self, override: Override) -> None:
        """Put something that an operator said in force."""
        self._keep(
            self.overrides.put(override, node=self.config.node.name),
            lambda: self._tell_override("override.set", override, expires=override.until),
        )

    def clear(self, doomed: Iterable[Override], *, by: str) -> None:
        """Take back what an operator said."""
        doomed = tuple(doomed)
        left = self.overrides.remove(doomed, now=self._clock(), node=self.config.node.name)
        self._keep(left, lambda: self._tell_ended("override.cleared", (replace(o, by=by) for o in doomed)))

    def expire(self) -> float | None:
        """Drop overrides whose time has passed; when the next one ends, seconds since the epoch."""
        now = self._clock()
        left, gone = self.overrides.expire(now)
        left = left.prune(now)
        if left != self.overrides:
            # What cannot be written ends all the same: the file tells every reader when it does.
            with contextlib.suppress(StateError):
                self._memory.keep_overrides(left)
            self._take(left, lambda: self._tell_ended("override.expired", gone))
        return self.overrides.next_expiry()

    def merge(self, overrides: Overrides, *, by: str) -> None:
        """Take over what operators said to another director, on disk first. Raises StateError."""
        self.expire()
        now = self._clock()
        # What has ended there before it was heard of here was never in force here, and is not told.
        merged, _ = self.overrides.merge(overrides).expire(now)
        merged = merged.prune(now)
        if merged == self.overrides:
            return
        changed = changes(self.overrides, merged)
        self._keep(merged, lambda: _tell_synced(changed, by))

    async def reconfigure(self, config: Config) -> None:
        """Take a new configuration; verdicts of checks that are unchanged stay."""
        # A large configuration takes its time; nothing in it changes any more, so a thread may work it out.
        users = await asyncio.to_thread(users_of, config)
        gone = await asyncio.to_thread(lambda: self._users.keys() - users.keys())
        self.config = config
        self.generation += 1
        self.loaded_at = self._clock()
        self._users = users
        for target in gone:
            self.health.pop(target, None)
        if not self._all_judged.is_set():
            self._unjudged = {
                t for t in users if t not in self.health or self.health[t].state is State.UNKNOWN
            }
            self._note_judged(None)
        self.words = {name: word for name, word in self.words.items() if name in config.services}
        self._adopting = True
        self._look()

    def servers_of(self, override: Override) -> list[tuple[ServiceConfig, ServerConfig]]:
        """The servers that an override touches, with their services."""
        return [
            (service, s)
            for name, service in self.config.services.items()
            for s in (*service.servers, *service.fallback)
            if override.selector.matches(name, s.name, s.address, s.port)
        ]

    def places(self, name: str) -> tuple[Placement, ...]:
        """Where the servers of one service stand now; none where a reload has just removed it."""
        if name not in self.config.services:
            return ()
        return place(name, self.config.services[name], self._known())

    def in_service(self, name: str) -> int | None:
        """How many servers of a service take new connections; None while verdicts are to come."""
        places = self.places(name)
        return None if _undecided(places) else standing(places).in_service

    def standing(self, name: str) -> Standing:
        """How one service stands now."""
        return standing(self.places(name))

    def _note_judged(self, target: Target | None) -> None:
        self._unjudged.discard(target)
        if not self._unjudged:
            self._all_judged.set()

    def _keep(self, overrides: Overrides, tell: Callable[[], None]) -> None:
        self._memory.keep_overrides(overrides)
        self._take(overrides, tell)

    def _take(self, overrides: Overrides, tell: Callable[[], None]) -> None:
        touched = {*self.overrides.entries} ^ {*overrides.entries}
        self.overrides = overrides
        names = self._services_of(touched)
        self._look({self.config.services[name].key for name in names})
        # The cause is told before its effect.
        tell()
        self._tell_standing(names)
        self._overrides_changed.set()
        self._overrides_changed = asyncio.Event()

    def _services_of(self, overrides: Collection[Override]) -> set[str]:
        """The services that these touch; for many (all of another director's) every one: sooner told."""
        if len(overrides) > SLICE:
            return {*self.config.services}
        return {service.name for o in overrides for service, _ in self.servers_of(o)}

    def _tell_override(self, event: str, o: Override, **more: Any) -> None:
        said: dict[str, Any] = {"kind": o.kind.value, "weight": o.weight, "reason": o.reason, "by": o.by}
        emit(event, target=str(o.selector), servers=len(self.servers_of(o)), **said, **more)

    def _tell_ended(self, event: str, overrides: Iterable[Override]) -> None:
        for o in overrides:
            self._tell_override(event, o)

    def _tell_standing(self, names: Collection[str]) -> None:
        """At once where it is soon worked out; else by `run`, service by service.

        Of a service that loses hundreds of servers at one moment it is worked out once how it stands, and one
        server in a thousand services does not hold up everything else.
        """
        services = [self.config.services[name] for name in names]
        if sum(len(s.servers) + len(s.fallback) for s in services) > SLICE:
            self._unsaid.update(names)
            self._more_to_say.set()
            return
        for name in names:
            self._say_standing(name)

    def _say_standing(self, name: str) -> None:
        places = self.places(name)
        now, before = standing(places), self.words.get(name, Word.CHECKING)
        if now.word is Word.OK and before is Word.CHECKING and _undecided(places):
            return
        self.words[name] = now.word
        if now.word is not before:
            _tell_word(self.config.services[name], now, before)

    async def run(self) -> None:
        """Say what is left to say, for ever."""
        while True:
            await self._more_to_say.wait()
            self._more_to_say.clear()
            while self._unsaid:
                name = self._unsaid.pop()
                if name in self.config.services:
                    self._say_standing(name)
                await asyncio.sleep(0)


def _server_fields(service: ServiceConfig, server: ServerConfig) -> dict[str, Any]:
    return {
        "service": service.name,
        "server": server.name,
        "address": server.address,
        "port": server.port,
    }


def _tell_synced(changed: list[str], by: str) -> None:
    if changed:
        more = [f"and {len(changed) - SLICE} more"] if len(changed) > SLICE else []
        emit("override.synced", peer=by, changed=changed[:SLICE] + more)


def _tell_verdict(service: ServiceConfig, server: ServerConfig, before: Health, after: Health) -> None:
    emit(
        "server.up" if after.state is State.UP else "server.down",
        **_server_fields(service, server),
        before=before.state.value,
        detail=after.detail,
        # The clock may have been set back.
        seconds=max(0.0, round(after.since - before.since, 3)) if before.state is not State.UNKNOWN else None,
    )


EVENTS = {
    Word.OK: "service.ok",
    Word.DEGRADED: "service.degraded",
    Word.FAIL_OPEN: "service.fail_open",
    Word.FALLBACK: "service.fallback",
    Word.DOWN: "service.down",
}


def _tell_word(service: ServiceConfig, now: Standing, before: Word) -> None:
    fields: dict[str, Any] = {
        "service": service.name,
        "in_service": now.in_service,
        "servers": now.servers,
        "floor": service.floor,
    }
    if before is Word.FALLBACK:
        emit("service.fallback", active=False, **fields)
    if now.word is Word.FALLBACK:
        fields["active"] = True
    if now.word is not Word.CHECKING:
        emit(EVENTS[now.word], **fields)


def _undecided(places: Iterable[Placement]) -> bool:
    """Whether some verdict is still to come, which may make less of the service than it seems."""
    return any(p.health.state is State.UNKNOWN for p in places if not p.fallback)


def _weights(observed: Observed) -> dict[tuple[ServiceKey, ServerKey], int]:
    return {
        (key, server): state.server.weight
        for key, there in observed.services.items()
        for server, state in there.servers.items()
    }


def users_of(config: Config) -> Users:
    """Which servers of which services each target judges."""
    users: dict[Target, list[tuple[ServiceConfig, ServerConfig]]] = defaultdict(list)
    for service in config.services.values():
        for server in (*service.servers, *service.fallback):
            if (target := target_of(server)) is not None:
                users[target].append((service, server))
    return dict(users)
