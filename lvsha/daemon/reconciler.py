"""Makes the kernel's table what it should be, and keeps it so.

Events only say *look now*: a look reads the kernel, asks what should be there, plans, applies.
There is no second path by which IPVS is written. A look after an event reads just the services
that the event touches; every `period` seconds, at the start and after a failure the whole
table is read, so that whatever somebody else changed is repaired and reported as drift.

Nothing is ever flushed. Before a service is added for the first time it is recorded as owned
(durably), so that a later lvsha may remove what an earlier one added, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lvsha.config import Config
from lvsha.desired import Knowledge, desired, desired_services
from lvsha.errors import KernelError
from lvsha.kernel.ipvs import Failure
from lvsha.log import emit
from lvsha.model import Desired, DesiredService, Observed, ServiceKey, SourceNat
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    SetServer,
    SetService,
    SetSourceNat,
    SetTimeouts,
    StartSync,
    Step,
    StopSync,
    plan,
)

INLINE = 300
"""Servers up to which planning is quick enough to be done in the event loop itself."""
SHOWN = 20
"""Steps that one event spells out; the rest is counted."""
RETRY = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds to the next whole look after the first, second, ... look in a row with a failure."""


class Kernel(Protocol):
    """What the reconciler needs of `lvsha.kernel.ipvs.Ipvs`."""

    async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """The table, or only the named services of it."""

    async def apply(self, steps: Sequence[Step]) -> list[Failure]:
        """Carry out the steps in order and tell which ones the kernel refused."""


class Truth(Protocol):
    """Who knows what is wanted: the director."""

    def wanted(self) -> tuple[Config, Knowledge]:
        """The configuration and what is known, as of now."""

    async def found(self, observed: Observed) -> None:
        """Told of every whole look, before the plan is made: the chance to adopt what is there."""

    def own(self, keys: Iterable[ServiceKey]) -> None:
        """Record durably that these services are lvsha's."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look did."""

    steps: tuple[Step, ...]
    failures: tuple[Failure, ...]
    whole: bool
    drift: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Thought:
    """What is wanted, the steps that lead there, and which of them (by number) repair drift."""

    wanted: Desired
    steps: tuple[Step, ...]
    drift: frozenset[int]


class Reconciler:
    """The loop around `plan`. Others call `look`; nobody else writes IPVS."""

    def __init__(self, kernel: Kernel, truth: Truth, period: float) -> None:
        self.period = period
        self.observed = Observed()
        """The table as of the last look, for views."""
        self.failures: tuple[Failure, ...] = ()
        """What the kernel refused at the latest whole look."""
        self._kernel = kernel
        self._truth = truth
        self._wake = asyncio.Event()
        self._dirty: set[ServiceKey] = set()
        self._whole = True
        self._settled: dict[ServiceKey, DesiredService] = {}
        self._source_nat: frozenset[SourceNat] | None = None
        """Settled, as far as it is known."""
        self._failed = 0
        self._last = Look((), (), whole=False)
        self._error: KernelError | None = None
        self._looking = False
        self._done = 0
        self._ended = asyncio.Condition()
        self._table = asyncio.Lock()
        """Held while the kernel is talked to: one conversation at a time."""

    def look(self, keys: Iterable[ServiceKey] | None = None) -> None:
        """Look soon: at the named services, or at everything."""
        if keys is None:
            self._whole = True
        else:
            self._dirty.update(keys)
        self._wake.set()

    async def looked(self, keys: Iterable[ServiceKey] | None = None) -> Look:
        """Look now; the first look that began after this call, once it has ended.

        Raises KernelError when that look could not be done.
        """
        target = self._done + (2 if self._looking else 1)
        self.look(keys)
        async with self._ended:
            await self._ended.wait_for(lambda: self._done >= target)
        if self._error is not None:
            raise self._error
        return self._last

    async def run(self) -> None:
        """Look for ever: at once, at every call of `look`, and every `period` seconds."""
        while True:
            try:
                await self.once()
            except KernelError as error:
                emit("reconcile.failed", error=str(error))
            await self._pause()

    async def once(self) -> Look:
        """One look at whatever is due. Raises KernelError when the kernel cannot be asked."""
        whole, keys = self._whole, frozenset(self._dirty)
        self._whole = False
        self._dirty.clear()
        self._wake.clear()
        self._looking = True
        try:
            async with self._table:
                self._last = await (self._look_at_all() if whole else self._look_at(keys))
            # Not before: who waited for the look before this one may not have read how that ended.
            self._error = None
            self._failed = self._failed + 1 if self._last.failures else 0
        except KernelError as error:
            # What was to be looked at is not known any more: the next look is at everything.
            self._error, self._whole = error, True
            self._failed += 1
            raise
        finally:
            self._looking = False
            self._done += 1
            async with self._ended:
                self._ended.notify_all()
        return self._last

    async def see(self) -> Observed:
        """The whole table as it is now; does nothing. Raises KernelError."""
        async with self._table:
            return await self._kernel.observe()

    async def preview(self) -> list[Step]:
        """What a whole look would do now; does nothing."""
        observed = await self.see()
        config, known = self._truth.wanted()
        return list((await self._think(config, lambda: desired(config, known), observed)).steps)

    async def _pause(self) -> None:
        wait = self.period
        if self._failed:
            wait = min(wait, RETRY[min(self._failed, len(RETRY)) - 1])
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            self._whole = True

    async def _look_at_all(self) -> Look:
        observed = await self._kernel.observe()
        await self._truth.found(observed)
        config, known = self._truth.wanted()
        thought = await self._think(config, lambda: desired(config, known), observed)
        look = await self._carry_out(thought, whole=True)
        self.failures = look.failures
        self.observed = await self._kernel.observe() if look.steps else observed
        return look

    async def _look_at(self, keys: frozenset[ServiceKey]) -> Look:
        config, known = self._truth.wanted()
        observed = await self._kernel.observe(keys)
        # A key that is no longer wanted is a removal; only a whole look may decide that.
        thought = await self._think(
            config, lambda: Desired(services=desired_services(config, known, keys)), observed
        )
        look = await self._carry_out(thought, whole=False)
        self.observed = _merge(self.observed, await self._kernel.observe(keys) if look.steps else observed)
        return look

    async def _think(self, config: Config, wish: Callable[[], Desired], observed: Observed) -> Thought:
        """Work out what is to be done; for a large configuration in a thread.

        Everything that is read is frozen, or changed only under the lock that is held here.
        """

        def think() -> Thought:
            wanted = wish()
            steps = tuple(plan(wanted, observed))
            return Thought(
                wanted, steps, frozenset(n for n, s in enumerate(steps) if self._is_drift(s, wanted))
            )

        size = sum(len(s.servers) for s in config.services.values())
        return think() if size <= INLINE else await asyncio.to_thread(think)

    async def _carry_out(self, thought: Thought, *, whole: bool) -> Look:
        steps = thought.steps
        if new := [s.key for s in steps if isinstance(s, AddService)]:
            self._truth.own(new)
        failures = tuple(await self._kernel.apply(steps)) if steps else ()
        self._settle(thought.wanted, failures, whole=whole)
        _tell(thought, failures)
        if any(f.error.drift for f in failures):
            self.look()
        return Look(steps, failures, whole, tuple(steps[n] for n in sorted(thought.drift)))

    def _is_drift(self, step: Step, wanted: Desired) -> bool:
        """Whether a step repairs what nobody here asked to be different."""
        match step:
            case SetTimeouts() | StartSync() | StopSync():
                return bool(self._settled)
            case SetSourceNat():
                return self._source_nat is not None and self._source_nat == wanted.source_nat
            case DeleteService(key):
                return bool(self._settled) and key not in self._settled
        touched = service_of(step)
        return (
            touched is not None
            and touched in self._settled
            and self._settled[touched] == wanted.services.get(touched)
        )

    def _settle(self, wanted: Desired, failures: Sequence[Failure], *, whole: bool) -> None:
        if whole:
            self._settled.clear()
            self._source_nat = wanted.source_nat
        self._settled.update(wanted.services)
        for failure in failures:
            if (touched := service_of(failure.step)) is not None:
                self._settled.pop(touched, None)
            elif isinstance(failure.step, SetSourceNat):
                self._source_nat = None


def service_of(step: Step) -> ServiceKey | None:
    """The service that a step is about, None for the steps that are about none."""
    match step:
        case AddService(key) | SetService(key) | DeleteService(key):
            return key
        case AddServer(service) | SetServer(service) | DeleteServer(service):
            return service
        case SetTimeouts() | StartSync() | StopSync() | SetSourceNat():
            return None


def _merge(old: Observed, part: Observed) -> Observed:
    return replace(old, services={**old.services, **part.services})


def _tell(thought: Thought, failures: Sequence[Failure]) -> None:
    for failure in failures[:SHOWN]:
        emit("step.failed", step=str(failure.step), error=str(failure.error))
    refused = {id(f.step) for f in failures}
    done = [(n in thought.drift, s) for n, s in enumerate(thought.steps) if id(s) not in refused]
    repaired = [s for drift, s in done if drift]
    if repaired:
        emit("drift.repaired", steps=[str(s) for s in repaired[:SHOWN]], count=len(repaired))
    own = [s for drift, s in done if not drift]
    for step in own[:SHOWN]:
        emit("step.applied", step=str(step))
    if len(own) > SHOWN:
        emit("step.applied", step=f"... and {len(own) - SHOWN} more like these")
