"""Tests of lvsha.daemon.process: what a director does before it begins to direct, with real daemons."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lvsha.daemon.process import BAD_CONFIGURATION
from tests.lab.director import Director, directing
from tests.lab.network import topology
from tests.lab.process import start

pytestmark = pytest.mark.net


@pytest.fixture
async def lb1(tmp_path: Path) -> AsyncIterator[Director]:
    """A director with nothing to direct."""
    async with topology(servers=0) as net, directing(net["lb1"], "", tmp_path) as director:
        yield director


async def test_a_second_daemon_leaves_the_first_alone(lb1: Director, tmp_path: Path) -> None:
    """The socket of a living daemon is not taken over; the second one says so and directs all the same."""
    second = Director(lb1.node, tmp_path / "second", None)
    second.directory.mkdir()
    second.socket = lb1.socket
    second.write("")
    process = await second.start()
    refused = await process.event("api.unavailable")
    assert str(lb1.socket) in refused["error"]
    assert (await lb1.ask("GET", "/v1/status"))["services"] == 0
    assert await process.stop() == 0


async def test_a_second_daemon_in_one_place_waits_for_the_first(lb1: Director) -> None:
    """The same configuration started twice: the second one says why, and serves when the first has ended."""
    second = await start(lb1.node, "lvsha", "--config", str(lb1.file), "--log", "json")
    failed = await second.event("daemon.failed")
    assert "another lvshad runs in" in failed["error"]
    assert (await lb1.ask("GET", "/v1/status"))["services"] == 0
    assert lb1.process is not None
    assert await lb1.process.stop() == 0
    await second.event("daemon.ready")
    assert await second.stop() == 0


async def test_a_state_directory_that_cannot_be_made_does_not_stop_the_start(tmp_path: Path) -> None:
    """It is said loudly, and what cannot be kept is refused; everything else works."""
    (tmp_path / "lb1").mkdir()
    (tmp_path / "lb1" / "state").write_text("in the way")
    async with topology(servers=0) as net, directing(net["lb1"], "", tmp_path) as lb1:
        await lb1.event("state.unwritable", file=str(tmp_path / "lb1" / "state"))
        assert (await lb1.ask("GET", "/v1/status"))["config_generation"] == 1


async def test_a_configuration_with_a_problem_ends_it_at_once(tmp_path: Path) -> None:
    """Every problem is told with its place, nothing is made, and the daemon ends with a status of its own."""
    async with topology(servers=0) as net:
        broken = Director(net["lb1"], tmp_path / "lb1", None)
        broken.directory.mkdir()
        broken.write('[services.web]\naddress = "192.0.2.300"\n')
        process = await broken.start()
        problem = await process.event("config.problem")
        assert "services.web" in problem["problem"]
        assert await process.wait() == BAD_CONFIGURATION
        assert not (tmp_path / "lb1" / "state").exists()
