"""The director's side of VRRP: tells the speaker what it should be, and hears what it became.

The speaker elects, holds and announces addresses by itself; the director gives it the instances
of the configuration, says when IPVS is programmed (the start gate), beats every second so that
a dead director is noticed, and reports trackers that only it can know (how many servers of a
service are healthy). What the speaker says becomes events and the role that `status` shows.

Nothing here decides who is master, and a role changes nothing in IPVS.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from lvsha.config import Config, TrackService
from lvsha.daemon.alarms import Alarms
from lvsha.daemon.memory import Memory
from lvsha.daemon.specs import specs, tracker_name
from lvsha.errors import LvshaError, StateError, UnavailableError
from lvsha.log import UnknownEventError, emit, emit_calmly
from lvsha.model import Role
from lvsha.speaker.link import Connected, Disconnected, SpeakerLink
from lvsha.speaker.messages import (
    Beat,
    Configure,
    Event,
    Failover,
    Hold,
    Ready,
    Release,
    Reply,
    RoleChange,
    State,
    Status,
    StatusReport,
    Track,
)
from lvsha.speaker.trackers.base import standing

ANSWER = 5.0
"""Seconds the speaker may take to answer."""
BEAT = 1.0
SETTLE = 2.5
"""Seconds that an instance may begin with a fault before it is told: interfaces are made, and an IPv6
address is tentative for up to two (RFC 4862, section 5.4)."""

Healthy = Callable[[str], int | None]
"""How many servers of a service are in service, by the service's name; None: verdicts are to come."""


class Pair:
    """The link to the speaker, and the roles of this node's instances."""

    def __init__(
        self,
        config: Config,
        healthy: Healthy,
        mastered: Callable[[], None] = lambda: None,
        moved: Callable[[RoleChange], None] = lambda _: None,
    ) -> None:
        self.roles: dict[str, RoleChange] = {}
        self._shown: dict[str, RoleChange] = {}
        """What was told of them."""
        self.instances = {spec.name: spec for spec in specs(config)}
        self.link = SpeakerLink(config.state.runtime / "speaker.sock")
        self._config = config
        self._healthy = healthy
        self._mastered = mastered
        """Called when this node has become master of an instance."""
        self._moved = moved
        """Called when an instance stands somewhere else, as that is told."""
        self._parted = asyncio.Event()
        self._faulted = asyncio.Event()
        self._memory = Memory(config.state.directory)
        self._held = self._memory.holds()
        self._alarms = Alarms()
        self._ready = False
        self._preempt = True
        self._told: dict[tuple[str, str], Track] = {}

    @property
    def role(self) -> Role:
        """The role of this node: master of all instances, backup in some, fault in any."""
        return self._role(self.roles)

    def _role(self, roles: Mapping[str, RoleChange]) -> Role:
        if not self.instances:
            return Role.ALONE
        states = {roles[n].state if n in roles else State.INIT for n in self.instances}
        if State.FAULT in states:
            return Role.FAULT
        return Role.MASTER if states == {State.MASTER} else Role.BACKUP

    @property
    def cut_off(self) -> bool:
        """Whether every instance of this node has a fault."""
        states = {self.roles[n].state if n in self.roles else State.INIT for n in self.instances}
        return states == {State.FAULT}

    async def parted(self) -> None:
        """Return once the speaker is gone, and what it said last has been heard."""
        await self._parted.wait()

    async def fault(self) -> None:
        """Return when the fault of some instance has begun, or is over, since the last call."""
        await self._faulted.wait()
        self._faulted.clear()

    def warnings(self) -> list[str]:
        """What a person should look at, a sentence each."""
        faults = [f"vrrp.{n} is in fault: {r.why}" for n, r in self.roles.items() if r.state is State.FAULT]
        held = [
            f"vrrp.{n} is kept from being master: {why}"
            for n, why in self._held.items()
            if n in self.instances
        ]
        return [*faults, *held, *self.alarms()]

    def alarms(self) -> list[str]:
        """What the speaker told of the pair that is not over, a sentence each."""
        return self._alarms.standing(time.monotonic())

    def is_master(self, instance: str) -> bool:
        """Whether this node is master of an instance, as far as the speaker has said."""
        return instance in self.roles and self.roles[instance].state is State.MASTER

    async def run(self) -> None:
        """Converse with the speaker for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.link.run(), name="speaker link")
            group.create_task(self._beat(), name="speaker beat")
            async for message in self.link.messages():
                await self._hear(message)

    async def open_gate(self, *, preempt: bool = True) -> None:
        """IPVS is programmed and first verdicts are in: this node may become master.

        Without `preempt` only where there is no other; to be called again when that is over.
        """
        self._ready, self._preempt = True, preempt
        if self.link.connected:
            await self._tell_all()

    async def reconfigure(self, config: Config) -> None:
        """Hand on a new configuration; instances that did not change are not disturbed."""
        self._config = config
        self.instances = {spec.name: spec for spec in specs(config)}
        gone = [role for name, role in self.roles.items() if name not in self.instances]
        self.roles = {name: role for name, role in self.roles.items() if name in self.instances}
        self._shown = {name: role for name, role in self._shown.items() if name in self.instances}
        if any(role.state is State.FAULT for role in gone):
            self._faulted.set()
        if self.link.connected:
            await self._tell_all()

    async def status(self) -> StatusReport | None:
        """What the speaker says of itself; None when it does not answer."""
        try:
            answer = await self.link.ask(Status(), within=ANSWER)
        except UnavailableError:
            return None
        return answer if isinstance(answer, StatusReport) else None

    async def failover(self, instance: str, within: float) -> Reply:
        """Hand an instance (with its group) to the peer; answers once the peer holds it.

        Raises UnavailableError when the speaker does not answer.
        """
        group = self.instances[instance].group
        command = (
            Failover(group=group, timeout=within) if group else Failover(instance=instance, timeout=within)
        )
        return _reply(await self.link.ask(command, within=within + ANSWER))

    async def hold(self, instance: str, why: str) -> Reply:
        """Keep an instance from being master, over restarts too. Raises UnavailableError, StateError."""
        return await self._remembered(Hold(instance=instance, why=why), {**self._held, instance: why})

    async def release(self, instance: str) -> Reply:
        """Let an instance be master again. Raises UnavailableError, StateError."""
        left = {name: why for name, why in self._held.items() if name != instance}
        return await self._remembered(Release(instance=instance), left)

    async def _remembered(self, command: Hold | Release, held: dict[str, str]) -> Reply:
        """Recorded, then done; what the speaker does not do is not recorded either."""
        before, self._held = self._held, held
        try:
            if held != before:
                # Who was handed over and never held can be released on a full disk.
                self._memory.keep_holds(held)
            answer = _reply(await self.link.ask(command, within=ANSWER))
        except LvshaError:
            self._held = before
            with contextlib.suppress(StateError):
                self._memory.keep_holds(before)
            raise
        if not answer.ok:
            self._held = before
            if held != before:
                self._memory.keep_holds(before)
        return answer

    async def track(self) -> None:
        """Report the services that instances depend on, where something changed."""
        if not self.link.connected:
            return
        for name, vrrp in self._config.vrrp.items():
            for tracker in vrrp.track:
                if isinstance(tracker, TrackService):
                    await self._track(name, tracker)

    async def _track(self, instance: str, tracker: TrackService) -> None:
        healthy = self._healthy(tracker.service)
        if healthy is None:
            # The speaker goes on with what it knows: a director that has just started is no reason to resign.
            return
        failed = healthy < tracker.at_least
        why = f"{healthy} of at least {tracker.at_least} servers of {tracker.service} are in service"
        message = Track(
            instance=instance,
            name=tracker_name(tracker),
            weight=standing(not failed, tracker.weight, why).weight,
            fault=failed and tracker.weight == 0,
            why=why,
        )
        key = (instance, message.name)
        if self._told.get(key) != message:
            await self.link.send(message)
            self._told[key] = message

    async def _beat(self) -> None:
        while True:
            if self.link.connected:
                await _quietly(self.link.send(Beat()))
                await _quietly(self.track())
            await asyncio.sleep(BEAT)

    async def _hear(self, message: object) -> None:
        match message:
            case Connected():
                self._parted.clear()
                emit("speaker.connected")
                await self._tell_all()
            case Disconnected(why):
                # A speaker that was told to stop has let go of every instance before it goes.
                if any(role.state is not State.INIT for role in self.roles.values()):
                    emit("speaker.lost", error=why)
                self._parted.set()
            case RoleChange():
                self._changed(message)
            case Event(event=name, fields=fields):
                self._alarms.heard(name, fields, time.monotonic())
                _pass_on(name, fields)

    async def _tell_all(self) -> None:
        self._told.clear()
        configure = Configure(
            node=self._config.node.name,
            instances=tuple(self.instances.values()),
            grace=self._config.speaker.grace,
            realtime=self._config.speaker.realtime,
            directors_serve=self._config.ipvs.directors_serve,
        )
        try:
            answer = _reply(await self.link.ask(configure, within=ANSWER))
            if not answer.ok:
                emit("speaker.refused", error=answer.why)
                return
            await self.track()
            # Before the gate: a held node that was started again is not to be master for a moment.
            for instance, why in self._held.items():
                if instance in self.instances:
                    await self.link.ask(Hold(instance=instance, why=why), within=ANSWER)
            if self._ready:
                await self.link.ask(Ready(preempt=self._preempt), within=ANSWER)
        except UnavailableError as error:
            # That it is gone comes as news, behind what it said last: it may have been told to stop.
            if self.link.connected:
                emit("speaker.lost", error=str(error))

    def _changed(self, change: RoleChange) -> None:
        known = self.roles.get(change.instance)
        self.roles[change.instance] = change
        if known is not None and known.state is change.state:
            return
        self._alarms.moved()
        if change.state is State.MASTER:
            self._mastered()
        if State.FAULT in (change.state, known.state if known else None):
            self._faulted.set()
        if change.state is State.FAULT and change.instance not in self._shown:
            asyncio.get_running_loop().call_later(SETTLE, self._show, change.instance)
        else:
            self._show(change.instance)

    def _show(self, instance: str) -> None:
        """Tell how an instance stands, and this node by it, where that is news."""
        change, known, before = self.roles.get(instance), self._shown.get(instance), self._role(self._shown)
        if change is None or (known is not None and known.state is change.state):
            return
        self._shown[instance] = change
        spec = self.instances.get(instance)
        # One that begins without the addresses has not changed.
        ordinary = known is None and change.state in (State.BACKUP, State.INIT)
        (emit_calmly if ordinary else emit)(
            "vrrp.state",
            instance=instance,
            interface=spec.interface if spec else None,
            state=change.state.value,
            before=known.state.value if known else None,
            why=change.why,
        )
        role = self._role(self._shown)
        if role is not before:
            emit("role.changed", role=role.value, before=before.value, why=change.why)
        self._moved(change)


def _pass_on(name: str, fields: Mapping[str, object]) -> None:
    """A speaker that was started before an upgrade may say what this release has no name for."""
    try:
        emit(name, **_fields(fields))
    except UnknownEventError:
        emit("log.library", logger="speaker", message=f"{name} {_fields(fields)}")


def _fields(fields: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "exception"}


def _reply(answer: Reply | StatusReport) -> Reply:
    if isinstance(answer, Reply):
        return answer
    raise UnavailableError("the speaker answered a command with a report")


async def _quietly(sending: object) -> None:
    """Await something that a lost speaker may interrupt: the link reports that by itself."""
    try:
        await sending  # type: ignore[misc]
    except LvshaError:
        return
