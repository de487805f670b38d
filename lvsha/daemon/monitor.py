"""Probes every target on its schedule and hands on what came back.

One task a target. A probe starts `interval` after the previous one started, or
`fast_interval` while a verdict is in the making, so that a server is judged within
`fall` x `interval`. Jitter only ever shortens a pause, so that this bound holds; it keeps a
thousand checks that began together from staying together. The first probes of a set are
spread a little for the same reason, but never by more than an interval.

Where there are more probes than the processor has time for they wait for each other (`pace`), and the bound
is that much longer.

The monitor owns the schedule and the deadline, a probe owns its conversation, and the verdict
(`lvsha.health`) belongs to the caller.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable

import checks
from lvsha.daemon.pace import Pace
from lvsha.desired import Target
from lvsha.health import Health
from lvsha.log import emit

Report = Callable[[Target, checks.Outcome], Health]
"""Takes a result and answers with the health that follows from it."""

Probe = Callable[[Target], Awaitable[checks.Outcome]]

SPREAD = 0.002
"""Seconds between the first probes of a set, on average."""


async def probe(target: Target) -> checks.Outcome:
    """One probe of a target, within the time its check allows."""
    check = target.check
    return await checks.run(check.check, str(target.address), target.port, timeout=check.timeout)


class Monitor:
    """The running checks. `follow` may be called at any time with the set that is wanted."""

    def __init__(self, report: Report, *, probe: Probe = probe, dice: random.Random | None = None) -> None:
        self._report = report
        self._probe = probe
        self._dice = dice or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._pace = Pace()

    @property
    def targets(self) -> frozenset[Target]:
        """What is being probed."""
        return frozenset(self._tasks)

    async def run(self, targets: Iterable[Target]) -> None:
        """Probe `targets` until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self.follow(targets)
            await asyncio.get_running_loop().create_future()

    def follow(self, targets: Iterable[Target]) -> None:
        """Probe exactly `targets` from now on; those that go on are not disturbed."""
        if self._group is None:
            raise RuntimeError("the monitor is not running")
        wanted = frozenset(targets)
        for target in self._tasks.keys() - wanted:
            self._tasks.pop(target).cancel()
        new = wanted - self._tasks.keys()
        for target in new:
            delay = self._dice.random() * min(target.check.interval, SPREAD * len(new))
            name = f"check {target.address}:{target.port}"
            self._tasks[target] = self._group.create_task(self._watch(target, delay), name=name)

    async def _watch(self, target: Target, delay: float) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time() + delay
        while True:
            await asyncio.sleep(begin - loop.time())
            await self._turn(begin, target.check.interval)
            outcome = await self._probe(target)
            health = self._report(target, outcome)
            check = target.check
            pause = check.interval if health.settled else check.fast_interval
            begin = max(begin + pause * (1 - check.jitter * self._dice.random()), loop.time())

    async def _turn(self, due: float, interval: float) -> None:
        """Wait where the machine has no time for another probe yet."""
        loop = asyncio.get_running_loop()
        at = self._pace.admit(loop.time(), checks.lag().recent)
        if at > loop.time():
            await asyncio.sleep(at - loop.time())
        now = loop.time()
        match self._pace.began(now, now - due, interval):
            case True:
                emit("checks.late", seconds=round(now - due, 3), interval=interval, probes=len(self._tasks))
            case False:
                emit("checks.on_time", probes=len(self._tasks))
