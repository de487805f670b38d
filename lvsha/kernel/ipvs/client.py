"""The kernel's IPVS table: look at it, and carry out the steps of a plan.

Reading has a cost that grows with the table: the kernel lists services in one dump, but the
servers of each service only by a dump of their own, and runs one dump at a time for a socket.
They are fetched in groups, in the worker thread of the conversation, and unpacked in slices
between which the event loop runs.

Writing goes in batches of up to 128 messages a send, in the order of the plan. The kernel goes on after a
refusal, so that the outcome of a batch is the list of what failed; order is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from lvsha.errors import InputError, KernelError
from lvsha.kernel import genl
from lvsha.kernel.attributes import MalformedError, unpack
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.config import Info, unpack_info, unpack_timeouts
from lvsha.kernel.ipvs.failure import Failure, failure, unfit
from lvsha.kernel.ipvs.requests import command, of_service, request
from lvsha.kernel.ipvs.servers import unpack_server
from lvsha.kernel.ipvs.services import unpack_service
from lvsha.kernel.ipvs.sync import unpack_daemon
from lvsha.kernel.netlink import BATCH, Netlink, RefusedError
from lvsha.model import (
    Observed,
    ServiceKey,
    ServiceState,
    SyncDaemon,
    Timeouts,
)
from lvsha.plan import SetTimeouts, Step

_SLICE = 0.005
"""Seconds of unpacking at a stretch, before other tasks have their turn."""
_GROUP = 32
"""Services whose servers are fetched in one visit to the kernel."""


class Ipvs:
    """IPVS of the network namespace where it was opened."""

    def __init__(self, netlink: Netlink, family: int) -> None:
        self._netlink = netlink
        self._family = family

    @classmethod
    async def open(cls, *, patience: float = 30.0) -> Self:
        """Find IPVS in the kernel; `patience`: seconds that one visit to it may take.

        Raises KernelError, saying what to do, where there is none.
        """
        netlink = Netlink.open(genl.PROTOCOL, timeout=patience)
        try:
            return cls(netlink, await genl.family(netlink, abi.FAMILY))
        except genl.UnknownFamilyError as error:
            netlink.close()
            raise KernelError(
                "the kernel has no IPVS: load it with `modprobe ip_vs`, "
                "and at every boot by a line `ip_vs` in /etc/modules-load.d/ip_vs.conf"
            ) from error
        except BaseException:
            netlink.close()
            raise

    def close(self) -> None:
        """Let go of the kernel; the table stays."""
        self._netlink.close()

    async def info(self) -> Info:
        """Version and table size."""
        return unpack_info(await self._ask(abi.GET_INFO))

    async def timeouts(self) -> Timeouts:
        """The connection timeouts in force."""
        return unpack_timeouts(await self._ask(abi.GET_CONFIG))

    async def set_timeouts(self, timeouts: Timeouts) -> None:
        """Set connection timeouts; 0 leaves one as it is. Raises StepError."""
        for failed in await self.apply([SetTimeouts(timeouts)]):
            raise failed.error

    async def daemons(self) -> frozenset[SyncDaemon]:
        """The running roles of the connection-sync daemon, with the settings the kernel filled in."""
        (answers,) = await self._dump([command(abi.GET_DAEMON)])
        return frozenset(unpack_daemon(nest) for nest in _nests(answers, abi.DAEMON))

    async def zero(self, key: ServiceKey | None = None) -> None:
        """Set the counters of a service and its servers to zero, or all there are."""
        body = command(abi.ZERO) if key is None else of_service(abi.ZERO, key)
        for refusal in (await self._netlink.transact(self._family, [body])).values():
            raise RefusedError(
                f"zero counters of {key or 'everything'}: {refusal}", refusal.errno, refusal.words
            )

    async def observe(self) -> Observed:
        """Everything that the kernel holds, statistics included.

        Not a snapshot: what somebody else changes meanwhile may be seen or not. Raises KernelError.
        """
        services = await self._services()
        pace = _Pace()
        keys = list(services)
        for start in range(0, len(keys), _GROUP):
            group = keys[start : start + _GROUP]
            dumps = await self._dump([of_service(abi.GET_DEST, key) for key in group])
            for key, answers in zip(group, dumps, strict=True):
                servers = {}
                for nest in _nests(answers, abi.DEST):
                    name, state = unpack_server(nest, key.family)
                    servers[name] = state
                    await pace.breathe()
                if servers:
                    services[key] = replace(services[key], servers=servers)
        return Observed(services, await self.timeouts(), await self.daemons())

    async def apply(self, steps: Sequence[Step]) -> list[Failure]:
        """Carry out steps in order and return those that the kernel refused; a refusal stops nothing.

        Raises KernelError where the outcome of some steps is not known: look again.
        """
        failures: list[Failure] = []
        for start in range(0, len(steps), BATCH):
            failures += await self._apply(steps[start : start + BATCH])
        return failures

    async def _apply(self, steps: Sequence[Step]) -> list[Failure]:
        sent, bodies, failures = [], [], []
        for step in steps:
            try:
                bodies.append(request(step))
                sent.append(step)
            except InputError as error:
                failures.append(unfit(step, error))
        refusals = await self._netlink.transact(self._family, bodies)
        return failures + [failure(sent[index], refusal) for index, refusal in sorted(refusals.items())]

    async def _services(self) -> dict[ServiceKey, ServiceState]:
        (answers,) = await self._dump([command(abi.GET_SERVICE)])
        services: dict[ServiceKey, ServiceState] = {}
        pace = _Pace()
        for nest in _nests(answers, abi.SERVICE):
            found = unpack_service(nest)
            if found is not None:
                services[found[0]] = found[1]
            await pace.breathe()
        return services

    async def _ask(self, number: int) -> bytes:
        return genl.split(await self._netlink.ask(self._family, command(number)))[1]

    async def _dump(self, bodies: Sequence[bytes]) -> list[list[bytes]]:
        return await self._netlink.dump(self._family, bodies)


class _Pace:
    """Lets other tasks run whenever a slice of time is used up."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _SLICE

    async def breathe(self) -> None:
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + _SLICE


def _nests(answers: Iterable[bytes], kind: int) -> Iterator[bytes]:
    """The one nest that each answer of a dump holds."""
    for body in answers:
        nest = unpack(body, genl.HEADER).get(kind)
        if nest is None:
            raise MalformedError(f"an IPVS answer of {len(body)} bytes holds no attribute {kind}")
        yield nest
