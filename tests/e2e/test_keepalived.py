"""A speaker of ours and Debian's keepalived as one pair, whichever of them is master."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lvsha.speaker.messages import State
from lvsha.speaker.spec import InstanceSpec, Password
from tests.lab.keepalived import keepalived, vrrp_instance
from tests.lab.network import Network, topology
from tests.lab.speaker import VIP, Speaking, hearing, instance, speaking

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

    def theirs(self, priority: int) -> str:
        """The instance of keepalived."""
        return vrrp_instance(
            *self.lines, vips=self.vips, priority=priority, interval=self.interval, version=self.version
        )


def unicast(peer: str, source: str) -> dict[str, Any]:
    """Our settings for unicast."""
    return {"peers": (ip_address(peer),), "source": ip_address(source)}


WAYS = [
    Way("v2", 2, 1, (VIP, "192.0.2.101/24")),
    Way("v2 with a password", 2, 1, lines=PASSWORD, settings={"auth": Password(password="secret12")}),
    Way("v2 unicast", 2, 1, lines=UNICAST, settings=unicast("192.0.2.2", "192.0.2.1")),
    Way("v3", 3, 0.1, (VIP, "192.0.2.101/24", "192.0.2.102/32")),
    Way("v3 at 10 ms", 3, 0.01),
    Way("v3 IPv6", 3, 0.1, ("fe80::100/64", VIP6)),
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
    """lb1 is ours, lb2 keepalived's."""
    with topology(directors=2, servers=0) as built:
        yield built


@pytest.fixture
async def ours(net: Network, tmp_path: Path) -> AsyncIterator[Speaking]:
    """Our speaker."""
    async with speaking(net["lb1"], tmp_path) as made:
        yield made


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_the_pair_is_one_whoever_is_master(
    net: Network, ours: Speaking, tmp_path: Path, way: Way
) -> None:
    """Both preempt, obey, resign and take over as if the other were of their own kind; nothing is refused."""
    async with keepalived(net["lb2"], tmp_path, way.theirs(100)) as peer:
        await peer.enters("MASTER")

        # By its higher priority ours takes over.
        mark = peer.mark()
        await ours.configure(way.ours(200))
        await ours.become(State.MASTER)
        await peer.enters("BACKUP", since=mark)
        assert [vip for vip in way.vips if not ours.holds(vip)] == []

        # An orderly stop hands over at once, for ours resigns.
        mark = peer.mark()
        await ours.stop()
        await peer.enters("MASTER", since=mark, within=2)

        # Ours comes back and takes over; frozen, it is replaced.
        await ours.start()
        await ours.become(State.MASTER)
        mark = peer.mark()
        ours.freeze()
        await peer.enters("MASTER", since=mark)
        mark = peer.mark()
        ours.thaw()
        await peer.enters("BACKUP", since=mark)
        await ours.become(State.MASTER)

        # With a lower priority ours gives way, and hears the other well.
        mark = peer.mark()
        await ours.configure(way.ours(50))
        await peer.enters("MASTER", since=mark)
        await ours.become(State.BACKUP, within=3)
        status = await ours.status()
        assert (status.master, status.dropped) == (_source(net, way), {})

        # keepalived resigns: ours takes over in its skew time.
        await peer.stop()
        await ours.become(State.MASTER)
        assert (await ours.status()).dropped == {}
        assert not any("nvalid" in line or "bad" in line.lower() for line in peer.said), peer.said


def _source(net: Network, way: Way) -> str:
    """The address that keepalived sends from."""
    if ":" not in way.vips[0]:
        return "192.0.2.2"
    if way.lines:
        return "2001:db8:1::2"
    shown = net["lb2"].run("ip", "-6", "-o", "addr", "show", "dev", "front", "scope", "link").split()
    return next(word.partition("/")[0] for word in shown if word.startswith("fe80::") and "100" not in word)


@pytest.mark.parametrize("way", [WAYS[1], WAYS[3], WAYS[5]], ids=lambda way: way.name)
async def test_the_adverts_are_the_same_octet_for_octet(
    net: Network, ours: Speaking, tmp_path: Path, way: Way
) -> None:
    """But for its source, which IPv6 and v3 put into the checksum, ours says just what keepalived says."""
    family = 6 if ":" in way.vips[0] else 4
    with hearing(net["client"], family) as ears:
        async with keepalived(net["lb2"], tmp_path, way.theirs(150)):
            theirs = await ears.next(priority=150)
        await ours.configure(way.ours(150))
        mine = await ears.next(priority=150)
    if way.version == 2:
        assert mine.payload == theirs.payload
    assert mine.payload[:6] + mine.payload[8:] == theirs.payload[:6] + theirs.payload[8:]
