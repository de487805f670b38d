"""Tests of lvsha.daemon.heralds.heralds: all programs of the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_interface

from lvsha.config import Config, NotifyConfig, VipConfig, VrrpConfig
from lvsha.daemon.heralds import Heralds
from lvsha.model import Family
from lvsha.program import Program, Result
from lvsha.speaker.messages import RoleChange, State
from tests.lab.background import background
from tests.lab.services import config

VIP = VipConfig(ip_interface("192.0.2.100/24"), "eth0")
PUBLIC = VrrpConfig("public", "eth0", 51, 3, Family.IPV4, 200, 0.1, (VIP,))
INSIDE = replace(PUBLIC, name="inside", vrid=52)
ONE = NotifyConfig("one", instances=("public",), command=("/one",))
ALL = NotifyConfig("all", command=("/all",))


class Runs:
    """Programs that end at once; what was run."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    async def __call__(self, program: Program) -> Result:
        """Run one."""
        await asyncio.sleep(0)
        self.commands.append(" ".join((*program.command, program.environment["LVSHA_BEFORE"])).strip())
        return Result(ok=True, detail="ended with 0")

    def taken(self) -> list[str]:
        """What was run since the last call."""
        taken, self.commands = self.commands, []
        return taken


def configured(*notify: NotifyConfig) -> Config:
    """Two instances and these programs."""
    instances = {"public": PUBLIC, "inside": INSIDE}
    return replace(config(), vrrp=instances, notify={n.name: n for n in notify})


def role(instance: str, state: State) -> RoleChange:
    """An instance stands so."""
    return RoleChange(instance=instance, state=state, why="because", at=1.0, priority=200)


@asynccontextmanager
async def serving(heralds: Heralds) -> AsyncIterator[None]:
    """The heralds at work."""
    async with background(heralds.run()):
        yield


async def test_a_change_goes_to_whom_it_concerns() -> None:
    """The instance's program hears of it, and the director's once the director has changed."""
    runs = Runs()
    node = configured().node.name
    heralds = Heralds(configured(ONE, ALL), runs)
    async with serving(heralds):
        heralds.moved(role("inside", State.BACKUP))
        await heralds.idle()
        assert runs.taken() == []
        heralds.moved(role("public", State.BACKUP))
        await heralds.idle()
        assert sorted(runs.taken()) == [
            f"/all DIRECTOR {node} BACKUP 0",
            "/one INSTANCE public BACKUP 200",
        ]
        heralds.moved(role("public", State.MASTER))
        await heralds.idle()
        assert runs.taken() == ["/one INSTANCE public MASTER 200 BACKUP"]


async def test_a_program_that_is_new_is_told_how_it_stands() -> None:
    """At the start, and by a reload: one that is as it was hears nothing of it."""
    runs = Runs()
    heralds = Heralds(configured(ONE), runs)
    heralds.moved(role("public", State.MASTER))
    async with serving(heralds):
        await heralds.idle()
        assert runs.taken() == ["/one INSTANCE public MASTER 200"]
        heralds.reconfigure(configured(ONE, replace(ONE, name="two", command=("/two",))))
        await heralds.idle()
        assert runs.taken() == ["/two INSTANCE public MASTER 200"]
        heralds.reconfigure(configured(replace(ONE, command=("/other",))))
        await heralds.idle()
        assert runs.taken() == ["/other INSTANCE public MASTER 200"]


async def test_a_program_that_is_gone_is_told_nothing_more() -> None:
    """And one of its name that comes later is a new one."""
    runs = Runs()
    heralds = Heralds(configured(ONE), runs)
    async with serving(heralds):
        heralds.moved(role("public", State.BACKUP))
        await heralds.idle()
        heralds.reconfigure(configured())
        heralds.moved(role("public", State.MASTER))
        await heralds.idle()
        assert runs.taken() == ["/one INSTANCE public BACKUP 200"]
        heralds.reconfigure(configured(ONE))
        await heralds.idle()
        assert runs.taken() == ["/one INSTANCE public MASTER 200"]
