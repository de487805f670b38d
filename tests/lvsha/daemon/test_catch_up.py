"""Tests of lvsha.daemon.catch_up: when a node knows enough connections to take over from a living master."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from typing import Any

from lvsha.config import IpvsConfig, SyncConfig, VipConfig, VrrpConfig
from lvsha.daemon.catch_up import FLUSH, CatchUp, End, Progress, counter, established, uncounted
from lvsha.errors import KernelError
from lvsha.model import Family, Observed, Protocol, Role, ServerState, ServiceState
from tests.lab.hearing import Hearing
from tests.lab.services import config, server, service

WEB = service(server(1), server(2))
VRRP = VrrpConfig(
    "public", "front", 51, 3, Family.IPV4, 200, 1.0, (VipConfig(ip_interface("192.0.2.100/24"), "front"),)
)
PAIR = replace(config(WEB), sync=SyncConfig("back"), vrrp={"public": VRRP})


def judged(
    *counts: tuple[float, int],
    there: int | None = None,
    limit: float = 30,
    period: float = 10,
    old: int = 0,
    uncounted: bool = False,
    silent: int = 0,
) -> End | None:
    """What is said after these counts, as (seconds, connections); `old` were there at the beginning.

    `silent` of them were not told of in the first period.
    """
    progress = Progress(0.0, limit=limit, period=period, old=old, uncounted=uncounted)
    end = None
    for now, known in counts:
        assert end is None
        end = progress.judge(known, there, now, silent if now >= period else None)
    return end


def test_as_many_as_the_peer_has_are_enough() -> None:
    """95 of 100 end the waiting at once, 94 do not; none of none are enough."""
    end = judged((0.5, 95), there=100)
    assert end == End(enough=True, why="knows 95 of the peer's 100 connections")
    assert judged((0.5, 94), there=100) is None
    assert judged((0.5, 0), there=0) is not None


def test_what_was_there_at_the_beginning_may_be_of_long_ago() -> None:
    """100 old ones are none of the peer's 100 new ones for all anybody knows, until a period has passed."""
    assert judged((0.5, 100), there=100, old=100) is None
    assert judged((0.5, 150), (9.9, 190), there=100, old=100) is None
    end = judged((0.5, 150), (9.9, 195), there=100, old=100)
    assert end == End(enough=True, why="knows 195 of the peer's 100 connections")
    assert judged((9.9, 100), (10.0, 100), there=100, old=100) is not None


def test_what_was_not_told_of_within_a_period_may_have_ended() -> None:
    """As many as the peer has, and none of them told of: that is not enough, and at the end it is said."""
    assert judged((0.5, 200), (10.0, 200), (29.0, 200), there=200, old=200, silent=200) is None
    assert judged((10.0, 200), there=200, old=200, silent=10) is not None
    end = judged((29.0, 200), (30.0, 200), there=200, old=200, silent=200)
    why = "30 s have passed, and 200 of 200 connections are from before, not told of since"
    assert end == End(enough=False, why=why)


def test_what_nobody_counts_is_listened_to_for_a_period() -> None:
    """However many of the counted ones are known: the others are told of by then."""
    assert judged((0.5, 100), (9.9, 100), there=100, uncounted=True) is None
    end = judged((9.9, 100), (10.0, 100), there=100, uncounted=True)
    assert end == End(enough=True, why="knows 100 of the peer's 100 connections")


def test_udp_is_what_nobody_counts() -> None:
    """Unless its packets are no connections at all; behind a firewall mark there may be anything."""
    udp = replace(WEB, protocol=Protocol.UDP)
    mark = replace(WEB, address=None, port=None, fwmark=7)
    assert not uncounted(config(WEB, replace(udp, name="dns", one_packet=True)))
    assert uncounted(config(WEB, replace(udp, name="dns")))
    assert uncounted(config(WEB, replace(mark, name="marked")))


def test_a_peer_that_says_nothing_is_judged_by_growth() -> None:
    """A count that has stood still for a whole period is enough, a shorter one is not."""
    assert judged((0.0, 0), (5.0, 900), (9.0, 900)) is None
    assert judged((0.0, 0), (5.0, 900), (9.0, 900), (14.9, 905)) is None
    end = judged((0.0, 0), (5.0, 900), (9.0, 900), (15.0, 918))
    assert end == End(enough=True, why="knows 918 connections, and no more in 10 s")


def test_growth_goes_on_being_waited_for() -> None:
    """More than two in a hundred within a period are growth."""
    assert judged((0.0, 100), (10.0, 200), (20.0, 205)) is None


def test_a_peer_that_knows_more_is_not_judged_by_growth() -> None:
    """Half of what the peer has does not become enough by standing still."""
    assert judged((0.0, 50), (15.0, 50), (29.0, 50), there=100) is None


def test_the_waiting_has_an_end() -> None:
    """After the limit it is over, and said that it was not enough."""
    assert judged((29.9, 50), there=100) is None
    assert judged((30.0, 50), there=100) == End(enough=False, why="30 s have passed")


def test_established_connections_of_the_configured_services_count() -> None:
    """Closed ones, and those of strangers, do not."""
    state = ServerState(server(1).server, active=7, inactive=100, persistent=3)
    other = service(port=99)
    observed = Observed(
        {
            WEB.key: ServiceState(
                WEB.service, {server(1).key: state, server(2).key: replace(state, active=5)}
            ),
            other.key: ServiceState(other.service, {server(1).key: state}),
        }
    )
    assert established(config(WEB), observed) == 12


async def test_a_kernel_that_does_not_answer_is_not_counted() -> None:
    """None, not 0."""

    async def see() -> Observed:
        raise KernelError("gone")

    assert await counter(lambda: PAIR, see)() is None


def test_only_a_pair_that_tells_of_connections_waits() -> None:
    """Without sync, without VRRP, or told not to, there is nothing to wait for."""

    def due(cfg: Any) -> bool:
        site = Site()
        return CatchUp(lambda: cfg, site.count, site, lambda: Role.BACKUP).due

    assert due(PAIR)
    assert not due(replace(PAIR, sync=None))
    assert not due(replace(PAIR, vrrp={}))
    assert not due(replace(PAIR, sync=SyncConfig("back", catch_up=0.0)))


@dataclass
class Site:
    """A node that knows more connections at each count, and a peer that answers from some question on."""

    known: int = 0
    step: int = 100
    there: int | None = None
    asked: int = 0
    answers_after: int = 1
    role: Role = Role.BACKUP

    async def count(self) -> int | None:
        """One more look at the kernel."""
        self.known += self.step
        return self.known

    def ask_census(self) -> None:
        """As `Peers`."""
        self.asked += 1

    @property
    def connections(self) -> int | None:
        """As `Peers`."""
        return self.there if self.asked >= self.answers_after else None


async def run(site: Site, *, catch_up: float = 30.0) -> None:
    """Wait until the node may take over."""
    sync = SyncConfig("back", catch_up=catch_up)
    cfg = replace(PAIR, sync=sync, ipvs=IpvsConfig(sysctl={"sync_refresh_period": 1}))
    async with asyncio.timeout(10):
        await CatchUp(lambda: cfg, site.count, site, lambda: site.role).run()


async def test_it_waits_for_the_peers_connections_and_says_so(said: Hearing) -> None:
    """From the first count to the one that is enough."""
    await run(Site(known=-100, there=190))
    first, last = said
    assert (first["event"], first["connections"], first["seconds"]) == ("sync.catching_up", 0, 30.0)
    assert (last["event"], last["connections"], last["peer_connections"]) == ("sync.caught_up", 200, 190)
    assert last["why"] == "knows 200 of the peer's 190 connections"


async def test_a_table_from_before_is_listened_to_for_a_period(said: Hearing) -> None:
    """A node that was away without a reboot has connections of old, as many as the peer has new ones."""
    await run(Site(known=250, there=250, step=0))
    assert (said[0]["connections"], said[-1]["event"]) == (250, "sync.caught_up")
    assert said[-1]["seconds"] >= 1 + FLUSH


async def test_a_peer_is_not_told_of_what_may_have_ended_long_ago() -> None:
    """While a node waits, those that were there when it began do not count for who asks."""
    site = Site(known=100, step=0, there=250)
    catch_up = CatchUp(lambda: PAIR, site.count, site, lambda: site.role)
    assert await catch_up.told() == 100
    waiting = asyncio.create_task(catch_up.run())
    async with asyncio.timeout(10):
        while not site.asked:  # noqa: ASYNC110 - nobody tells when it has begun
            await asyncio.sleep(0)
    site.known = 112
    assert await catch_up.told() == 12
    site.known = 250
    assert await catch_up.told() == 150
    site.role = Role.MASTER
    assert await catch_up.told() == 250
    await waiting
    site.role = Role.BACKUP
    assert await catch_up.told() == 250


async def test_a_table_that_nothing_touches_is_not_enough(said: Hearing) -> None:
    """All from before and silent: the time allowed is used up, and both counts and the doubt are told."""
    asked: list[float] = []

    async def untouched(seconds: float) -> int:
        asked.append(seconds)
        return 250

    site = Site(known=250, there=250, step=0)
    sync = SyncConfig("back", catch_up=5.0)
    cfg = replace(PAIR, sync=sync, ipvs=IpvsConfig(sysctl={"sync_refresh_period": 1}))
    async with asyncio.timeout(10):
        await CatchUp(lambda: cfg, site.count, site, lambda: site.role, untouched).run()
    assert (said[-1]["event"], said[-1]["connections"]) == ("sync.behind", 250)
    assert said[-1]["why"] == "5 s have passed, and 250 of 250 connections are from before, not told of since"
    assert min(asked) >= 1 + FLUSH


async def test_what_cannot_be_waited_for_is_told(said: Hearing) -> None:
    """A peer that has more than ever comes here: after the limit this node takes over, with a warning."""
    await run(Site(there=10_000, step=0), catch_up=1.0)
    assert (said[-1]["event"], said[-1]["severity"]) == ("sync.behind", "warning")
    assert said[-1]["seconds"] >= 1.0


async def test_a_master_has_nobody_to_wait_for(said: Hearing) -> None:
    """There was no other master: what is known here is all there is."""
    await run(Site(there=10_000, role=Role.MASTER))
    assert said[-1]["why"] == "this node is master already"


async def test_without_a_channel_a_period_without_growth_must_do(said: Hearing) -> None:
    """The period is what the kernel needs to tell of everything: the refresh period, and what it collects."""
    await run(Site(there=None, step=0))
    assert said[-1]["event"] == "sync.caught_up"
    assert 1 + FLUSH <= said[-1]["seconds"] <= 1 + FLUSH + 2
