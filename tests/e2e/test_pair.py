"""Two directors and their speakers, natively: who holds the address, and what the daemons say of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.director import Director
from tests.lab.two import Two, paired

pytestmark = pytest.mark.net

VIP = "192.0.2.100"
PAIR = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
[vrrp.public]
interface = "front"
vrid = 51
interval = "100ms"
addresses = ["192.0.2.100/24"]
"""


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Two]:
    """The pair with lb1 as master."""
    async with paired(PAIR, tmp_path) as both:
        yield both


async def test_one_of_two_holds_the_address(pair: Two) -> None:
    """The node of higher priority is master, the other is backup and has nothing."""
    assert pair.holders() == ["lb1"]
    await pair.lb2.event("vrrp.state", state="backup")
    shown = await a_master_known_to(pair.lb2)
    assert (shown["state"], shown["master"]) == ("backup", "192.0.2.1")


async def a_master_known_to(director: Director) -> dict[str, Any]:
    """The instance as a director shows it, once that has heard a master; nobody tells when it has."""
    async with asyncio.timeout(10):
        while True:
            (shown,) = await director.ask("GET", "/v1/vrrp")
            if shown["master"] is not None:
                return dict(shown)
            await asyncio.sleep(0.02)


async def test_a_planned_failover_hands_over(pair: Two) -> None:
    """`lvsha-cli failover` returns once the peer is master: it has the address, and the other has not."""
    result = await pair.lb1.cli("failover")
    assert result.status == 0, result
    await pair.lb2.event("vip.added")
    await pair.lb1.event("vip.removed")
    assert pair.holders() == ["lb2"]
    (shown,) = await pair.lb1.ask("GET", "/v1/vrrp")
    assert (shown["state"], shown["master"]) == ("backup", "192.0.2.2")


async def test_a_failover_that_nobody_takes_is_short(pair: Two) -> None:
    """Without its peer the master has the addresses again soon: a living one would have taken them."""
    assert pair.lb2.process is not None
    await pair.lb2.process.kill()
    mark = await pair.lb1.mark()
    result = await pair.lb1.cli("failover")
    assert result.status == 5
    told = re.search(r"no peer took over within ([0-9.]+) s", result.errors)
    assert told is not None, result
    # 1.4 s and what the machine makes of it.
    assert 1.4 <= float(told[1]) < 2.4
    gone = await pair.lb1.event("vip.removed", since=mark)
    back = await pair.lb1.event("vip.added", since=mark)
    away = datetime.fromisoformat(back["timestamp"]) - datetime.fromisoformat(gone["timestamp"])
    assert away.total_seconds() < 3


async def test_who_is_not_master_has_nothing_to_hand_over(pair: Two) -> None:
    """That is no failure to take over: nothing was waited for."""
    for words in (["failover"], ["failover", "public"]):
        result = await pair.lb2.cli(*words)
        assert (result.status, "not master" in result.errors) == (1, True), result


async def test_a_stopped_master_hands_over(pair: Two) -> None:
    """SIGTERM: the master resigns, and its peer takes over in a skew time."""
    assert pair.lb1.process is not None
    assert await pair.lb1.process.stop() == 0
    await pair.lb2.event("vip.added")
    assert pair.holders() == ["lb2"]


async def test_a_held_master_stays_backup_until_it_is_released(pair: Two) -> None:
    """`hold` keeps a node out of the election; `release` lets the higher priority win again."""
    assert (await pair.lb1.cli("hold")).status == 0
    await pair.lb2.event("role.changed", role="master")
    mark = await pair.lb1.mark()
    assert (await pair.lb1.cli("release")).status == 0
    await pair.lb1.event("vip.added", since=mark)
    await pair.lb2.event("vip.removed")
    assert pair.holders() == ["lb1"]


async def test_a_held_node_comes_back_held(pair: Two) -> None:
    """A restart, of the machine too, is what a node is held for: it is no master before it is released."""
    assert (await pair.lb1.cli("hold")).status == 0
    await pair.lb2.event("role.changed", role="master")
    assert pair.lb1.process is not None
    assert await pair.lb1.process.stop() == 0
    await pair.lb1.start()
    await pair.lb1.event("vrrp.state", state="backup")
    (shown,) = await pair.lb1.ask("GET", "/v1/vrrp")
    assert (shown["state"], shown["held"]) == ("backup", True)
    assert (await pair.lb1.cli("status", "--check")).status == 1
    assert (await pair.lb1.cli("release")).status == 0
    await pair.lb1.event("role.changed", role="master")


async def test_instances_that_are_taken_away_alarm_nobody(pair: Two) -> None:
    """A configuration without VRRP has the speaker end in good order: it is not lost."""
    mark = await pair.lb1.mark()
    await pair.lb1.reload("")
    await pair.lb1.event("reload.done", since=mark)
    await pair.lb2.event("role.changed", role="master")
    await pair.lb1.event("vip.removed", since=mark)
    assert pair.holders() == ["lb2"]
    assert pair.lb1.process is not None
    said = pair.lb1.process.events[mark:]
    assert [e["event"] for e in said if e["severity"] == "critical"] == []


async def test_an_orderly_stop_alarms_nobody(pair: Two) -> None:
    """A backup that is stopped says so, and nothing about it is an alert."""
    assert pair.lb2.process is not None
    mark = await pair.lb2.mark()
    assert await pair.lb2.process.stop() == 0
    said = pair.lb2.process.events[mark:]
    assert [e["event"] for e in said if e["severity"] == "critical"] == []
