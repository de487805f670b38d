"""Two real directors: what an operator says to one is in force on both, whatever happens in between.

The kernel's table plays no part here: the kernel may have no IPVS, and the control plane goes on
without.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.network import Network, topology

pytestmark = pytest.mark.net

PAIR = f"""
[nodes.lb1]
address = "192.0.2.1"
[nodes.lb2]
address = "192.0.2.2"
[peer]
key = "hex:{"ab" * 32}"
[services.web]
address = "192.0.2.100"
port = 80
check = "none"
servers = [{{ name = "rs1", address = "10.0.1.11" }}, {{ name = "rs2", address = "10.0.1.12" }}]
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both directors."""

    net: Network
    lb1: Director
    lb2: Director

    async def agreed(self, *said: str) -> None:
        """Wait until exactly this is in force on both, each as `drain rs1`."""
        async with asyncio.timeout(20):
            # How many events lead there is not laid down: what is heard at once is told at once.
            while not {*said} == await in_force(self.lb1) == await in_force(self.lb2):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def in_force(director: Director) -> set[str]:
    """What was said by hand."""
    return {f"{o['kind']} {o['target']}" for o in await director.ask("GET", "/v1/overrides")}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """The pair, connected."""
    async with topology(directors=2, servers=0) as net, AsyncExitStack() as stack:
        lb1 = await stack.enter_async_context(directing(net["lb1"], PAIR, tmp_path, name="lb1", ready=False))
        lb2 = await stack.enter_async_context(directing(net["lb2"], PAIR, tmp_path, name="lb2", ready=False))
        await lb1.event("peer.connected", peer="lb2")
        await lb2.event("peer.connected", peer="lb1")
        yield Pair(net, lb1, lb2)


async def say(director: Director, *words: str) -> None:
    """A command of lvsha-cli. A kernel without IPVS refuses its part of it, and it is kept all the same."""
    result = await director.cli(*words)
    assert result.status == 0 or "the kernel has no IPVS" in result.errors, result


async def test_a_drain_on_one_is_in_force_on_the_other(pair: Pair) -> None:
    """With its reason and who said it; and whichever node is asked takes it back on both."""
    await say(pair.lb1, "drain", "rs1", "--reason", "new disks")
    synced = await pair.lb2.event("override.synced")
    assert (synced["peer"], synced["changed"]) == ("lb1", ["set: drain rs1"])
    (there,) = await pair.lb2.ask("GET", "/v1/overrides")
    assert [there] == await pair.lb1.ask("GET", "/v1/overrides")
    assert there["reason"] == "new disks"
    assert there["by"].endswith(" on lb1")
    status = await pair.lb2.ask("GET", "/v1/status")
    assert status["servers_drained"] == 1
    await say(pair.lb2, "undrain", "rs1")
    await pair.lb1.event("override.synced", peer="lb2", changed=["ended: drain rs1"])
    await pair.agreed()


async def test_weights_disabling_and_an_end(pair: Pair) -> None:
    """Every kind goes over, and what has an end ends on both by itself."""
    await say(pair.lb1, "weight", "rs1", "7")
    await say(pair.lb2, "disable", "rs2", "--for", "2s")
    await pair.agreed("weight rs1", "disable rs2")
    await pair.lb1.event("override.expired", target="rs2")
    await pair.lb2.event("override.expired", target="rs2")
    await pair.agreed("weight rs1")


async def test_a_director_that_was_down_learns_it(pair: Pair) -> None:
    """A drain, and an undrain, that were said while it was down; it forgets nothing of its own."""
    await say(pair.lb2, "drain", "rs2")
    await pair.agreed("drain rs2")
    assert pair.lb2.process is not None
    assert await pair.lb2.process.stop() == 0
    await pair.lb1.event("peer.lost", peer="lb2", error="closed the connection")
    await say(pair.lb1, "drain", "rs1")
    await say(pair.lb1, "undrain", "rs2")
    await pair.lb2.start()
    await pair.lb2.event("override.synced")
    await pair.agreed("drain rs1")


async def test_a_director_that_is_killed_comes_back_with_all(pair: Pair) -> None:
    """SIGKILL right after the drain: what was answered is on the disk, and the link returns."""
    await say(pair.lb1, "drain", "rs1")
    mark = await pair.lb1.mark()
    os.kill(pair.lb1.pid("director"), signal.SIGKILL)
    await pair.lb1.event("peer.connected", since=mark, peer="lb2")
    await pair.agreed("drain rs1")


@pytest.mark.slow
async def test_a_cut_cable_and_its_healing(pair: Pair) -> None:
    """Both are told to while they do not hear each other: both notice, and then agree on everything."""
    await say(pair.lb1, "drain", "rs1")
    await pair.agreed("drain rs1")
    pair.net["lb2"].cut("front")
    await pair.lb1.event("peer.lost", peer="lb2", error="said nothing for 8 s")
    await pair.lb2.event("peer.lost", peer="lb1", error="said nothing for 8 s")
    await say(pair.lb1, "undrain", "rs1")
    await say(pair.lb1, "weight", "rs1", "3")
    await say(pair.lb2, "disable", "rs2")
    assert await in_force(pair.lb2) == {"drain rs1", "disable rs2"}
    mark = await pair.lb1.mark()
    pair.net["lb2"].mend("front")
    await pair.lb1.event("peer.connected", since=mark, peer="lb2")
    await pair.agreed("weight rs1", "disable rs2")


async def test_status_warns_of_another_configuration_and_of_silence(pair: Pair) -> None:
    """A server that only one of them knows; then a peer that is down."""
    warnings = (await pair.lb1.ask("GET", "/v1/status"))["warnings"]
    # This kernel may have no IPVS, which is another warning.
    assert [w for w in warnings if w.startswith("director")] == []
    mark = await pair.lb2.mark()
    await pair.lb2.reload(PAIR.replace("10.0.1.12", "10.0.1.13"))
    await pair.lb2.event("reload.done", since=mark)
    await say(pair.lb2, "drain", "rs1")  # comes behind the news of the reload
    await pair.agreed("drain rs1")
    result = await pair.lb1.cli("status", "--check")
    assert result.status == 1
    assert "warning   director lb2 runs another configuration than this one" in result.output
    assert pair.lb2.process is not None
    await pair.lb2.process.stop()
    await pair.lb1.event("peer.lost", peer="lb2")
    result = await pair.lb1.cli("status", "--check")
    assert result.status == 1
    assert "peer      lb2 (192.0.2.2) not connected for" in result.output
    assert "warning   director lb2 (192.0.2.2) is not connected: " in result.output


async def test_a_start_waits_for_the_peers_words(tmp_path: Path) -> None:
    """A node is of use once it has heard what it missed; where there is no peer it does not wait for long."""
    nodes = PAIR.partition("[services.web]")[0]
    async with topology(directors=2, servers=0) as net, AsyncExitStack() as stack:
        lb1 = await stack.enter_async_context(directing(net["lb1"], nodes, tmp_path, name="lb1"))
        alone = await lb1.event("daemon.ready")
        assert 2 <= alone["seconds"] < 10
        lb2 = await stack.enter_async_context(directing(net["lb2"], nodes, tmp_path, name="lb2"))
        assert lb2.process is not None
        said = [e["event"] for e in lb2.process.events]
        assert said.index("peer.connected") < said.index("daemon.ready")
        assert (await lb2.event("daemon.ready"))["seconds"] < 2


async def test_a_stranger_on_the_network(pair: Pair) -> None:
    """The client's machine connects to the port: it gets no word, and is told of."""
    stranger = (
        "import socket; s = socket.create_connection(('192.0.2.2', 8850)); s.settimeout(5); print(s.recv(9))"
    )
    assert pair.net["client"].run("python3", "-c", stranger) == "b''\n"
    await pair.lb2.event("peer.refused", reason="address", source="192.0.2.10")
    await say(pair.lb1, "drain", "rs1")
    await pair.agreed("drain rs1")
