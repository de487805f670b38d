"""Two directors on one network, natively: the pair that most stories of failover begin with.

async with paired(CONFIG, tmp_path) as pair:
    await pair.lb1.process.stop()
    assert pair.holders() == ["lb2"]
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.pair import VIP


@dataclass(frozen=True, slots=True)
class Two:
    """Both directors."""

    net: Network
    lb1: Director
    lb2: Director

    def holders(self) -> list[str]:
        """The nodes that have the address."""
        return [n for n in ("lb1", "lb2") if VIP in self.net[n].run("ip", "-br", "address", "show", "front")]


@asynccontextmanager
async def paired(text: str, directory: Path) -> AsyncIterator[Two]:
    """Both with this configuration, lb1 as master with the address."""
    async with topology(directors=2, servers=0) as net, AsyncExitStack() as stack:
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], text, directory, name="lb2"))
        await lb1.event("role.changed", role="master")
        await lb1.event("vip.added")
        yield Two(net, lb1, lb2)
