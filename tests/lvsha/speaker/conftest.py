"""Two directors on one wire, each with a speaker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.lab.network import Network, topology
from tests.lab.speaker import Pair, speaking


@pytest.fixture
def net() -> Iterator[Network]:
    """lb1 (192.0.2.1), lb2 (192.0.2.2) and a client (192.0.2.10)."""
    with topology(directors=2, servers=0) as built:
        yield built


@pytest.fixture
async def pair(net: Network, tmp_path: Path) -> AsyncIterator[Pair]:
    """A speaker on each director, not configured yet."""
    async with speaking(net["lb1"], tmp_path) as lb1, speaking(net["lb2"], tmp_path) as lb2:
        yield lb1, lb2
