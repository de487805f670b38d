"""Programs that are told of changes of roles, by two real directors."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.network import topology

pytestmark = pytest.mark.net

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
group = "site"
addresses = ["192.0.2.100/24"]
[vrrp.second]
interface = "front"
vrid = 52
interval = "100ms"
group = "site"
addresses = ["192.0.2.101/24"]
"""
NOTIFY = """
[notify.log]
instances = ["public"]
groups = ["site"]
command = ["{script}"]
master = ["{script}", "on the way up"]
user = "root"
[notify.hung]
command = ["/bin/sh", "-c", "sleep 60", "sh"]
timeout = "300ms"
"""
SCRIPT = """#!/bin/sh
# As written for keepalived's notify: TYPE NAME STATE PRIORITY.
echo "$@" >>{log}
"""


@dataclass(frozen=True, slots=True)
class Told:
    """The pair, and what the program of lb1 wrote."""

    lb1: Director
    lb2: Director
    log: Path

    def lines(self) -> list[str]:
        """What was written so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    """lb1 is master, and its programs have been told."""
    script, log = tmp_path / "script", tmp_path / "log"
    script.write_text(SCRIPT.format(log=log))
    script.chmod(0o755)
    async with topology(directors=2, servers=0) as net, AsyncExitStack() as stack:
        text = PAIR + NOTIFY.format(script=script)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, tmp_path, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], PAIR, tmp_path, name="lb2"))
        await lb1.event("notify.done", about="group site", state="master")
        await lb1.event("notify.done", about="instance public", state="master")
        yield Told(lb1, lb2, log)


async def test_a_program_hears_what_keepalived_would_tell_it(told: Told) -> None:
    """From the start to a failover by hand and a stop: each change in order, a group once, a stop as STOP."""
    assert (await told.lb1.cli("failover")).status == 0
    await told.lb1.event("notify.done", about="group site", state="backup", joined=0)
    assert told.lb1.process is not None
    assert await told.lb1.process.stop() == 0
    group = [line for line in told.lines() if line.startswith("GROUP site")]
    assert group[-3:] == ["GROUP site MASTER 200", "GROUP site BACKUP 200", "GROUP site STOP 200"]
    assert "INSTANCE public STOP 200" in told.lines()
    up = told.lines().index("on the way up")
    assert told.lines()[up + 1].split()[2] == "MASTER"


async def test_a_program_that_hangs_is_an_event_and_nothing_else(told: Told) -> None:
    """The other is told, the role is held, and the director answers."""
    failed = await told.lb1.event("notify.failed", notify="hung")
    assert failed["detail"] == "did not end within 0.3 s"
    assert failed["about"] == "director lb1"
    (public, _) = await told.lb1.ask("GET", "/v1/vrrp")
    assert public["state"] == "master"


async def test_a_director_that_is_started_again_tells_how_it_stands(told: Told) -> None:
    """The speaker goes on as master meanwhile, and the program is told the same once more."""
    mark = await told.lb1.mark()
    os.kill(told.lb1.pid("director"), signal.SIGKILL)
    again = await told.lb1.event("notify.done", since=mark, about="group site", within=60)
    assert again["state"] == "master"
    assert (
        told.lines().count("INSTANCE public MASTER 200") == told.lines().count("GROUP site MASTER 200") == 2
    )
    (public, _) = await told.lb1.ask("GET", "/v1/vrrp")
    assert public["state"] == "master"
