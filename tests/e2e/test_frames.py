"""Frame for frame: what ours puts on a wire, beside what keepalived and FRR put there with the same settings.

tshark decodes both, in one capture, so a third party judges them. A sender's own MAC and address stand as
words in the comparison; what every sender must choose for itself (an IP id, a flow label) is left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lvsha.speaker.messages import State
from lvsha.speaker.spec import InstanceSpec, Password
from tests.lab.capture import Capture, Frame, capturing
from tests.lab.frr import LINK_LOCAL, Router, frr
from tests.lab.interop import Peer
from tests.lab.keepalived import keepalived, vrrp_instance
from tests.lab.network import Network, Node, topology
from tests.lab.speaker import VIP, hearing, instance, speaking

pytestmark = pytest.mark.net

PRIORITY = 150
FREE = {"ip.id", "ip.checksum", "ip.checksum_calculated", "ipv6.flow", "icmpv6.checksum", "vrrp.checksum"}
"""A sender's own choice, or a sum over it."""
DERIVED = ("frame.", "eth.addr", "eth.src.", "ip.addr", "ip.host", "ip.src_host", "ip.dst_host")
DERIVED_MORE = (
    "_ws.",
    "arp.duplicate",
    "arp.seconds",
    "ipv6.addr",
    "ipv6.host",
    "ipv6.src_",
    "ipv6.dst_",
    "ipv6.slaac_mac",
    "ipv6.src_slaac_mac",
)
"""What tshark says once more in other words."""
FAULTS = ("ip.checksum.status", "vrrp.checksum.status", "icmpv6.checksum.status")
GOOD = "1"
"""tshark's word for a checksum that is right."""

Told = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Way:
    """One set of settings, in the words of both."""

    name: str
    version: int
    interval: float
    vips: tuple[str, ...]
    lines: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    forwards: bool = True
    """Whether both machines are IPv6 routers, which their neighbour advertisements say."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.vips[0] else 4

    def ours(self) -> InstanceSpec:
        """Our instance."""
        return instance(
            *self.vips,
            version=self.version,
            interval=self.interval,
            priority=PRIORITY,
            lease=6,
            **self.settings,
        )

    def theirs(self) -> str:
        """The instance of keepalived."""
        return vrrp_instance(
            *self.lines, vips=self.vips, priority=PRIORITY, interval=self.interval, version=self.version
        )


PASSWORD = ("authentication {", "  auth_type PASS", "  auth_pass secret12", "}")
WAYS = [
    Way("v2", 2, 1, (VIP, "192.0.2.101/24")),
    Way("v2 with a password", 2, 1, (VIP,), PASSWORD, {"auth": Password(password="secret12")}),
    Way("v3", 3, 0.1, (VIP, "192.0.2.101/24", "192.0.2.102/32")),
    Way("v3 IPv6", 3, 0.1, ("fe80::100/64", "2001:db8:1::100/64")),
    Way("v3 IPv6 on hosts", 3, 0.1, ("2001:db8:1::100/64",), forwards=False),
]
FRR_WAYS = [
    Way("v3", 3, 0.1, (VIP, "192.0.2.101/24")),
    Way("v3 IPv6", 3, 0.1, ("2001:db8:1::100/64", "2001:db8:1::101/64")),
]


async def test_ours_says_what_keepalived_says(tmp_path: Path) -> None:
    """Adverts, resignations and announcements agree in every decoded field, in number and in octets."""
    async with asyncio.TaskGroup() as group:
        for way in WAYS:
            group.create_task(beside_keepalived(tmp_path / way.name, way), name=way.name)


async def beside_keepalived(directory: Path, way: Way) -> None:
    """Both become master, one after the other, and resign; the frames are compared."""
    with topology(directors=2, servers=0) as net:
        lb1, lb2 = net["lb1"], net["lb2"]
        for node in (lb1, lb2):
            node.sysctl("net.ipv6.conf.all.forwarding", int(way.forwards))
        peer = keepalived(lb2, directory, way.theirs())
        capture = await both(net, directory, way.family, peer, way.ours())
        frames = await capture.frames()
        source = "fe80::{}" if way.family == 6 else "192.0.2.{}"
        theirs = Sender(mac(lb2), source.format(2), frames)
        ours = Sender(mac(lb1), source.format(1), frames)
        assert theirs.adverts, way.name
        assert (found := differences(ours.adverts, theirs.adverts)) == [], (way.name, found)
        assert [a["vrrp.prio"] for a in ours.adverts] == [("150",), ("0",)], way.name
        assert (found := differences(ours.announcements, theirs.announcements)) == [], (way.name, found)
        assert len(ours.announcements) == 5 * len(way.vips), way.name
        assert ours.payloads(way.version) == theirs.payloads(way.version), way.name
        assert ours.first == theirs.first == "vrrp", way.name
        ours.check()


async def test_ours_with_a_virtual_mac_says_what_frr_says(tmp_path: Path) -> None:
    """The same virtual MAC, headers and VRRP, but for the don't-fragment bit, FRR's own idea."""
    async with asyncio.TaskGroup() as group:
        for way in FRR_WAYS:
            group.create_task(beside_frr(tmp_path / way.name, way), name=way.name)


async def beside_frr(directory: Path, way: Way) -> None:
    """As `beside_keepalived`; both speak from the virtual MAC, so they are told apart by their source."""
    with topology(directors=2, servers=0) as net:
        router = Router(way.vips, PRIORITY, way.interval, way.version)
        ours_spec = replace(way.ours(), virtual_mac=True)
        capture = await both(net, directory, way.family, frr(net["lb2"], router), ours_spec)
        frames = await capture.frames()
        sources = ("fe80::1", LINK_LOCAL) if way.family == 6 else ("192.0.2.1", "192.0.2.2")
        ours, theirs = (
            Sender(
                router.mac, source, [f for f in frames if f["ip.src"] == source or f["ipv6.src"] == source]
            )
            for source in sources
        )
        assert theirs.adverts, way.name
        fragment = "ip.flags"
        found = differences(ours.adverts, theirs.adverts)
        assert [each for each in found if fragment not in each] == [], (way.name, found)
        assert ours.payloads(way.version) == theirs.payloads(way.version), way.name
        ours.check()


async def both(
    net: Network, directory: Path, family: int, theirs: AbstractAsyncContextManager[Peer], ours: InstanceSpec
) -> Capture:
    """The peer is master for a few adverts and resigns, then ours does; what the client saw of it."""
    await asyncio.to_thread(directory.mkdir)
    async with capturing(net["client"], directory / "wire.pcap") as capture:
        with hearing(net["client"], family) as ears:
            async with theirs as peer:
                for _ in range(3):
                    await ears.next(within=20, priority=PRIORITY)
                await peer.stop()
            async with speaking(net["lb1"], directory) as speaker:
                await speaker.configure(ours)
                await speaker.become(State.MASTER)
                for _ in range(2):
                    await ears.next(priority=PRIORITY)
                await speaker.stop()
    return capture


class Sender:
    """What one sender said, with its own MAC and address as words."""

    def __init__(self, mac: str, source: str, frames: Iterable[Frame]) -> None:
        self._words = {mac: "MAC", source: "SOURCE"}
        self.frames = [frame for frame in frames if frame["eth.src"] == mac and kind(frame)]

    @property
    def first(self) -> str:
        """What came first: an advert or an announcement."""
        return kind(self.frames[0])

    @property
    def adverts(self) -> list[Told]:
        """Adverts as they were decoded, in order, without repeats."""
        told: list[Told] = []
        for frame in self.frames:
            if kind(frame) == "vrrp" and (said := self._told(frame)) not in told:
                told.append(said)
        return told

    @property
    def announcements(self) -> list[Told]:
        """Gratuitous ARPs and neighbour advertisements as they were decoded, in order of what they say."""
        told = [self._told(frame) for frame in self.frames if kind(frame) != "vrrp"]
        return sorted(told, key=lambda each: sorted(each.items()))

    def payloads(self, version: int) -> Sequence[bytes]:
        """The VRRP octets, without repeats; in version 3 the checksum covers the source and is left out."""
        octets = [frame.octets["vrrp"] for frame in self.frames if kind(frame) == "vrrp"]
        if version == 3:
            octets = [each[:6] + each[8:] for each in octets]
        return list(dict.fromkeys(octets))

    def check(self) -> None:
        """Every checksum is right, as tshark computes it."""
        for frame in self.frames:
            for name in FAULTS:
                assert frame.fields.get(name, (GOOD,)) == (GOOD,), (name, frame.fields)

    def _told(self, frame: Frame) -> Told:
        return {
            name: tuple(self._words.get(value, value) for value in values)
            for name, values in frame.fields.items()
            if name not in FREE and not name.startswith(DERIVED + DERIVED_MORE)
        }


def differences(ours: Sequence[Told], theirs: Sequence[Told]) -> list[str]:
    """In what two rows of frames differ, in words."""
    if len(ours) != len(theirs):
        return [f"{len(ours)} of ours, {len(theirs)} of theirs"]
    return [
        f"{number} {name}: ours {mine.get(name)}, theirs {other.get(name)}"
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=True))
        for name in sorted(mine.keys() | other.keys())
        if mine.get(name) != other.get(name)
    ]


def kind(frame: Frame) -> str:
    """Which of the three a frame is: vrrp, arp, na; or none of them."""
    if "vrrp" in frame.octets:
        return "vrrp"
    if "arp" in frame.octets:
        return "arp" if frame["arp.src.proto_ipv4"] == frame["arp.dst.proto_ipv4"] else ""
    return "na" if frame["icmpv6.type"] == "136" else ""


def mac(node: Node) -> str:
    """The MAC of a node on the wire."""
    (link,) = json.loads(node.run("ip", "-j", "link", "show", "dev", "front"))
    return str(link["address"])
