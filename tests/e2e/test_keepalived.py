"""A speaker of ours and Debian's keepalived as one pair, whichever of them is master."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lvsha.speaker.spec import InstanceSpec, Password
from tests.lab.interop import (
    PEER,
    an_equal_priority_is_settled,
    changes_of_role,
    ours_returns_without_preemption,
    the_peer_returns_without_preemption,
)
from tests.lab.keepalived import keepalived, vrrp_instance
from tests.lab.network import Network, topology
from tests.lab.speaker import VIP, Speaking, instance, speaking

pytestmark = pytest.mark.net

VIP6 = "2001:db8:1::100/64"
PASSWORD = ("authentication {", "  auth_type PASS", "  auth_pass secret12", "}")
UNICAST = ("unicast_src_ip 192.0.2.2", "unicast_peer {", "  192.0.2.1", "}")
UNICAST6 = ("unicast_src_ip 2001:db8:1::2", "unicast_peer {", "  2001:db8:1::1", "}")


@dataclass(frozen=True)
class Way:
    """One way in which both are set to speak."""

    name: str
    version: int
    interval: float
    vips: tuple[str, ...] = (VIP,)
    lines: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def ours(self, priority: int) -> InstanceSpec:
        """Our instance."""
        return instance(
            *self.vips,
            version=self.version,
            interval=self.interval,
            priority=priority,
            lease=6,
            **self.settings,
        )

    def theirs(self, priority: int, *lines: str) -> str:
        """The instance of keepalived, with further settings."""
        return vrrp_instance(
            *self.lines,
            *lines,
            vips=self.vips,
            priority=priority,
            interval=self.interval,
            version=self.version,
        )


def unicast(peer: str, source: str) -> dict[str, Any]:
    """Our settings for unicast."""
    return {"peers": (ip_address(peer),), "source": ip_address(source)}


V3 = Way("v3", 3, 0.1, (VIP, "192.0.2.101/24", "192.0.2.102/32"))
V3_6 = Way("v3 IPv6", 3, 0.1, ("fe80::100/64", VIP6))
CALM = [replace(way, interval=0.3) for way in (V3, V3_6)]
"""For what must not happen: keepalived takes over from a living master after a pause of 2.6 intervals."""
SLOW = [
    Way("v2", 2, 1, (VIP, "192.0.2.101/24")),
    Way("v2 with a password", 2, 1, lines=PASSWORD, settings={"auth": Password(password="secret12")}),
    Way("v2 unicast", 2, 1, lines=UNICAST, settings=unicast("192.0.2.2", "192.0.2.1")),
]
FAST = [
    V3,
    Way("v3 at 10 ms", 3, 0.01),
    V3_6,
    Way("v3 unicast", 3, 0.1, lines=UNICAST, settings=unicast("192.0.2.2", "192.0.2.1")),
    Way(
        "v3 IPv6 unicast",
        3,
        0.1,
        (VIP6,),
        lines=UNICAST6,
        # keepalived leaves the hop limit of unicast over IPv6 at the kernel's 64.
        settings=unicast("2001:db8:1::2", "2001:db8:1::1") | {"ttl_min": 64},
    ),
]


@pytest.fixture
def net() -> Iterator[Network]:
    """Two directors and a client, on one wire."""
    with topology(directors=2, servers=0) as built:
        yield built


@pytest.fixture
async def ours(net: Network, tmp_path: Path) -> AsyncIterator[Speaking]:
    """Our speaker, on lb1; keepalived comes to lb2."""
    async with speaking(net["lb1"], tmp_path) as made:
        yield made


@pytest.mark.parametrize("way", FAST, ids=lambda way: way.name)
async def test_the_pair_is_one_whoever_is_master(
    net: Network, ours: Speaking, tmp_path: Path, way: Way
) -> None:
    """Both preempt, obey, resign and take over as if the other were of their own kind; nothing is refused."""
    await one_pair(net, ours, tmp_path, way)


async def test_the_pair_is_one_in_version_2(tmp_path: Path) -> None:
    """The same with whole seconds; the three ways at once, each on a network of its own."""
    async with asyncio.TaskGroup() as group:
        for way in SLOW:
            group.create_task(a_pair(tmp_path / way.name, way), name=way.name)


async def a_pair(directory: Path, way: Way) -> None:
    """A network, our speaker on it, and `one_pair`."""
    with topology(directors=2, servers=0) as net:
        async with speaking(net["lb1"], directory) as ours:
            await one_pair(net, ours, directory, way)


async def one_pair(net: Network, ours: Speaking, directory: Path, way: Way) -> None:
    """All changes of role with keepalived as the peer."""
    async with keepalived(net["lb2"], directory, way.theirs(PEER)) as peer:
        await changes_of_role(ours, peer, way.ours, _source(net, way))
        assert peer.complaints == [], way.name


@pytest.mark.parametrize("way", CALM, ids=lambda way: way.name)
async def test_ours_returns_without_preemption(
    net: Network, ours: Speaking, tmp_path: Path, way: Way
) -> None:
    """With `preempt = false` ours leaves the addresses to a keepalived of lower priority while that lives."""
    async with keepalived(net["lb2"], tmp_path, way.theirs(PEER)) as peer:
        await ours_returns_without_preemption(net, ours, peer, way.ours)


@pytest.mark.parametrize("way", CALM, ids=lambda way: way.name)
async def test_keepalived_returns_without_preemption(
    net: Network, ours: Speaking, tmp_path: Path, way: Way
) -> None:
    """With `nopreempt` keepalived leaves the addresses to ours of lower priority while that lives."""
    peer = keepalived(net["lb2"], tmp_path, way.theirs(PEER, "nopreempt"))
    await the_peer_returns_without_preemption(net, ours, way.ours, peer)


@pytest.mark.parametrize(("mine", "theirs"), [("lb1", "lb2"), ("lb2", "lb1")], ids=["lower", "higher"])
async def test_two_masters_of_equal_priority_become_one(
    net: Network, tmp_path: Path, mine: str, theirs: str
) -> None:
    """The one with the higher address stays, be it ours or keepalived's."""
    async with (
        keepalived(net[theirs], tmp_path, CALM[0].theirs(PEER)) as peer,
        speaking(net[mine], tmp_path) as ours,
    ):
        await an_equal_priority_is_settled(net, ours, peer, CALM[0].ours, higher=mine == "lb2")


def _source(net: Network, way: Way) -> str:
    """The address that keepalived sends from."""
    if ":" not in way.vips[0]:
        return "192.0.2.2"
    if way.lines:
        return "2001:db8:1::2"
    shown = net["lb2"].run("ip", "-6", "-o", "addr", "show", "dev", "front", "scope", "link").split()
    return next(word.partition("/")[0] for word in shown if word.startswith("fe80::") and "100" not in word)
