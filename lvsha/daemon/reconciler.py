"""Makes the kernel's table what it should be, and keeps it so.

Events only say *look now*: a look reads the kernel, asks what should be there, plans, applies.
There is no second path by which IPVS is written. A look after an event reads just the services
that the event touches; every `period` seconds, at the start and after a failure the whole
table is read, so that whatever somebody else changed is repaired and reported as drift.

Nothing is ever flushed. A service of the configuration is recorded as owned (durably) before
anything is done to it, so that it is removed when it leaves the configuration, also by a later
lvsha. Ownership ends with the service: what an operator adds afterwards under the same address is the
operator's. It is the same with the roles of the sync daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lvsha.config import Config
from lvsha.daemon.account import Account
from lvsha.desired import Knowledge, desired, desired_services
from lvsha.errors import KernelError
from lvsha.kernel.ipvs import Failure
from lvsha.model import Desired, Observed, Owned, ServiceKey
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
    plan,
)

INLINE = 300
"""Servers up to which planning is quick enough to be done in the event loop itself."""
RETRY = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds to the next whole look after the first, second, ... look in a row with a failure."""

Part = ServiceKey | type[Step]
"""What a step is about: one service, or the one thing of its kind."""


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

    def own(self, more: Owned) -> None:
        """Record, durably if it can be, that this is lvsha's."""

    def disown(self, *, but: Owned) -> None:
        """Forget that anything else is lvsha's: it is gone, and not wanted."""


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
        self._settled: dict[Part, object] = {}
        """What was wanted of each part when it was last reached; None: it was not."""
        self._account = Account()
        self._failed = 0
        self._due = 0.0
        """When the next whole look is due, in the event loop's seconds."""
        self._next: asyncio.Future[Look] | None = None
        """The look that has yet to begin, where somebody waits for it."""
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
        self.look(keys)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        # Who gives up waiting takes the answer from nobody else.
        return await asyncio.shield(self._next)

    async def run(self) -> None:
        """Look for ever: at once, at every call of `look`, and every `period` seconds."""
        while True:
            try:
                await self.once()
            except KernelError as error:
                self._account.give_up(str(error))
            await self._pause()

    async def once(self) -> Look:
        """One look at whatever is due. Raises KernelError when the kernel cannot be asked."""
        whole, keys = self._whole, frozenset(self._dirty)
        asked, self._next = self._next, None
        self._whole = False
        self._dirty.clear()
        self._wake.clear()
        try:
            async with self._table:
                look = await (self._look_at_all() if whole else self._look_at(keys))
        except BaseException as error:
            # What was to be looked at is not known any more: the next look is at everything.
            self._whole = True
            self._schedule(failed=True)
            _refuse(asked, error)
            raise
        if whole or look.failures:
            self._schedule(failed=bool(look.failures))
        if asked is not None:
            asked.set_result(look)
        return look

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
        try:
            async with asyncio.timeout_at(self._due):
                await self._wake.wait()
        except TimeoutError:
            self._whole = True
        # Events that keep coming put no whole look off.
        self._whole |= asyncio.get_running_loop().time() >= self._due

    def _schedule(self, *, failed: bool) -> None:
        """When the next whole look is due, after a whole one or one with a failure."""
        self._failed = self._failed + 1 if failed else 0
        wait = self.period
        if self._failed:
            wait = min(wait, RETRY[min(self._failed, len(RETRY)) - 1])
        self._due = asyncio.get_running_loop().time() + wait

    async def _look_at_all(self) -> Look:
        observed = await self._kernel.observe()
        await self._truth.found(observed)
        config, known = self._truth.wanted()
        thought = await self._think(config, lambda: desired(config, known), observed)
        look = await self._carry_out(thought, whole=True)
        self.failures = look.failures
        self.observed = await self._kernel.observe() if look.steps else observed
        self._truth.disown(but=_named(thought.wanted) | _named(self.observed))
        return look

    async def _look_at(self, keys: frozenset[ServiceKey]) -> Look:
        config, known = self._truth.wanted()
        observed = await self._kernel.observe(keys)
        # A key that is no longer wanted is a removal; only a whole look may decide that.
        thought = await self._think(
            config, lambda: Desired(services=desired_services(config, known, keys)), observed
        )
        look = await self._carry_out(thought, whole=False)
        part = await self._kernel.observe(keys) if look.steps else observed
        rest = {key: there for key, there in self.observed.services.items() if key not in keys}
        self.observed = replace(self.observed, services={**rest, **part.services})
        return look

    async def _think(self, config: Config, wish: Callable[[], Desired], observed: Observed) -> Thought:
        """Work out what is to be done; for a large configuration in a thread.

        Everything that is read is frozen, or changed only under the lock that is held here.
        """

        def think() -> Thought:
            wanted = wish()
            steps = tuple(plan(wanted, observed))
            parts = _parts(wanted)
            return Thought(
                wanted, steps, frozenset(n for n, s in enumerate(steps) if self._is_drift(s, parts))
            )

        size = sum(len(s.servers) for s in config.services.values())
        return think() if size <= INLINE else await asyncio.to_thread(think)

    async def _carry_out(self, thought: Thought, *, whole: bool) -> Look:
        steps = thought.steps
        self._truth.own(_named(thought.wanted))
        failures = tuple(await self._kernel.apply(steps)) if steps else ()
        self._settle(thought.wanted, failures, whole=whole)
        self._account.give(steps, thought.drift, failures, whole=whole)
        # Somebody else was at the table: look again at once; where that does not help, in a while.
        if not self._failed and any(f.error.drift for f in failures):
            self.look()
        return Look(steps, failures, whole, tuple(steps[n] for n in sorted(thought.drift)))

    def _is_drift(self, step: Step, wanted: Mapping[Part, object]) -> bool:
        """Whether a step repairs what nobody here asked to be different."""
        part = part_of(step)
        if isinstance(step, DeleteService):
            return bool(self._settled) and part not in self._settled
        return part in self._settled and self._settled[part] == wanted.get(part)

    def _settle(self, wanted: Desired, failures: Sequence[Failure], *, whole: bool) -> None:
        if whole:
            self._settled = _parts(wanted)
        else:
            self._settled.update(wanted.services.items())
        self._settled.update(dict.fromkeys((part_of(f.step) for f in failures), None))


def part_of(step: Step) -> Part:
    """What a step is about."""
    match step:
        case AddService(key) | SetService(key) | DeleteService(key):
            return key
        case AddServer(service) | SetServer(service) | DeleteServer(service):
            return service
        case StartSync() | StopSync():
            return StartSync
        case SetTimeouts() | SetSourceNat() | SetAcceptance():
            return type(step)


def _parts(wanted: Desired) -> dict[Part, object]:
    parts: dict[Part, object] = {
        SetTimeouts: wanted.timeouts,
        StartSync: wanted.sync or frozenset(),
        SetSourceNat: wanted.source_nat,
        SetAcceptance: wanted.unaccepted,
    }
    parts.update(wanted.services.items())
    return parts


def _named(there: Desired | Observed) -> Owned:
    """Everything that can be owned."""
    return Owned(frozenset(there.services), frozenset(daemon.key for daemon in there.sync or ()))


def _refuse(asked: asyncio.Future[Look] | None, error: BaseException) -> None:
    """Tell those who wait that the look did not come about."""
    if asked is None:
        return
    if isinstance(error, asyncio.CancelledError):
        asked.cancel()
    else:
        asked.set_exception(error)
