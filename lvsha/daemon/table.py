"""The kernel's IPVS table as the reconciler uses it: opened when it is needed, and again when lost.

A director without services (a pure VRRP pair) needs no IPVS, and a kernel without it is then no
fault. With services it is: the first failure is said once (`kernel.lost`), every look tries
again, and the return is said as well. Nothing is remembered between two connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from lvsha.errors import KernelError
from lvsha.kernel.ipvs import Failure, Ipvs
from lvsha.log import emit
from lvsha.model import Observed, ServiceKey
from lvsha.plan import Step


class Table:
    """Satisfies the reconciler's `Kernel`."""

    def __init__(self, needed: Callable[[], bool]) -> None:
        self._needed = needed
        self._ipvs: Ipvs | None = None
        self._lost: float | None = None
        self.words = "IPVS is not needed"
        """What the kernel says of itself, or why it does not answer."""

    async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """The table, or only the named services of it. Raises KernelError."""
        if self._ipvs is None and not self._needed():
            return Observed()
        try:
            ipvs = self._ipvs or await self._open()
            return await ipvs.observe(keys)
        except KernelError as error:
            self._lose(error)
            raise

    async def apply(self, steps: Sequence[Step]) -> list[Failure]:
        """Carry out steps. Raises KernelError when the kernel cannot be asked at all."""
        try:
            ipvs = self._ipvs or await self._open()
            return await ipvs.apply(steps)
        except KernelError as error:
            self._lose(error)
            raise

    def close(self) -> None:
        """Let go of the socket; the table stays as it is."""
        if self._ipvs is not None:
            self._ipvs.close()
            self._ipvs = None

    async def _open(self) -> Ipvs:
        ipvs = await Ipvs.open()
        info = await ipvs.info()
        self._ipvs = ipvs
        self.words = f"IPVS {info.version}, {info.table_size} buckets"
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
