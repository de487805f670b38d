"""A speaker of ours and FRRouting's vrrpd as one pair, whichever of them is master."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lvsha.speaker.messages import State
from lvsha.speaker.spec import Checksum, InstanceSpec
from tests.lab.frr import LINK_LOCAL, Router, frr
from tests.lab.interop import (
    PEER,
    an_equal_priority_is_settled,
    changes_of_role,
    ours_returns_without_preemption,
    the_peer_returns_without_preemption,
)
from tests.lab.network import Network, topology
from tests.lab.speaker import VIP, Speaking, hearing, instance, speaking

pytestmark = pytest.mark.net


@dataclass(frozen=True)
class Way:
    """One way in which both are set to speak."""

    name: str
    version: int
    interval: float
    vips: tuple[str, ...]

    def ours(self, priority: int) -> InstanceSpec:
        """Our instance."""
        return instance(*self.vips, version=self.version, interval=self.interval, priority=priority, lease=6)

    def theirs(self, priority: int) -> Router:
        """FRR's router."""
        return Router(self.vips, priority, self.interval, self.version)

    @property
    def source(self) -> str:
        """Where FRR's adverts come from."""
        return LINK_LOCAL if ":" in self.vips[0] else "192.0.2.2"


V2 = Way("v2", 2, 1, (VIP, "192.0.2.101/24"))
V3 = Way("v3", 3, 0.1, (VIP, "192.0.2.101/24"))
# FRR advertises no link-local address that it was not given, so neither does ours.
V3_6 = Way("v3 IPv6", 3, 0.1, ("2001:db8:1::100/64", "2001:db8:1::101/64"))
CALM = [replace(way, interval=0.3) for way in (V3, V3_6)]
"""For what must not happen: FRR takes over from a living master after a pause of 2.6 intervals."""


@pytest.fixture
def net() -> Iterator[Network]:
    """Two directors and a client, on one wire."""
    with topology(directors=2, servers=0) as built:
        yield built


@pytest.fixture
async def ours(net: Network, tmp_path: Path) -> AsyncIterator[Speaking]:
    """Our speaker, on lb1; FRR comes to lb2."""
    async with speaking(net["lb1"], tmp_path) as made:
        yield made


@pytest.mark.parametrize("way", [V2, V3, V3_6], ids=lambda way: way.name)
async def test_the_pair_is_one_whoever_is_master(net: Network, ours: Speaking, way: Way) -> None:
    """Both preempt, obey, resign and take over as if the other were of their own kind; nothing is refused."""
    async with frr(net["lb2"], way.theirs(PEER)) as peer:
        await changes_of_role(ours, peer, way.ours, way.source)
        assert peer.complaints == []


@pytest.mark.parametrize("way", CALM, ids=lambda way: way.name)
async def test_ours_returns_without_preemption(net: Network, ours: Speaking, way: Way) -> None:
    """With `preempt = false` ours leaves the addresses to an FRR of lower priority while that lives."""
    async with frr(net["lb2"], way.theirs(PEER)) as peer:
        await ours_returns_without_preemption(net, ours, peer, way.ours)


@pytest.mark.parametrize("way", CALM, ids=lambda way: way.name)
async def test_frr_returns_without_preemption(net: Network, ours: Speaking, way: Way) -> None:
    """With `no preempt` FRR leaves the addresses to ours of lower priority while that lives."""
    peer = frr(net["lb2"], replace(way.theirs(PEER), preempt=False))
    await the_peer_returns_without_preemption(net, ours, way.ours, peer)


@pytest.mark.parametrize(("mine", "theirs"), [("lb1", "lb2"), ("lb2", "lb1")], ids=["lower", "higher"])
async def test_two_masters_of_equal_priority_become_one(
    net: Network, tmp_path: Path, mine: str, theirs: str
) -> None:
    """The one with the higher address stays, be it ours or FRR's."""
    async with frr(net[theirs], CALM[0].theirs(PEER)) as peer, speaking(net[mine], tmp_path) as ours:
        await an_equal_priority_is_settled(net, ours, peer, CALM[0].ours, higher=mine == "lb2")


async def test_frr_wants_the_pseudo_header_in_the_checksum_of_version_3_over_ipv4(
    net: Network, ours: Speaking
) -> None:
    """The default suits FRR 8.4; an advert with `checksum = "plain"` (RFC 9568) it drops as broken."""
    async with frr(net["lb2"], V3.theirs(PEER)) as peer:
        await peer.enters("MASTER")
        mark = peer.mark()
        await ours.configure(replace(V3.ours(PEER + 100), checksum=Checksum.PLAIN))
        await ours.become(State.MASTER)
        with hearing(net["client"]) as ears:
            async with asyncio.timeout(5):
                while set(ears.sources) != {"192.0.2.1", "192.0.2.2"}:
                    await ears.next()
        assert any("Bad VRRP checksum" in line for line in peer.said)
        await ours.configure(V3.ours(PEER + 100))
        await peer.enters("BACKUP", since=mark)
