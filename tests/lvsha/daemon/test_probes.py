"""Tests of lvsha.daemon.probes: where a probe comes from, and when it is not sent."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

import checks
from checks.tcp import Tcp
from lvsha.config import CheckConfig, Passage
from lvsha.daemon.probes import AGAIN, Probes, choose, virtual
from lvsha.desired import Target
from lvsha.kernel.addresses import OURS
from lvsha.model import Family, Method, Server, ServerKey, ServiceKey
from tests.lab.facts import BACK, FRONT, held, pair, vrrp
from tests.lab.services import config, service

WAY = Passage(
    0x6C760001,
    Family.IPV4,
    ip_address("192.0.2.100"),
    80,
    ServerKey(ip_address("10.0.0.11"), 80),
    Server(Method.MASQUERADE, 1),
)
FRONT_OWN, BACK_OWN = held("192.0.2.1/24", FRONT), held("10.0.0.1/24", BACK)


def source(*addresses: object, way: Passage = WAY, virtual: Collection[str] = ()) -> str | None:
    """The address that is chosen."""
    found = choose(addresses, way, {ip_address(v) for v in virtual})  # type: ignore[arg-type]  # they are held
    return str(found.place.address.ip) if found is not None else None


def test_a_probe_comes_from_the_clients_side() -> None:
    """So that a server in mode nat needs its gateway to answer; the server's side is second best."""
    assert source(BACK_OWN, FRONT_OWN) == "192.0.2.1"
    assert source(BACK_OWN) == "10.0.0.1"
    assert source(held("203.0.113.1/24", 3)) is None


def test_a_probe_never_comes_from_a_virtual_address() -> None:
    """Not from the service's, not from one on a lease, not from another instance's."""
    assert source(held("192.0.2.100/24", FRONT), BACK_OWN) == "10.0.0.1"
    assert source(held("192.0.2.99/24", FRONT, mark=OURS), BACK_OWN) == "10.0.0.1"
    assert source(held("192.0.2.99/24", FRONT), BACK_OWN, virtual=["192.0.2.99"]) == "10.0.0.1"


def test_what_is_virtual() -> None:
    """What VRRP moves, and every service's address: another service's may be on this server's lo too."""
    other = replace(service(), name="other", address=ip_address("192.0.2.101"))
    cfg = pair(config(service(), other), vrrp("192.0.2.100/24", "10.0.0.254/24"))
    assert {str(a) for a in virtual(cfg)} == {"192.0.2.100", "192.0.2.101", "10.0.0.254"}


def test_an_address_of_the_other_family_does_not_do() -> None:
    """IPv6 is asked over IPv6, from an address that is ready."""
    six = replace(WAY, family=Family.IPV6, address=ip_address("2001:db8:1::100"))
    own = held("2001:db8:1::1/64", FRONT)
    assert source(FRONT_OWN, own, way=six) == "2001:db8:1::1"
    assert source(FRONT_OWN, replace(own, flags=0x40), way=six) is None


@dataclass
class Desk:
    """A kernel that may hold the mark's service or not."""

    there: bool = True
    comes: bool = False
    """It is there once it was looked for."""
    looked: list[Collection[ServiceKey]] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.probes = Probes(config, self._has, self._look, self.accepted.append)

    def _has(self, key: ServiceKey) -> bool:
        return self.there and key == WAY.service

    async def _look(self, keys: Collection[ServiceKey]) -> None:
        self.looked.append(keys)
        self.there = self.comes

    async def probe(self, way: Passage | None = WAY) -> checks.Outcome:
        """One probe of a port on loopback where nothing listens, by a marked socket."""
        # It is refused at once, unless the machine is busy.
        check = CheckConfig("tcp", Tcp(source="127.0.0.1"), timeout=30.0)
        return await self.probes.probe(Target(check, ip_address("127.0.0.1"), 1, way))


async def test_a_probe_without_its_way_is_not_sent() -> None:
    """A mark that leads nowhere would be answered by any server; that it does is looked after, once."""
    desk = Desk(there=False)
    probe = asyncio.create_task(desk.probe())
    await asyncio.sleep(2 * AGAIN)
    assert not probe.done()
    assert desk.looked == [[WAY.service]]
    desk.there = True
    assert "refused" in (await probe).detail


@pytest.mark.net
async def test_a_probe_waits_for_its_way_and_bears_its_mark() -> None:
    """Once the service is there the probe goes, and says by which mark; a given source is kept."""
    outcome = await Desk(there=False, comes=True).probe()
    assert "127.0.0.1:1 from 127.0.0.1 with mark 1819672577: refused" in outcome.detail


async def test_a_plain_probe_asks_nobody() -> None:
    """Straight to the server: no mark, no look."""
    desk = Desk(there=False)
    outcome = await desk.probe(way=None)
    assert "mark" not in outcome.detail
    assert desk.looked == []
