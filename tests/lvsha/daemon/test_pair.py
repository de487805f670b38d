"""Tests of lvsha.daemon.pair: what the speaker is told, and what is made of what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

import pytest

from lvsha.config import Config, IpvsConfig, StateConfig, TrackService, VipConfig, VrrpConfig
from lvsha.daemon.memory import Memory
from lvsha.daemon.pair import Pair
from lvsha.errors import StateError, UnavailableError
from lvsha.model import Family, Role
from lvsha.speaker.messages import (
    Beat,
    Configure,
    Event,
    Failover,
    Hold,
    Ready,
    RoleChange,
    State,
    Track,
)
from tests.lab.background import background
from tests.lab.fake_speaker import speaking
from tests.lab.hearing import Hearing
from tests.lab.services import config

VIP = VipConfig(ip_interface("192.0.2.100/24"), "eth0")
PUBLIC = VrrpConfig("public", "eth0", 51, 3, Family.IPV4, 200, 0.1, (VIP,), group="site", lease=2)
INSIDE = replace(PUBLIC, name="inside", vrid=52, interface="eth1")


def configured(runtime: Path, *instances: VrrpConfig) -> Config:
    """A configuration of these instances."""
    return replace(config(), vrrp={v.name: v for v in instances}, state=StateConfig(runtime, runtime))


@asynccontextmanager
async def running(pair: Pair) -> AsyncIterator[None]:
    """The pair's task in the background."""
    async with background(pair.run()):
        yield


def change(instance: str, state: State, why: str = "no advertisement") -> RoleChange:
    """An instance stands somewhere else now."""
    return RoleChange(instance=instance, group="site", state=state, why=why, at=1000.0)


async def test_a_speaker_is_configured_and_hears_beats(tmp_path: Path) -> None:
    """Every instance of the configuration arrives, and then signs of life."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            told = await speaker.command(Configure)
            assert isinstance(told, Configure)
            assert [i.name for i in told.instances] == ["public", "inside"]
            assert not told.directors_serve
            await speaker.command(Beat, 2)


async def test_a_speaker_hears_that_the_directors_are_servers(tmp_path: Path) -> None:
    """It is the one who keeps IPVS from directing on all but the master."""
    async with speaking(tmp_path) as speaker:
        serving = replace(configured(tmp_path, PUBLIC), ipvs=IpvsConfig(directors_serve=True))
        pair = Pair(serving, lambda _: 0)
        async with running(pair):
            told = await speaker.command(Configure)
            assert isinstance(told, Configure)
            assert told.directors_serve


async def test_the_gate_stays_shut_until_it_is_opened(tmp_path: Path) -> None:
    """A node whose IPVS is not programmed may not become master, nor after the speaker's restart."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
        async with running(pair):
            await speaker.command(Beat)
            assert not [c for c in speaker.heard if isinstance(c, Ready)]
            await pair.open_gate()
            await speaker.command(Ready)
        async with running(pair):
            await speaker.command(Configure, 2)
            await speaker.command(Ready, 2)


async def test_a_gate_may_be_opened_for_the_absence_of_a_master_only(tmp_path: Path) -> None:
    """The speaker is told whether it may pre-empt, again after its restart, until it may."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            await pair.open_gate(preempt=False)
            told = await speaker.command(Ready)
            assert isinstance(told, Ready)
            assert not told.preempt
        async with running(pair):
            told = await speaker.command(Ready, 2)
            assert isinstance(told, Ready)
            assert not told.preempt
            await pair.open_gate()
            told = await speaker.command(Ready, 3)
            assert isinstance(told, Ready)
            assert told.preempt


async def test_the_role_is_that_of_all_instances(tmp_path: Path, said: Hearing) -> None:
    """Master of everything or not master; a fault anywhere is a fault."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            await speaker.say(change("public", State.MASTER))
            await said.event("vrrp.state", instance="public", state="master")
            assert pair.role is Role.BACKUP
            await speaker.say(change("inside", State.MASTER))
            await said.event("vrrp.state", instance="inside", state="master")
            assert pair.role is Role.MASTER
            await speaker.say(change("inside", State.FAULT, "eth1 has no carrier"))
            await said.event("vrrp.state", instance="inside", state="fault")
            assert pair.role is Role.FAULT
    roles = [(e["before"], e["role"]) for e in said.all("role.changed")]
    assert roles == [("backup", "master"), ("master", "fault")]


async def test_what_is_told_is_passed_on(tmp_path: Path, said: Hearing) -> None:
    """Each change of an instance once, as it is told; and the end of the speaker after its last word."""
    moved: list[RoleChange] = []
    pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0, moved=moved.append)
    async with running(pair):
        async with speaking(tmp_path) as speaker:
            await speaker.command(Configure)
            for state in (State.BACKUP, State.BACKUP, State.MASTER, State.INIT):
                await speaker.say(change("public", state))
        async with asyncio.timeout(5):
            await pair.parted()
    assert [role.state for role in moved] == [State.BACKUP, State.MASTER, State.INIT]


async def test_a_start_is_no_alert(tmp_path: Path, said: Hearing) -> None:
    """How an instance stands first is told as ordinary; a fault that is over at once is not told at all."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            await speaker.say(change("public", State.FAULT, "vrrp4.51 is not there yet"))
            await speaker.say(change("public", State.BACKUP, "started"))
            await speaker.say(change("inside", State.BACKUP, "started"))
            await said.event("vrrp.state", instance="inside")
            told = said.all("vrrp.state")
            assert [(e["instance"], e["state"], e["before"]) for e in told] == [
                ("public", "backup", None),
                ("inside", "backup", None),
            ]
            assert {(e["severity"], e["alert"]) for e in told} == {("info", False)}
            assert said.all("role.changed") == []
            await speaker.say(change("inside", State.FAULT, "eth1 has no carrier"))
            later = await said.event("vrrp.state", state="fault")
            assert (later["before"], later["severity"], later["alert"]) == ("backup", "warning", True)


async def test_a_fault_that_stays_after_the_start_is_told(tmp_path: Path, said: Hearing) -> None:
    """It is held back while an interface may be made and addresses looked for, and shown all the while."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            await speaker.say(change("public", State.FAULT, "eth0 has no carrier"))
            await asyncio.wait_for(pair.fault(), 5)
            assert (pair.role, said.all("vrrp.state")) == (Role.FAULT, [])
            assert pair.warnings() == ["vrrp.public is in fault: eth0 has no carrier"]
            told = await said.event("vrrp.state", state="fault", why="eth0 has no carrier")
            assert (told["before"], told["alert"]) == (None, True)
            assert said.all("role.changed")[0]["role"] == "fault"


async def test_a_fault_is_told_when_it_begins_and_when_it_is_over(tmp_path: Path) -> None:
    """Either wakes who waits for it, other changes do not; a node is cut off by a fault of every instance."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            for state in (State.FAULT, State.BACKUP):
                waiting = asyncio.create_task(pair.fault())
                await speaker.say(change("inside", state))
                await asyncio.wait_for(waiting, 5)
                assert not pair.cut_off
            waiting = asyncio.create_task(pair.fault())
            await speaker.say(change("inside", State.MASTER))
            await speaker.say(change("public", State.FAULT))
            await asyncio.wait_for(waiting, 5)
            assert (pair.roles["inside"].state, pair.cut_off) == (State.MASTER, False)
            await speaker.say(change("inside", State.FAULT))
            await pair.fault()
            assert pair.cut_off
            await pair.reconfigure(configured(tmp_path, PUBLIC))
            await asyncio.wait_for(pair.fault(), 5)


async def test_without_instances_the_node_is_alone(tmp_path: Path) -> None:
    """A single director has no role in any pair."""
    assert Pair(configured(tmp_path), lambda _: 0).role is Role.ALONE


async def test_what_the_speaker_says_becomes_an_event(tmp_path: Path, said: Hearing) -> None:
    """The director logs for the speaker, which has no time to."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            await speaker.say(Event(event="vip.conflict", fields={"address": "192.0.2.100", "mac": "02:00"}))
            await said.event("vip.conflict", mac="02:00")


@pytest.mark.parametrize(
    ("weight", "healthy", "told"),
    [
        (-50, 0, (-50, False)),
        (-50, 2, (0, False)),
        (0, 1, (0, True)),
        (0, 2, (0, False)),
        (50, 1, (0, False)),
        (50, 2, (50, False)),
    ],
)
async def test_the_health_of_a_service_is_reported(
    tmp_path: Path, weight: int, healthy: int, told: tuple[int, bool]
) -> None:
    """Fewer servers than asked for cost priority, or its reward, or without a weight forbid to be master."""
    tracked = replace(PUBLIC, track=(TrackService("web", 2, weight),))
    pair = Pair(configured(tmp_path, tracked), lambda _: healthy)
    async with speaking(tmp_path) as speaker, running(pair):
        message = await speaker.command(Track)
        assert isinstance(message, Track)
        assert (message.weight, message.fault) == told
        assert message.name == "service web"


async def test_nothing_is_said_of_a_service_before_its_verdicts(tmp_path: Path) -> None:
    """A director that has just started would make a master resign: no server of its is up yet."""
    tracked = replace(PUBLIC, track=(TrackService("web", 2, 0),))
    known: list[int | None] = [None]
    pair = Pair(configured(tmp_path, tracked), lambda _: known[0])
    async with speaking(tmp_path) as speaker, running(pair):
        await speaker.command(Beat)
        await pair.track()
        known[0] = 2
        await pair.track()
        told = await speaker.command(Track)
        assert isinstance(told, Track)
        assert not told.fault
        assert len([c for c in speaker.heard if isinstance(c, Track)]) == 1


async def test_an_event_that_is_not_known_here_is_told_all_the_same(tmp_path: Path, said: Hearing) -> None:
    """After an upgrade the speaker may be of the release before: no reason for the director to end."""
    pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
    async with speaking(tmp_path) as speaker, running(pair):
        await speaker.command(Configure)
        await speaker.say(Event(event="vip.polished", fields={"address": "192.0.2.100"}))
        told = await said.event("log.library", logger="speaker")
        assert "vip.polished" in told["message"]


async def test_a_group_is_handed_over_as_a_whole(tmp_path: Path) -> None:
    """A failover of one instance of a group names the group."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            assert (await pair.failover("inside", 1.0)).ok
            command = await speaker.command(Failover)
            assert isinstance(command, Failover)
            assert (command.group, command.instance) == ("site", None)


async def test_a_no_of_the_speaker_is_passed_on(tmp_path: Path) -> None:
    """The operator hears why."""
    async with speaking(tmp_path) as speaker:
        speaker.refuses["hold"] = "there is no instance of that name"
        pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            answer = await pair.hold("public", "held by root")
            assert (answer.ok, answer.why) == (False, "there is no instance of that name")
            assert isinstance(await speaker.command(Hold), Hold)
            assert Memory(tmp_path).holds() == {}


async def test_what_is_held_stays_held_over_restarts(tmp_path: Path) -> None:
    """A new director says it to a new speaker before that may become master; until it is released."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            assert (await pair.hold("public", "held by root")).ok
            assert (await pair.hold("inside", "held by root")).ok
            assert (await pair.release("inside")).ok
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await pair.open_gate()
            await speaker.command(Ready)
            said = [c for c in speaker.heard if isinstance(c, Configure | Hold | Ready)]
            assert [type(c) for c in said] == [Configure, Hold, Ready]
            assert [(c.instance, c.why) for c in said if isinstance(c, Hold)] == [("public", "held by root")]
            assert (await pair.release("public")).ok
    assert Memory(tmp_path).holds() == {}


async def test_a_held_instance_that_the_configuration_has_no_more_is_not_said(tmp_path: Path) -> None:
    """It is remembered for its return."""
    Memory(tmp_path).keep_holds({"gone": "held by root"})
    async with speaking(tmp_path) as speaker:
        async with running(Pair(configured(tmp_path, PUBLIC), lambda _: 0)):
            await speaker.command(Beat)
        assert not [c for c in speaker.heard if isinstance(c, Hold)]
    assert Memory(tmp_path).holds() == {"gone": "held by root"}


async def test_what_is_wrong_is_a_warning(tmp_path: Path, said: Hearing) -> None:
    """A fault, a hold and two masters show in the director's status, and go when they are over."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            assert pair.warnings() == []
            assert (await pair.hold("inside", "held by root")).ok
            await speaker.say(change("public", State.FAULT, "public: eth0 has no carrier"))
            two = {"instance": "inside", "interface": "eth1", "peer": "192.0.2.2"}
            await speaker.say(Event(event="vrrp.split_brain", fields=two))
            await said.event("vrrp.split_brain")
            assert pair.warnings() == [
                "vrrp.public is in fault: public: eth0 has no carrier",
                "vrrp.inside is kept from being master: held by root",
                "vrrp.inside: 192.0.2.2 is master as well",
            ]
            assert (await pair.release("inside")).ok
            await speaker.say(change("public", State.BACKUP))
            await said.event("vrrp.state", instance="public", state="backup")
            assert pair.warnings() == ["vrrp.inside: 192.0.2.2 is master as well"]


async def test_a_hold_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """It would be forgotten by a restart, in the midst of what it is for."""
    async with speaking(tmp_path) as speaker:
        lost = replace(configured(tmp_path, PUBLIC), state=StateConfig(Path("/proc/none"), tmp_path))
        pair = Pair(lost, lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            with pytest.raises(StateError):
                await pair.hold("public", "held by root")
            # Nothing is to be kept of this: it may take back what it was asked to hand over.
            assert (await pair.release("public")).ok
        assert not [c for c in speaker.heard if isinstance(c, Hold)]


async def test_a_speaker_that_refuses_the_configuration_is_told(tmp_path: Path, said: Hearing) -> None:
    """An operator learns that VRRP does not run as configured."""
    async with speaking(tmp_path) as speaker:
        speaker.refuses["configure"] = "no interface eth0"
        async with running(Pair(configured(tmp_path, PUBLIC), lambda _: 0)):
            await said.event("speaker.refused", error="no interface eth0")


async def test_a_speaker_that_dies_is_an_alarm(tmp_path: Path, said: Hearing) -> None:
    """A lost speaker is told once, and commands say that nobody answers."""
    pair = Pair(configured(tmp_path, PUBLIC), lambda _: 0)
    async with running(pair):
        async with speaking(tmp_path) as speaker:
            await speaker.command(Configure)
            await speaker.say(change("public", State.MASTER))
            await said.event("vrrp.state", instance="public", state="master")
        await said.event("speaker.lost")
        with pytest.raises(UnavailableError):
            await pair.release("public")
        assert await pair.status() is None
    assert len(said.all("speaker.lost")) == 1


async def test_a_speaker_that_is_stopped_while_it_is_told_is_no_alarm(tmp_path: Path, said: Hearing) -> None:
    """It was told to end before it could answer, and let go of everything: so a stop right after a start."""
    async with running(Pair(configured(tmp_path, PUBLIC), lambda _: 0)):
        async with speaking(tmp_path) as speaker:
            speaker.ignores.add("configure")
            await speaker.command(Configure)
            await speaker.say(change("public", State.BACKUP))
            await speaker.say(change("public", State.INIT))
        async with speaking(tmp_path) as successor:
            await successor.command(Configure)
    assert said.all("speaker.lost") == []


async def test_a_reload_reaches_the_speaker(tmp_path: Path) -> None:
    """Instances that are gone from the configuration are gone from what is told."""
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0)
        async with running(pair):
            await speaker.command(Configure)
            await pair.reconfigure(configured(tmp_path, PUBLIC))
            told = await speaker.command(Configure, 2)
            assert isinstance(told, Configure)
            assert [i.name for i in told.instances] == ["public"]


async def test_who_has_to_know_of_a_new_master_is_called(tmp_path: Path, said: Hearing) -> None:
    """Once for each instance that became master, and for no other change."""
    called: list[None] = []
    async with speaking(tmp_path) as speaker:
        pair = Pair(configured(tmp_path, PUBLIC, INSIDE), lambda _: 0, lambda: called.append(None))
        async with running(pair):
            await speaker.command(Configure)
            for instance, state in (
                ("public", State.BACKUP),
                ("public", State.MASTER),
                ("inside", State.MASTER),
            ):
                await speaker.say(change(instance, state))
                await said.event("vrrp.state", instance=instance, state=state.value)
            await speaker.say(change("inside", State.MASTER, "said again"))
            await speaker.say(change("inside", State.BACKUP))
            await said.event("vrrp.state", instance="inside", state="backup")
    assert len(called) == 2
