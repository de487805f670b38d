"""Whatever fails, one node holds the address: each failure on a real pair, held to what is promised.

A pair waits for most of its time, so a few are on stage at once, each on a network of its own. What they
print is mixed then; a scenario that is asked for alone is played alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.lab.fencing import SCENARIOS, Finding, Scenario, play

pytestmark = [pytest.mark.net, pytest.mark.asyncio(loop_scope="module")]

INTERVAL = 0.1
SURE = 1.0
"""For what must be over before a peer could notice, however busy the machine is."""
HURRIED = {"the speaker is killed", "speaker and director are killed"}
PAIRS = 3
"""Played at once; the bounds of what they are held to allow for a machine that has something else to do."""

Findings = dict[str, asyncio.Task[Finding]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def findings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Findings]:
    """What is found in each scenario that was asked for, by its name."""
    items = [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
    scenarios: list[Scenario] = [item.callspec.params["scenario"] for item in items]  # type: ignore[attr-defined]
    stages = asyncio.Semaphore(PAIRS)

    async def one(scenario: Scenario) -> Finding:
        interval = SURE if scenario.name in HURRIED else INTERVAL
        async with stages:
            return await play(scenario, interval, tmp_path_factory.mktemp("stage"))

    tasks = {each.name: asyncio.create_task(one(each), name=each.name) for each in scenarios}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_one_node_holds_the_address(scenario: Scenario, findings: Findings) -> None:
    """Who holds the address when, and how long nobody or both do, is as the scenario promises."""
    finding = await findings[scenario.name]
    print(finding.scenario.name, "|", finding.story, "|", *finding.notes)
    assert finding.faults == [], finding
