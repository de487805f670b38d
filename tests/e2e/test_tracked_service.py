"""A director that has lost its servers hands the address to one that has not: `track` by a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.pair import LONE, VIP, Stage, staged

pytestmark = pytest.mark.ipvs

SERVICE = """
[services.web]
address = "192.0.2.100"
port = 80
mode = "nat"
check = { kind = "tcp", port = 8080, interval = "500ms", timeout = "2s", rise = 1, fall = 2 }
servers = [{ name = "rs1", address = "10.0.1.11", port = 8080 }]
"""


@pytest.mark.parametrize(
    ("weight", "event", "state"),
    [(-150, "vrrp.priority", "backup"), (0, "tracker.failed", "fault")],
    ids=["by its priority", "by a fault"],
)
async def test_a_director_without_servers_hands_over(
    tmp_path: Path, weight: int, event: str, state: str
) -> None:
    """The master is cut off from the servers: with a weight the peer pre-empts it, without one it resigns."""
    settings = f'track = [{{ service = "web", at_least = 1, weight = {weight} }}]'
    instance = LONE.replace("{settings}", settings).replace("{interval:g}", "1")
    async with staged(instance + SERVICE, 1.0, tmp_path, servers=1) as stage:
        stage.begin()
        stage.net["lb1"].cut("back")
        await stage.event("lb1", event)
        await stage.alone("lb2", within=30)
        await stage.event("lb1", "vrrp.state", state=state)
        stage.net["lb1"].mend("back")
        await stage.alone("lb1", within=30)
        print(stage.line.story(VIP, stage.since, Stage.now()))
