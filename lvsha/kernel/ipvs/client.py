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
import errno
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from lvsha.errors import InputError, KernelError
from lvsha.kernel import genl
from lvsha.kernel.attributes import HEADER, TYPE, MalformedError
from lvsha.kernel.ipvs import abi
from lvsha.kernel.ipvs.config import Info, unpack_info, unpack_timeouts
from lvsha.kernel.ipvs.failure import Failure, failure, unfit
from lvsha.kernel.ipvs.requests import command, of_service, request
from lvsha.kernel.ipvs.servers import unpack_server
from lvsha.kernel.ipvs.services import unpack_service
from lvsha.kernel.ipvs.sync import unpack_daemon
from lvsha.kernel.netlink import BATCH, Netlink, Refusal, RefusedError
from lvsha.model import (
    Family,
    Observed,
    ServerKey,
    ServerState,
    ServiceKey,
    ServiceState,
    SyncDaemon,
    Timeouts,
)
from lvsha.plan import IpvsStep, SetTimeouts

_STRETCH = 256
"""Objects unpacked, in two or three milliseconds, before other tasks have their turn."""
_GROUP = 32
"""Services whose servers are fetched in one visit to the kernel."""


class AbsentError(KernelError):
    """The kernel has no IPVS, and so nothing in it."""


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
        return await cls.over(Netlink.open(genl.PROTOCOL, timeout=patience))

    @classmethod
    async def over(cls, netlink: Netlink) -> Self:
        """Find IPVS by a conversation with generic netlink, which is closed if there is none."""
        try:
            return cls(netlink, await _family(netlink))
        except BaseException:
            netlink.close()
            raise

    def close(self) -> None:
        """Let go of the kernel; the table stays."""
        self._netlink.close()

    async def info(self) -> Info:
        """Version and table size."""
        return unpack_info(await self._ask(abi.GET_INFO, "the version"))

    async def timeouts(self) -> Timeouts:
        """The connection timeouts in force."""
        return unpack_timeouts(await self._ask(abi.GET_CONFIG, "the timeouts"))

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
            raise RefusedError(f"zero the counters of {key or 'everything'}", refusal)

    async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
        """Everything that the kernel holds, statistics included.

        With `keys` only those of these services that exist, and neither timeouts nor sync daemons:
        what an event touches costs no look at the whole table. Not a snapshot: what somebody else
        changes meanwhile may be seen or not. Raises KernelError.
        """
        try:
            return await self._observe(keys)
        except RefusedError as error:
            if error.refusal.errno != errno.ENOENT:
                raise
            # The module was taken out; if it is in again, its messages have another number.
            self._family = await _family(self._netlink)
            return await self._observe(keys)

    async def apply(self, steps: Sequence[IpvsStep]) -> list[Failure]:
        """Carry out steps in order and return those that the kernel refused; a refusal stops nothing.

        Failures come in the order of the steps. Raises KernelError where the outcome of some steps is not
        known: look again.
        """
        failures: list[Failure] = []
        for start in range(0, len(steps), BATCH):
            failures += await self._apply(steps[start : start + BATCH])
        return failures

    async def _apply(self, steps: Sequence[IpvsStep]) -> list[Failure]:
        sent: list[int] = []
        bodies: list[bytes] = []
        failures: dict[int, Failure] = {}
        for index, step in enumerate(steps):
            try:
                bodies.append(request(step))
                sent.append(index)
            except InputError as error:
                failures[index] = unfit(step, error)
        for place, refusal in (await self._netlink.transact(self._family, bodies)).items():
            failures[sent[place]] = failure(steps[sent[place]], refusal)
        return [failures[index] for index in sorted(failures)]

    async def _observe(self, keys: Collection[ServiceKey] | None) -> Observed:
        if keys is not None:
            return Observed(await self._tables(await self._services(list(keys))))
        services = await self._tables(await self._all_services())
        return Observed(services, await self.timeouts(), await self.daemons())

    async def _all_services(self) -> dict[ServiceKey, ServiceState]:
        (answers,) = await self._dump([command(abi.GET_SERVICE)])
        return await _services(answers)

    async def _services(self, keys: Sequence[ServiceKey]) -> dict[ServiceKey, ServiceState]:
        services: dict[ServiceKey, ServiceState] = {}
        for group in _groups(keys):
            answers = await self._netlink.ask(
                self._family, [of_service(abi.GET_SERVICE, key) for key in group]
            )
            for key, answer in zip(group, answers, strict=True):
                if isinstance(answer, Refusal) and answer.errno != errno.ESRCH:
                    raise RefusedError(f"look at {key}", answer)
            services.update(await _services([answer for answer in answers if isinstance(answer, bytes)]))
        return services

    async def _tables(self, services: dict[ServiceKey, ServiceState]) -> dict[ServiceKey, ServiceState]:
        """The services, each with its servers."""
        whole = {}
        unpacked = 0
        for group in _groups(list(services)):
            dumps = await self._dump([of_service(abi.GET_DEST, key) for key in group])
            for key, answers in zip(group, dumps, strict=True):
                whole[key] = replace(services[key], servers=await _servers(answers, key.family))
                unpacked += len(answers)
                if unpacked >= _STRETCH:
                    unpacked = 0
                    await asyncio.sleep(0)
        return whole

    async def _ask(self, number: int, what: str) -> bytes:
        (answer,) = await self._netlink.ask(self._family, [command(number)])
        if isinstance(answer, bytes):
            return answer[genl.HEADER :]
        raise RefusedError(f"look at {what} of IPVS", answer)

    async def _dump(self, bodies: Sequence[bytes]) -> list[list[bytes]]:
        return await self._netlink.dump(self._family, bodies)


async def _family(netlink: Netlink) -> int:
    try:
        return await genl.family(netlink, abi.FAMILY)
    except genl.UnknownFamilyError as error:
        raise AbsentError(
            "the kernel has no IPVS: load it with `modprobe ip_vs`, "
            "and at every boot by a line `ip_vs` in /etc/modules-load.d/ip_vs.conf"
        ) from error


async def _services(answers: Iterable[bytes]) -> dict[ServiceKey, ServiceState]:
    services = {}
    for count, nest in enumerate(_nests(answers, abi.SERVICE), 1):
        found = unpack_service(nest)
        if found is not None:
            services[found[0]] = found[1]
        if count % _STRETCH == 0:
            await asyncio.sleep(0)
    return services


async def _servers(answers: Iterable[bytes], family: Family) -> dict[ServerKey, ServerState]:
    servers = {}
    for count, nest in enumerate(_nests(answers, abi.DEST), 1):
        key, state = unpack_server(nest, family)
        servers[key] = state
        if count % _STRETCH == 0:
            await asyncio.sleep(0)
    return servers


def _groups(keys: Sequence[ServiceKey]) -> Iterator[Sequence[ServiceKey]]:
    return (keys[start : start + _GROUP] for start in range(0, len(keys), _GROUP))


def _nests(answers: Iterable[bytes], kind: int) -> Iterator[bytes]:
    """The one nest that each answer of a dump holds."""
    start = genl.HEADER + HEADER.size
    for body in answers:
        length, found = HEADER.unpack_from(body, genl.HEADER) if len(body) >= start else (0, 0)
        if found & TYPE != kind or not HEADER.size <= length <= len(body) - genl.HEADER:
            raise MalformedError(f"an IPVS answer of {len(body)} bytes where attribute {kind} was expected")
        yield body[start : genl.HEADER + length]
