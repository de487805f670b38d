"""Tests of lvsha.daemon.serving: when IPVS may be filled."""

from __future__ import annotations

import asyncio

import pytest

from lvsha.daemon.serving import settled
from lvsha.speaker.directing import SETTING
from tests.lab.network import Node, topology
from tests.lab.process import Process, call

pytestmark = pytest.mark.ipvs


def wait(argv: list[str]) -> None:
    """The process on a node: ROLE PATIENCE; ends when the table may be filled."""
    role, patience = argv
    asyncio.run(settled(lambda: role == "master", float(patience)))


async def waiting(node: Node, role: str, patience: float) -> Process:
    """Start to wait on a node."""
    return await call(node, "tests.lvsha.daemon.test_serving:wait", role, str(patience))


async def test_a_master_waits_for_nothing() -> None:
    """It directs already: a director that is started again goes on at once."""
    async with topology(servers=0) as net:
        process = await waiting(net["lb1"], "master", 600)
        assert await process.wait() == 0
        assert net["lb1"].sysctl(SETTING) == "0"


async def test_the_table_waits_until_nothing_is_directed_here() -> None:
    """Not master, it is filled once the setting is 1, and not before."""
    async with topology(servers=0) as net:
        process = await waiting(net["lb1"], "backup", 600)
        await asyncio.sleep(1)
        assert process.status is None
        net["lb1"].sysctl(SETTING, 1)
        assert await process.wait() == 0


async def test_without_a_speaker_it_is_filled_in_the_end() -> None:
    """Nobody writes the setting: the other servers are to be served all the same."""
    async with topology(servers=0) as net:
        process = await waiting(net["lb1"], "backup", 0.2)
        assert await process.wait() == 0
        assert net["lb1"].sysctl(SETTING) == "0"
