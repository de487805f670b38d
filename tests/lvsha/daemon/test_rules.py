"""Tests of lvsha.daemon.rules: a look at once when rules are flushed, with the kernel's own news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lvsha.daemon import rules
from tests.lab.network import Network, Node

pytestmark = pytest.mark.net


@pytest.fixture
def lb1() -> Iterator[Node]:
    """A node with rules of its own."""
    net = Network()
    net.node("lb1")
    with net:
        yield net["lb1"]


async def test_a_flush_is_looked_at_once(lb1: Node) -> None:
    """Somebody flushes all rules, lvsha's table with them: that is news in the same moment."""
    looked = asyncio.Event()
    with lb1.entered():
        watching = asyncio.create_task(rules.watch(looked.set))
        await asyncio.sleep(0)  # the first step opens the socket, in this namespace
    lb1.run("nft", "add table ip lvsha")
    lb1.run("nft", "flush ruleset")
    async with asyncio.timeout(10):
        await looked.wait()
    watching.cancel()
