"""Tests of lvsha.daemon.supervisor: a daemon without services, from its start to its end.

What it does with a kernel's table is seen in tests/e2e.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.network import topology
from tests.lab.process import start

pytestmark = pytest.mark.net


@pytest.fixture
async def lb1(tmp_path: Path) -> AsyncIterator[Director]:
    """A director with nothing to direct."""
    async with topology(servers=0) as net, directing(net["lb1"], "", tmp_path) as director:
        yield director


async def test_a_daemon_without_services_needs_no_ipvs(lb1: Director) -> None:
    """It starts, is ready, and says that IPVS is not needed."""
    status = await lb1.ask("GET", "/v1/status")
    assert (status["role"], status["kernel"], status["services"]) == ("alone", "IPVS is not needed", 0)


async def test_an_orderly_stop_ends_with_0(lb1: Director) -> None:
    """SIGTERM: both processes end, the socket is gone, the status is 0."""
    assert lb1.process is not None
    assert await lb1.process.stop() == 0
    assert lb1.process.events[-1]["event"] == "daemon.stopped"
    assert not lb1.socket.exists()


async def test_who_follows_the_events_does_not_hold_up_a_stop(lb1: Director) -> None:
    """An open stream is ended, and its reader learns why; the stop is as orderly as any."""
    assert lb1.process is not None
    follower = await start(lb1.node, "lvsha.cli", "--socket", str(lb1.socket), "--json", "events", "-f")
    await follower.event("daemon.ready")  # the past has been told
    await lb1.reload("[ipvs]\nlook = 5\n")
    await follower.event("reload.done")
    assert await lb1.process.stop() == 0
    assert not [e for e in lb1.process.events if e["event"] in ("process.hung", "daemon.failed")]
    assert await follower.wait() == 3
    assert "stopping" in "".join(follower.errors)


async def test_a_reload_says_what_changed(lb1: Director) -> None:
    """The answer names the difference, and the generation counts up."""
    lb1.write("[ipvs]\nlook = 5\n")
    answer = await lb1.ask("POST", "/v1/reload")
    assert (answer["generation"], answer["changed"]) == (2, ["ipvs changed"])


async def test_a_reload_by_signal_is_refused_as_a_whole(lb1: Director) -> None:
    """SIGHUP with a broken file: every problem is told and the old configuration stays."""
    await lb1.reload("[ipvs]\nlook = -5\nloook = 7\n")
    refused = await lb1.event("reload.refused")
    assert (refused["by"], len(refused["problems"])) == ("SIGHUP", 2)
    assert (await lb1.ask("GET", "/v1/status"))["config_generation"] == 1


async def test_a_killed_director_comes_back(lb1: Director) -> None:
    """The parent starts a whole new one, and the API answers again."""
    mark = await lb1.mark()
    os.kill(lb1.pid("director"), signal.SIGKILL)
    await lb1.event("process.exited", since=mark, process="director")
    await lb1.event("daemon.ready", since=mark)
    assert (await lb1.ask("GET", "/v1/status"))["config_generation"] == 1


async def test_state_of_another_kind_is_kept_aside(tmp_path: Path) -> None:
    """A torn overrides file is said loudly, kept, and does not stop the start."""
    async with topology(servers=0) as net:
        state = tmp_path / "lb1" / "state"
        state.mkdir(parents=True)
        (state / "overrides.json").write_text("{torn")
        async with directing(net["lb1"], "", tmp_path) as lb1:
            await lb1.event("state.discarded")
            assert [p.read_text() for p in state.glob("overrides.json.bad-*")] == ["{torn"]
            assert await lb1.ask("GET", "/v1/overrides") == []


async def test_metrics_that_cannot_be_served_leave_control_alone(tmp_path: Path) -> None:
    """Their address may be missing for days; the operator's commands work all the while."""
    (tmp_path / "lb1").mkdir()
    (tmp_path / "lb1" / "metrics.toml").write_text('[api]\nmetrics = "192.0.2.77:9100"\n')
    include = 'include = ["metrics.toml"]\n'
    async with topology(servers=0) as net, directing(net["lb1"], include, tmp_path) as lb1:
        refused = await lb1.event("api.unavailable")
        assert refused["address"] == "192.0.2.77 port 9100"
        assert (await lb1.ask("GET", "/v1/status"))["services"] == 0


async def test_a_reload_in_the_moment_of_a_start_waits_for_it(lb1: Director) -> None:
    """SIGHUP to a director that is only just starting neither ends it nor is lost."""
    mark = await lb1.mark()
    os.kill(lb1.pid("director"), signal.SIGKILL)
    started = await lb1.event("process.started", since=mark, process="director")
    await lb1.reload("[ipvs]\nlook = 5\n")
    await lb1.event("reload.done", since=mark)
    assert lb1.pid("director") == started["pid"]
