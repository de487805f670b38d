"""Programs that are told of changes of roles, by two real directors."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.keepalived import keepalived, vrrp_instance
from tests.lab.network import topology
from tests.lab.pair import NODES

pytestmark = pytest.mark.net

INSTANCES = """
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
        text = NODES + INSTANCES + NOTIFY.format(script=script)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, tmp_path, name="lb1"))
        lb2 = await stack.enter_async_context(directing(net["lb2"], NODES + INSTANCES, tmp_path, name="lb2"))
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


OURS = """
[vrrp.VI]
interface = "front"
vrid = 51
priority = 150
interval = "1s"
addresses = ["192.0.2.100/24"]
[notify.it]
instances = ["VI"]
command = ["{script}", "own"]
user = "root"
"""


async def test_the_same_program_hears_the_same_from_keepalived(tmp_path: Path) -> None:
    """Backup, master and stop of one who is alone: the same words, in the same order, from both."""
    logs = {}
    async with topology(directors=2, servers=0) as net:
        for name in ("lb1", "lb2"):
            script, logs[name] = tmp_path / f"script-{name}", tmp_path / f"log-{name}"
            script.write_text(SCRIPT.format(log=logs[name]))
            script.chmod(0o755)
        async with directing(net["lb1"], OURS.format(script=tmp_path / "script-lb1"), tmp_path) as lb1:
            await lb1.event("notify.done", state="master")
        theirs = vrrp_instance(
            f'notify "{tmp_path}/script-lb2 own" root', vips=("192.0.2.100/24",), priority=150, interval=1.0
        )
        async with keepalived(net["lb2"], tmp_path, theirs) as peer:
            await peer.enters("MASTER")
            await said(logs["lb2"], "MASTER")
            await peer.stop()
            await said(logs["lb2"], "STOP")
    assert logs["lb1"].read_text().splitlines() == [
        "own INSTANCE VI BACKUP 150",
        "own INSTANCE VI MASTER 150",
        "own INSTANCE VI STOP 150",
    ]
    assert logs["lb2"].read_text() == logs["lb1"].read_text()


async def said(log: Path, word: str) -> None:
    """Wait until a program has written a word."""
    async with asyncio.timeout(10):
        while not _holds(log, word):  # noqa: ASYNC110 - a file is looked at, nobody tells
            await asyncio.sleep(0.01)


def _holds(log: Path, word: str) -> bool:
    return log.exists() and word in log.read_text()
