"""Whatever fails, one node holds the address: each failure on a real pair, held to what is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.fencing import SCENARIOS, Scenario, play

pytestmark = pytest.mark.net

INTERVAL = 0.1
SURE = 1.0
"""For what must be over before a peer could notice, however busy the machine is."""
HURRIED = {"the speaker is killed", "speaker and director are killed"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_one_node_holds_the_address(scenario: Scenario, tmp_path: Path) -> None:
    """Who holds the address when, and how long nobody or both do, is as the scenario promises."""
    interval = SURE if scenario.name in HURRIED else INTERVAL
    finding = await play(scenario, interval, tmp_path)
    print(finding.scenario.name, "|", finding.story, "|", *finding.notes)
    assert finding.faults == [], finding
