"""Two directors whose cables are pulled: a carrier that does not count yet, and one that is not needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.pair import NODES
from tests.lab.two import Two, paired

pytestmark = pytest.mark.net

SETTLING = """
[vrrp.public]
interface = "front"
vrid = 51
interval = "100ms"
carrier_delay = "2s"
addresses = ["192.0.2.100/24"]
"""
CABLE = """
[vrrp.public]
interface = "back"
vrid = 51
interval = "100ms"
needs_carrier = false
addresses = [{ address = "192.0.2.100/24", interface = "front" }]
track = [{ interface = "front" }]
group = "site"
"""
SECOND = """
[vrrp.second]
interface = "front"
vrid = 52
interval = "100ms"
addresses = ["192.0.2.101/24"]
group = "site"
"""


@pytest.fixture
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Two]:
    """The pair of a configuration, with lb1 as master."""
    text = NODES + request.param
    async with paired(text, tmp_path) as both:
        yield both


@pytest.mark.parametrize("pair", [SETTLING], indirect=True)
async def test_a_cable_that_is_back_does_not_count_at_once(pair: Two) -> None:
    """The better node waits in fault, where `status` says why; then it listens, and takes over."""
    pair.net["lb1"].unplug("front")
    await pair.lb2.event("vip.added")
    mark = await pair.lb1.mark()
    pair.net["lb1"].plug("front")
    settling = await pair.lb1.event("vrrp.settling", since=mark)
    status = await pair.lb1.ask("GET", "/v1/status")
    assert any("has had its carrier for less than 2 s" in warning for warning in status["warnings"])
    assert pair.holders() == ["lb2"]
    back = await pair.lb1.event("vrrp.state", since=mark, state="backup")
    assert between(settling, back) >= 1.9
    await pair.lb1.event("vip.added", since=mark)
    await pair.lb2.event("vip.removed")
    assert pair.holders() == ["lb1"]


@pytest.mark.parametrize("pair", [CABLE], indirect=True)
async def test_a_master_outlives_the_other_end_of_its_cable(pair: Two) -> None:
    """The other director is off and the cable without a carrier: it is master, and says what that means."""
    assert pair.lb2.process is not None
    await pair.lb2.process.stop()
    mark = await pair.lb1.mark()
    pair.net["lb1"].unplug("back")
    lost = await pair.lb1.event("vrrp.link_lost", since=mark)
    assert lost["alert"]
    assert (await pair.lb1.cli("status", "--check")).status == 1
    assert pair.holders() == ["lb1"]
    pair.net["lb1"].plug("back")
    await pair.lb1.event("vrrp.link_back", since=mark)
    assert pair.lb1.process is not None
    said = pair.lb1.process.events[mark:]
    assert [e for e in said if e["event"] in ("vrrp.state", "vip.removed")] == []


@pytest.mark.parametrize("pair", [CABLE + SECOND], indirect=True)
async def test_a_cable_that_is_not_the_only_way_may_be_cut(pair: Two) -> None:
    """The group's other instance is heard: nobody takes over, for longer than a silence counts."""
    mark = await pair.lb2.mark()
    pair.net["lb1"].unplug("back")
    pair.net["lb2"].unplug("back")
    await pair.lb2.event("vrrp.link_lost")
    await asyncio.sleep(2.0)
    assert pair.lb2.process is not None
    assert [e for e in pair.lb2.process.events[mark:] if "master" in (e.get("state"), e.get("role"))] == []
    assert pair.holders() == ["lb1"]


@pytest.mark.parametrize("pair", [CABLE], indirect=True)
async def test_a_cable_that_is_cut_makes_two_masters_who_say_so(pair: Two) -> None:
    """That is the price; with the cable back there is one, and it is the better node."""
    pair.net["lb1"].unplug("back")
    pair.net["lb2"].unplug("back")
    await pair.lb2.event("vip.added")
    await pair.lb1.event("vrrp.link_lost")
    await pair.lb2.event("vrrp.link_lost")
    assert pair.holders() == ["lb1", "lb2"]
    pair.net["lb1"].plug("back")
    pair.net["lb2"].plug("back")
    await pair.lb2.event("vip.removed")
    assert pair.holders() == ["lb1"]


def between(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Seconds from one event to another."""
    first, second = (datetime.fromisoformat(event["timestamp"]) for event in (one, other))
    return (second - first).total_seconds()
