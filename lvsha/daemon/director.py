"""The live state of one director, and the only place that changes it.

Four things can change: the configuration (reload), verdicts (a probe came back), overrides (an
operator spoke, or a time ran out) and what is owned in the kernel. Each change is recorded
first (on disk where it has to survive), told as an event, and followed by a look at the
services it touches. What follows from the state is computed by `lvsha.desired`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

import checks
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon.memory import Memory
from lvsha.desired import Knowledge, Target, target_of
from lvsha.health import Health, State
from lvsha.log import emit
from lvsha.model import Observed, ServerKey, ServiceKey
from lvsha.overrides import Override, Overrides


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
        self._owned: frozenset[ServiceKey] = memory.owned()
        self._adopted: dict[tuple[ServiceKey, ServerKey], int] = {}
        self._adopting = True
        self._look = look
        self._clock = clock
        self._users = _users(config)

    # --- what the reconciler asks -------------------------------------------------------------

    def wanted(self) -> tuple[Config, Knowledge]:
        """The configuration and what is known, frozen as of now."""
        return self.config, self.knowledge()

    def knowledge(self) -> Knowledge:
        """What is known, frozen as of now."""
        owned = None if self.config.ipvs.unknown_services == "remove" else self._owned
        return Knowledge(dict(self.health), self.overrides, dict(self._adopted), owned)

    def found(self, observed: Observed) -> None:
        """Adopt what the table holds, once after the start and once after each reload."""
        if not self._adopting:
            return
        self._adopting = False
        self._adopted = {
            (key, server): state.server.weight
            for key, there in observed.services.items()
            for server, state in there.servers.items()
        }
        if self._adopted:
            emit("ipvs.adopted", services=len(observed.services), servers=len(self._adopted))

    def own(self, keys: Iterable[ServiceKey]) -> None:
        """Record that services are lvsha's, before they are added."""
        owned = self._owned | frozenset(keys)
        if owned != self._owned:
            self._memory.keep_owned(owned)
            self._owned = owned

    # --- what changes the state ---------------------------------------------------------------

    @property
    def targets(self) -> frozenset[Target]:
        """What has to be probed."""
        return frozenset(self._users)

    @property
    def judged(self) -> bool:
        """Whether every target has its first verdict."""
        return all(self.health.get(t, Health()).state is not State.UNKNOWN for t in self._users)

    def report(self, target: Target, outcome: checks.Outcome) -> Health:
        """Take one probe's result; a changed verdict is told and looked at."""
        before = self.health.get(target, Health())
        check = target.check
        after = before.observe(
            outcome.ok, outcome.detail, rise=check.rise, fall=check.fall, now=self._clock()
        )
        self.health[target] = after
        if after.state is not before.state:
            self._tell_verdict(target, before, after)
            self._look({service.key for service, _ in self._users.get(target, ())})
        return after

    def override(self, override: Override) -> None:
        """Put something that an operator said in force."""
        self._keep(self.overrides.put(override))
        emit(
            "override.set",
            target=str(override.selector),
            kind=override.kind.value,
            weight=override.weight,
            reason=override.reason,
            by=override.by,
            until=override.until,
        )

    def clear(self, doomed: Iterable[Override], *, by: str) -> None:
        """Take back what an operator said."""
        doomed = tuple(doomed)
        self._keep(self.overrides.remove(doomed))
        for o in doomed:
            emit("override.cleared", target=str(o.selector), kind=o.kind.value, reason=o.reason, by=by)

    def expire(self) -> float | None:
        """Drop overrides whose time has passed; when the next one ends, seconds since the epoch."""
        left, gone = self.overrides.expire(self._clock())
        if gone:
            self._keep(left)
        for o in gone:
            emit("override.expired", target=str(o.selector), kind=o.kind.value, reason=o.reason)
        return self.overrides.next_expiry()

    def reconfigure(self, config: Config) -> None:
        """Take a new configuration; verdicts of checks that are unchanged stay."""
        self.config = config
        self.generation += 1
        self.loaded_at = self._clock()
        self._users = _users(config)
        self.health = {t: h for t, h in self.health.items() if t in self._users}
        self._adopting = True
        self._look()

    def services_of(self, override: Override) -> frozenset[ServiceKey]:
        """The services that an override touches."""
        return frozenset(
            service.key
            for name, service in self.config.services.items()
            for s in (*service.servers, *service.fallback)
            if override.selector.matches(name, s.name, s.address, s.port)
        )

    def _keep(self, overrides: Overrides) -> None:
        self._memory.keep_overrides(overrides)
        touched = {*self.overrides.entries} ^ {*overrides.entries}
        self.overrides = overrides
        self._look({key for o in touched for key in self.services_of(o)})

    def _tell_verdict(self, target: Target, before: Health, after: Health) -> None:
        event = "server.up" if after.state is State.UP else "server.down"
        for service, server in self._users.get(target, ()):
            emit(
                event,
                service=service.name,
                server=server.name,
                address=str(server.key),
                was=before.state.value,
                detail=after.detail,
            )


def _users(config: Config) -> dict[Target, list[tuple[ServiceConfig, ServerConfig]]]:
    users: dict[Target, list[tuple[ServiceConfig, ServerConfig]]] = defaultdict(list)
    for service in config.services.values():
        for server in (*service.servers, *service.fallback):
            if (target := target_of(server)) is not None:
                users[target].append((service, server))
    return dict(users)
