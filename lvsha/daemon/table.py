"""The kernel's side of the reconciler: the IPVS table, and the firewall's rules beside it.

Opened when needed, and again when lost. A director without services (a pure VRRP pair) needs no IPVS,
and a kernel without it is then no fault. With services it is: the first failure is said once
(`kernel.lost`), every look tries again, and the return is said as well. Nothing is remembered
between two connections. Without services it is still looked for while something of lvsha's own may be
left over in it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Protocol

from lvsha.daemon.acceptance import Acceptance
from lvsha.daemon.source_nat import SourceNatTable
from lvsha.daemon.sync_links import SyncLinks
from lvsha.errors import KernelError
from lvsha.kernel.ipvs import AbsentError, Failure, Info, Ipvs
from lvsha.log import emit
from lvsha.model import Observed, ServiceKey
from lvsha.plan import IpvsStep, SetAcceptance, SetSourceNat, Step


class Kernel(Protocol):
    """What is used of `lvsha.kernel.ipvs.Ipvs`."""

    async def info(self) -> Info:
        """Version and table size."""

    async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """The table, or only the named services of it."""

    async def apply(self, steps: Sequence[IpvsStep]) -> list[Failure]:
        """Carry out the steps in order."""

    def close(self) -> None:
        """Let go of the kernel."""


class Table:
    """Satisfies the reconciler's `Kernel`.

    `needed` says whether services are configured, `fullnat` whether any of them is of that mode, `left`
    whether something of former days is owned, `deaf` whether packets to an address of VRRP are to be dropped;
    `prepare` is called when the kernel's IPVS has been found, before anything is put into it.
    """

    def __init__(
        self,
        needed: Callable[[], bool],
        fullnat: Callable[[], bool] = lambda: False,
        prepare: Callable[[], None] = lambda: None,
        *,
        left: Callable[[], bool] = lambda: False,
        deaf: Callable[[], bool] = lambda: False,
        find: Callable[[], Awaitable[Kernel]] = Ipvs.open,
        sync_links: SyncLinks | None = None,
    ) -> None:
        self._needed = needed
        self._left = left
        self._prepare = prepare
        self._find = find
        self._ipvs: Kernel | None = None
        self._lost: float | None = None
        self._sync_links = sync_links or SyncLinks()
        self.source_nat = SourceNatTable(fullnat)
        self._acceptance = Acceptance(deaf)
        self.words = "IPVS is not needed"
        """What the kernel says of itself, or why it does not answer."""

    @property
    def trouble(self) -> str:
        """Why the kernel does not answer, though it is needed; empty: it does."""
        return "" if self._lost is None or not self._needed() else self.words

    async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """The table, or only the named services of it. Raises KernelError."""
        observed = await self._observe(keys)
        if keys is not None:
            return observed
        return replace(observed, unaccepted=await self._acceptance.observe())

    async def _observe(self, keys: Collection[ServiceKey] | None) -> Observed:
        needed = self._needed()
        if self._ipvs is None and not needed and not self._left():
            return Observed()
        try:
            ipvs = self._ipvs or await self._open()
            observed = await ipvs.observe(keys)
        except KernelError as error:
            if isinstance(error, AbsentError) and not needed:
                return Observed()  # and so nothing is left over
            self._lose(error)
            raise
        if keys is not None:
            return observed
        sync = self._sync_links.seen(observed.sync)
        return replace(observed, sync=sync, source_nat=await self.source_nat.observe())

    async def apply(self, steps: Sequence[Step]) -> list[Failure]:
        """Carry out steps. Raises KernelError when the kernel cannot be asked at all."""
        failures: list[Failure] = []
        for beside, some in groupby(steps, lambda step: isinstance(step, SetSourceNat | SetAcceptance)):
            failures += await (self._apply_beside if beside else self._apply)(list(some))
        return failures

    def close(self) -> None:
        """Let go of the socket; the table stays as it is."""
        if self._ipvs is not None:
            self._ipvs.close()
            self._ipvs = None

    async def _apply(self, steps: Sequence[Step]) -> list[Failure]:
        barred = [f for step in steps if (f := self.source_nat.bars(step)) is not None]
        out = {id(f.step) for f in barred}
        allowed: list[IpvsStep] = [
            s for s in steps if id(s) not in out and not isinstance(s, SetSourceNat | SetAcceptance)
        ]
        try:
            ipvs = self._ipvs or await self._open()
            self._sync_links.starts(allowed)
            return [*barred, *await ipvs.apply(allowed)]
        except KernelError as error:
            self._lose(error)
            raise

    async def _apply_beside(self, steps: Sequence[Step]) -> list[Failure]:
        answers = [await self._apply_rules(step) for step in steps]
        return [failure for failure in answers if failure is not None]

    async def _apply_rules(self, step: Step) -> Failure | None:
        match step:
            case SetSourceNat():
                return await self.source_nat.apply(step)
            case SetAcceptance():
                return await self._acceptance.apply(step)
            case _:
                return None

    async def _open(self) -> Kernel:
        ipvs = self._ipvs = await self._find()
        info = await ipvs.info()
        self.words = f"IPVS {info.version}, {info.table_size} buckets"
        self._prepare()
        if self._lost is None:
            emit("kernel.ready", version=info.version)
        else:
            emit("kernel.back", seconds=round(time.monotonic() - self._lost, 1))
            self._lost = None
        return ipvs

    def _lose(self, error: KernelError) -> None:
        self.close()
        self.words = str(error)
        if self._lost is None:
            self._lost = time.monotonic()
            emit("kernel.lost", error=str(error))
