"""Mode fullnat at a failover: what the kernel was told of connections becomes what it needs to carry them.

Connection sync brings a director the other one's connections, but not their source NAT. For a client
that speaks that is no matter: its packet is translated as its first one was. A server that speaks
meets a local address that nothing is known about, and its packets are dropped by the guard until
the client speaks, which one that only listens (a download) never does.

So a director that becomes master makes the entries of connection tracking itself, for every
connection that IPVS has. They can be worked out: the port is the client's own, and the address is
the pool's by a hash. What traffic has made meanwhile stays as it is.

A connection may end while this is being done: its server has just been removed, and IPVS directs the client
anew. With its own entry IPVS removes that of connection tracking, and one that is made a moment later would
stand for the old server, for ever: nothing that the new one answers would get through. So it is looked once
more.

What cannot be worked out is a port that was not the client's own. Of such connections the peer tells while it
is there, and their entries are made before there is need of them (`lvsha.daemon.collisions`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import Callable, Iterable, Iterator

from lvsha.config import Config
from lvsha.desired import source_nats
from lvsha.errors import KernelError
from lvsha.kernel.conntrack import Conntrack, Flow
from lvsha.kernel.ipvs.connections import Connection, connections
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.sourcenat.located import located
from lvsha.kernel.sourcenat.pool import Share
from lvsha.log import emit
from lvsha.model import SourceNat

AGAIN = 3.0
"""Seconds after which it is done once more: what the other director said last arrives two seconds late."""
STATES = frozenset({"ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "UDP"})
"""Of IPVS: those in which there is something to lose."""
SLICE = 2048
"""Entries that are made at a stretch."""


class Takeover:
    """Waits for this node to become master.

    `share`: see `Rules`; `found`: the connections that IPVS has, read in a thread.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        share: Callable[[], Share],
        found: Callable[[], Iterable[Connection]] = connections,
    ) -> None:
        self._config = config
        self._share = share
        self._found = found
        self._due = asyncio.Event()

    def began(self) -> None:
        """To be called when this node has become master of an instance."""
        self._due.set()

    async def run(self) -> None:
        """Take up connections whenever this node has become master, for ever."""
        while True:
            await self._due.wait()
            for pause in (0.0, AGAIN):
                await asyncio.sleep(pause)
                self._due.clear()
                try:
                    await self.take_up()
                except KernelError as error:
                    emit("connections.lost", error=str(error))

    async def take_up(self) -> None:
        """Make the entries that are missing. Raises KernelError."""
        entries = source_nats(self._config())
        if not entries:
            return
        begun, share = time.monotonic(), self._share()
        wanted = await asyncio.to_thread(lambda: list(flows(self._found(), entries, share)))
        with contextlib.closing(Conntrack.open()) as conntrack:
            made, refused = await _make(conntrack, wanted)
            ended = await asyncio.to_thread(self._ended, made) if made else []
            await conntrack.remove(ended)
        if made:
            seconds = round(time.monotonic() - begun, 3)
            emit("connections.taken_up", connections=len(made) - len(ended), seconds=seconds)
        if refused:
            what = f"{len(refused)} of {len(wanted)} entries of connection tracking"
            emit("connections.lost", error=f"the kernel refused {what}: {refused[0]}")

    def _ended(self, made: list[Flow]) -> list[Flow]:
        """Those that IPVS does not have any more, or has with another server."""
        # The first seven fields say which connection it is, and whose.
        there = {one[:7] for one in self._found()}
        return [flow for flow in made if _identity(flow) not in there]


def _identity(flow: Flow) -> tuple[object, ...]:
    client, service = (flow.client, flow.client_port), (flow.address, flow.port)
    return flow.protocol, *client, *service, flow.server, flow.server_port


async def _make(conntrack: Conntrack, wanted: list[Flow]) -> tuple[list[Flow], list[Refusal]]:
    """Make entries; which were made, and why others were not, except that they are there already."""
    refusals: dict[int, Refusal] = {}
    for start in range(0, len(wanted), SLICE):
        refused = await conntrack.add(wanted[start : start + SLICE])
        refusals |= {start + index: refusal for index, refusal in refused.items()}
    made = [flow for index, flow in enumerate(wanted) if index not in refusals]
    return made, [r for r in refusals.values() if r.errno != errno.EEXIST]


def flows(found: Iterable[Connection], entries: Iterable[SourceNat], share: Share) -> Iterator[Flow]:
    """The connections of mode fullnat that have something to lose."""
    for one, local in located(found, entries, share):
        if one.state in STATES:
            yield Flow(*one[:7], local=local, lifetime=one.expires)
