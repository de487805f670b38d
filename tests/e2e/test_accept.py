"""Accept mode of a pair: who holds the address answers for it to neighbours, and takes its packets or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.ping import answers, await_neighbour

pytestmark = pytest.mark.net

VIP, VIP6, LOCAL = "192.0.2.100", "2001:db8:1::100", "fe80::100"
PAIR = """
[nodes.lb1]
priority = 200
[nodes.lb2]
priority = 100
[vrrp.public]
interface = "front"
vrid = 51
interval = "100ms"
addresses = ["192.0.2.100/24"]
accept = ACCEPT
[vrrp.public6]
interface = "front"
vrid = 51
interval = "100ms"
addresses = ["fe80::100/64", "2001:db8:1::100/64"]
accept = ACCEPT
"""
ACCEPTING, DEAF = PAIR.replace("ACCEPT", "true"), PAIR.replace("ACCEPT", "false")
TABLE = ("nft", "list", "table", "inet", "lvsha_accept")


@dataclass(frozen=True, slots=True)
class Pair:
    """Both directors and a client."""

    net: Network
    lb1: Director
    lb2: Director

    def takes(self, address: str) -> bool:
        """Whether a ping of the client's is answered."""
        return self._answers(address, within=5)

    def ignores(self, address: str) -> bool:
        """Whether the client finds its neighbour, and its ping gets no answer all the same."""
        self._answers(address, within=0)
        await_neighbour(self.net["client"], address, "front")
        return not self._answers(address, within=0.5)

    def _answers(self, address: str, within: float) -> bool:
        scope = "front" if address.startswith("fe80") else ""
        return answers(self.net["client"], address, interface=scope, within=within)

    def drops(self, node: str) -> str:
        """The rules on a node; empty: there are none."""
        return self.net[node].run(*TABLE, check=False)


@asynccontextmanager
async def pairing(config: str, directory: Path) -> AsyncIterator[Pair]:
    """The pair with lb1 as master of both instances."""
    async with topology(directors=2, servers=0) as net, AsyncExitStack() as stack:
        lb1 = await stack.enter_async_context(directing(net["lb1"], config, directory, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], config, directory, name="lb2"))
        for instance in ("public", "public6"):
            await lb1.event("vrrp.state", instance=instance, state="master")
        yield Pair(net, lb1, lb2)


@pytest.fixture
async def deaf(tmp_path: Path) -> AsyncIterator[Pair]:
    """A pair that takes no packets to its addresses."""
    async with pairing(DEAF, tmp_path) as pair:
        yield pair


async def test_a_master_takes_packets_unless_it_is_told_not_to(tmp_path: Path) -> None:
    """By default every address of the master answers a ping, and the firewall is left alone."""
    async with pairing(ACCEPTING, tmp_path) as pair:
        assert [pair.takes(address) for address in (VIP, VIP6, LOCAL)] == [True] * 3
        assert pair.drops("lb1") == ""


async def test_a_master_that_takes_no_packets_answers_its_neighbours(deaf: Pair) -> None:
    """Pings vanish; ARP, solicitations to the group and those to the address itself are answered."""
    for address in (VIP, VIP6, LOCAL):
        assert deaf.ignores(address)
    assert [deaf.takes(address) for address in ("192.0.2.1", "2001:db8:1::1", "fe80::1")] == [True] * 3
    # The entry is old: now the kernel asks the address itself (RFC 4861, 7.3.3), with nothing but unicast.
    deaf.net["client"].sysctl("net.ipv6.neigh.front.mcast_solicit", 0)
    deaf.net["client"].sysctl("net.ipv6.neigh.front.mcast_resolicit", 0)
    for address in (VIP6, LOCAL):
        deaf.net["client"].ip(f"neighbour change {address} dev front nud probe")
        assert deaf.ignores(address)


async def test_it_holds_after_a_failover(deaf: Pair) -> None:
    """The rules are on both nodes from the beginning, and a takeover changes nothing in them."""
    before = deaf.drops("lb2")
    assert VIP in before
    assert (await deaf.lb1.cli("failover")).status == 0
    assert deaf.ignores(VIP)
    assert deaf.drops("lb2") == before


async def test_rules_that_somebody_removed_come_back(deaf: Pair) -> None:
    """At once, and with a word about drift; the next look finds nothing to do."""
    before = deaf.drops("lb1")
    deaf.net["lb1"].run("nft", "flush", "ruleset")
    repaired = await deaf.lb1.event("drift.repaired", within=5)
    assert repaired["count"] == 1
    assert "drop packets to 3 addresses of VRRP" in str(repaired["steps"])
    assert deaf.ignores(VIP)
    assert deaf.drops("lb1") == before
    assert "drop" not in str(await deaf.lb1.ask("POST", "/v1/look"))


async def test_a_reload_changes_it(deaf: Pair) -> None:
    """Accept = true takes the rules away and nothing else; accept = false brings them."""
    deaf.net["lb1"].run("nft", "add", "table", "inet", "other")
    await deaf.lb1.reload(ACCEPTING)
    await deaf.lb1.event("reload.done")
    assert all(deaf.takes(address) for address in (VIP, VIP6, LOCAL))
    assert deaf.net["lb1"].run("nft", "list", "tables").split("\n") == ["table inet other", ""]
    mark = await deaf.lb1.mark()
    await deaf.lb1.reload(DEAF)
    await deaf.lb1.event("reload.done", since=mark)
    assert deaf.ignores(VIP)


async def test_what_was_left_over_is_removed_at_the_start(deaf: Pair) -> None:
    """A director that was killed, and started with another configuration, takes its rules away."""
    assert deaf.lb1.process is not None
    assert await deaf.lb1.process.stop() == 0
    assert VIP in deaf.drops("lb1")
    deaf.lb1.write(ACCEPTING)
    await (await deaf.lb1.start()).event("daemon.ready")
    assert deaf.drops("lb1") == ""


async def test_an_owner_takes_packets(tmp_path: Path) -> None:
    """One file for both: the owner of the addresses takes their packets, its backup would not."""
    config = DEAF.replace("priority = 200", "priority = 255")
    async with pairing(config, tmp_path) as pair:
        assert all(pair.takes(address) for address in (VIP, VIP6, LOCAL))
        assert (pair.drops("lb1"), VIP in pair.drops("lb2")) == ("", True)
