"""A pair on a real kernel: a drain holds in both tables, and so after a failover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.network import topology
from tests.lab.process import SLOWNESS

pytestmark = pytest.mark.ipvs

PAIR = f"""
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
[peer]
key = "hex:{"ab" * 32}"
[vrrp.public]
interface = "front"
vrid = 51
addresses = ["192.0.2.100/24"]
[services.web]
address = "192.0.2.100"
port = 80
mode = "dr"
check = "none"
servers = [{{ name = "rs1", address = "192.0.2.21" }}, {{ name = "rs2", address = "192.0.2.22" }}]
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both directors."""

    lb1: Director
    lb2: Director

    async def both(self, line: str) -> None:
        """Wait until both kernels have the server so."""
        async with asyncio.timeout(20 * SLOWNESS):
            # The kernel tells nobody of its table.
            while not all(line in one.table() for one in (self.lb1, self.lb2)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """The pair with lb1 as master, connected."""
    async with topology(directors=2, servers=0) as net, AsyncExitStack() as stack:
        lb1 = await stack.enter_async_context(directing(net["lb1"], PAIR, tmp_path, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], PAIR, tmp_path, name="lb2"))
        await lb1.event("role.changed", role="master")
        await lb1.event("peer.connected")
        yield Pair(lb1, lb2)


async def test_a_drain_outlives_a_failover(pair: Pair) -> None:
    """Said to the master, it is in both tables; the new master keeps it, and takes it back for both."""
    assert (await pair.lb1.cli("drain", "rs1")).status == 0
    await pair.both("-a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 0")
    assert (await pair.lb1.cli("failover")).status == 0
    await pair.lb2.event("role.changed", role="master")
    await pair.both("-a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 0")
    assert (await pair.lb2.cli("undrain", "rs1")).status == 0
    await pair.both("-a -t 192.0.2.100:80 -r 192.0.2.21:80 -g -w 1")
