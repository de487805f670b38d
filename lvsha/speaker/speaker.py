"""All instances of this node, and what the director and the kernel say about them.

**Start gate.** No instance becomes master before the director has said `Ready`: IPVS is programmed
and first verdicts are in. A speaker that takes over from a killed one finds the gate as that left it.
A gate that is opened with `preempt=False` lets through only where there is no master: this node does not
know yet all connections that the present one serves.

**Grace.** A director that is not heard for `grace` seconds (dead, frozen, cut off) is given up: every
instance resigns and waits for the next `Ready`. The connection is closed, so that a director
that was only frozen has to say everything again.

**Hand-over.** `Failover` resigns and holds back until every instance of the group has heard the
peer as master. From then on this node does not preempt: it would take back at once what it was
asked to give. That ends when it becomes master by itself, or with `Release`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from lvsha.errors import InputError, StateError
from lvsha.kernel.netlink import Netlink
from lvsha.speaker import realtime
from lvsha.speaker.groups import check, grouped, moved_between
from lvsha.speaker.handover import Handovers
from lvsha.speaker.messages import (
    Beat,
    Command,
    Configure,
    Failover,
    Hold,
    Ready,
    Release,
    Reply,
    Report,
    Resign,
    RoleChange,
    State,
    Status,
    StatusReport,
    Stop,
    Track,
)
from lvsha.speaker.news import News
from lvsha.speaker.shell import Shell
from lvsha.speaker.spec import InstanceSpec
from lvsha.speaker.state import Files, Found, Memory
from lvsha.speaker.trackers.base import Standing
from lvsha.wire.announce import Announcer

RESIGNED = "the director is away or not ready"

_SILENCE = 3.0
"""Seconds without a beat after which the director is missed, aloud."""
_LOOK = 0.25


class Talk(Protocol):
    """How the speaker tells things."""

    def send(self, report: Report) -> None:
        """To the director, where there is one."""

    def say(self, event: str, **fields: object) -> None:
        """An event of the catalogue: to the director, or to the log where there is none."""

    def hang_up(self) -> None:
        """End the connection to the director, so that it has to say everything again."""


class Speaker:
    """The heart of the process: commands in, roles and events out."""

    def __init__(self, netlink: Netlink, announcer: Announcer, files: Files, talk: Talk) -> None:
        self._shells: dict[str, Shell] = {}
        self._files = files
        self._talk = talk
        self.news = News(netlink, announcer, files.advertised, talk.say, self._all)
        self._node = self.news.node
        self._loop = asyncio.get_running_loop()
        self._memory: Memory | None = None
        self._handovers = Handovers(self._handed)
        self._heard = self._loop.time()
        self._missed = False
        self._given_up = False
        self._started = time.time()
        self.stopping = asyncio.Event()
        self.realtime = False
        self.locked = False

    # --- start and stop ------------------------------------------------------------------------

    def resume(self, found: Found) -> None:
        """Go on where a killed process left off."""
        memory = found.memory
        self._memory = memory
        self._prioritise(wanted=memory.configure.realtime)
        self._node.directing.serve(on=memory.configure.directors_serve)
        self._form(memory.configure)
        known = [place for shell in self._shells.values() for place in shell.places()]
        self._node.leases.adopt(self._node.tables.ours(known))
        for key, shell in self._shells.items():
            shell.start(found.adverts.get(key))
        self._save()

    def begin(self) -> None:
        """Start with nothing: addresses that a process before left are taken away."""
        self._node.leases.adopt(self._node.tables.ours())

    async def end(self) -> None:
        """Resign, then remove the addresses, then forget."""
        # News that comes meanwhile concerns nobody any more.
        shells, self._shells = self._shells, {}
        self._node.pulse.every(None)
        for shell in shells.values():
            shell.stop()
        self._files.forget()
        await self._node.leases.settled()
        await self._node.virtual_macs.settled()
        await self._node.directing.left()

    async def run(self) -> None:
        """Miss the director when it is away; an eternal task."""
        while True:
            begun = self._loop.time()
            await asyncio.sleep(_LOOK)
            now = self._loop.time()
            # Time in which this process did not run is no silence of the director's.
            self._heard = min(now, self._heard + now - begun - _LOOK)
            self._miss(now - self._heard)

    # --- the director --------------------------------------------------------------------------

    def connected(self) -> None:
        """A director is there: tell it how everything stands."""
        self._hear_director()
        for shell in self._shells.values():
            self._changed(shell)

    def disconnected(self) -> None:
        """The grace runs from the last word that was heard."""

    def misunderstood(self, error: InputError) -> None:
        """A director of another version, or a bug."""
        self._talk.say("speaker.refused", error=str(error))

    def command(self, command: Command) -> None:
        """Do as the director says, and answer."""
        if self.stopping.is_set():
            # An instance that began now would be stopped by nobody.
            return
        self._hear_director()
        try:
            answer = self._obey(command)
        except InputError as error:
            answer = Reply(id=command.id, ok=False, why=str(error))
        if answer is not None and command.id:
            self._talk.send(answer)

    def _obey(self, command: Command) -> Report | None:
        match command:
            case Beat():
                pass
            case Configure():
                self._configure(command)
            case Ready(preempt=preempt):
                self._ready(preempt=preempt)
            case Track():
                self._track(command)
            case Hold(instance=name, why=why):
                self._hold(name, why)
            case Release(instance=name):
                self._release(name)
            case Failover():
                return self._failover(command)
            case Resign():
                self._resign()
            case Stop():
                self.stopping.set()
            case Status():
                return self._status(command.id)
        return Reply(id=command.id)

    def _hear_director(self) -> None:
        now = self._loop.time()
        if self._missed:
            self._missed = False
            self._talk.say("director.back", seconds=round(now - self._heard, 1))
        self._heard = now

    def _miss(self, silence: float) -> None:
        if self._memory is None:
            return
        grace = self._memory.configure.grace
        if silence > min(_SILENCE, grace) and not self._missed:
            self._missed = True
            self._talk.say("director.lost", grace=grace)
        if silence > grace and not self._given_up:
            self._resign()
            self._talk.hang_up()

    def _resign(self) -> None:
        self._given_up = True
        for shell in self._shells.values():
            shell.hold(RESIGNED)
        if self._memory is not None:
            self._remember(replace(self._memory, gate=False))

    def _ready(self, *, preempt: bool) -> None:
        if self._memory is None:
            raise InputError("ready: nothing is configured yet")
        self._given_up = False
        if not self._memory.gate or self._memory.waits == preempt:
            self._remember(replace(self._memory, gate=True, waits=not preempt))
        for shell in self._shells.values():
            # Before the gate: what was not obeyed until now would be taken over from at once.
            shell.preemption(allowed=self._preempts(shell.key))
            shell.release(RESIGNED)
            shell.open_gate()

    # --- configuration -------------------------------------------------------------------------

    def _configure(self, command: Configure) -> None:
        check(command.instances)
        memory = self._memory or Memory(configure=command)
        names = {spec.name for spec in command.instances}
        keys = set(grouped(command.instances))
        tracked = {(spec.name, tracker.name) for spec in command.instances for tracker in spec.trackers}
        self._memory = replace(
            memory,
            configure=replace(command, id=0),
            held={name: why for name, why in memory.held.items() if name in names},
            yielded=tuple(key for key in memory.yielded if key in keys),
            tracks=tuple(track for track in memory.tracks if (track.instance, track.name) in tracked),
        )
        self._prioritise(wanted=command.realtime)
        self._node.directing.serve(on=command.directors_serve)
        new = self._form(command)
        for shell in new:
            shell.start()
        self._forget_holds(memory.held.keys() - names)
        self._node.directing.look()
        self._save()
        for shell in self._shells.values():
            self._changed(shell)

    def _prioritise(self, *, wanted: bool) -> None:
        """Be scheduled as the configuration wants it."""
        if wanted == self.realtime:
            return
        if wanted and (why := realtime.schedule()):
            self._talk.say("speaker.hindered", interface=None, error=why)
            return
        if not wanted:
            realtime.unschedule()
        self.realtime = wanted

    def _form(self, command: Configure) -> list[Shell]:
        """Have the groups that are configured; those that are new are open and not started."""
        self._node.virtual = frozenset(v.address.ip for i in command.instances for v in i.every_address)
        self._node.pulse.every(min((i.interval / 2 for i in command.instances), default=None))
        wanted = grouped(command.instances)
        moved = moved_between({key: list(shell.instances) for key, shell in self._shells.items()}, wanted)
        for key in [key for key in self._shells if key not in wanted or key in moved]:
            self._shells.pop(key).stop()
        new = [self._shell(key, specs) for key, specs in wanted.items() if key not in self._shells]
        for key, specs in wanted.items():
            if key in self._shells and self._shells[key].specs != tuple(specs):
                self._shells[key].reconfigure(specs)
        made = {shell.key: shell for shell in new}
        self._shells = {key: made.get(key) or self._shells[key] for key in wanted}
        return new

    def _shell(self, key: str, specs: Sequence[InstanceSpec]) -> Shell:
        memory = self._memory
        shell = Shell(
            key,
            specs,
            self._node,
            self._changed,
            self._handovers.heard,
            gated=memory is None or not memory.gate,
        )
        shell.open()
        if memory is not None:
            for track in memory.tracks:
                self._stand(shell, track)
            for name in memory.held.keys() & shell.instances.keys():
                shell.hold(_by_hand(name))
            shell.preemption(allowed=self._preempts(key))
        if self._given_up:
            shell.hold(RESIGNED)
        return shell

    def _forget_holds(self, gone: Iterable[str]) -> None:
        """An instance that is no more holds back nobody of the group that it was in."""
        for name in gone:
            for shell in self._shells.values():
                shell.release(_by_hand(name))

    # --- what an operator or the director wants of one instance --------------------------------
    # Who asked is known to the director, so it is the director that says so.

    def _track(self, track: Track) -> None:
        shell = self._of(track.instance)
        self._stand(shell, track)
        if self._memory is not None:
            others = [t for t in self._memory.tracks if (t.instance, t.name) != (track.instance, track.name)]
            self._remember(replace(self._memory, tracks=(*others, replace(track, id=0))))

    def _stand(self, shell: Shell, track: Track) -> None:
        if track.instance in shell.instances:
            ok = not track.fault and track.weight >= 0
            now = Standing(ok=ok, weight=track.weight, fault=track.fault, why=track.why)
            shell.instances[track.instance].stand(track.name, now)

    def _hold(self, name: str, why: str) -> None:
        shell = self._of(name)
        if self._memory is not None:
            self._remember(replace(self._memory, held={**self._memory.held, name: why}))
        shell.hold(_by_hand(name))

    def _release(self, name: str) -> None:
        shell = self._of(name)
        if self._memory is not None:
            held = {other: why for other, why in self._memory.held.items() if other != name}
            self._remember(replace(self._memory, held=held))
        self._take_back(shell)
        shell.release(_by_hand(name))

    def _failover(self, command: Failover) -> Reply | None:
        shell = self._of(command.instance) if command.instance else self._group(command.group or "")
        why = self._handovers.begin(shell, command)
        return Reply(id=command.id, ok=False, why=why) if why else None

    def _handed(self, shell: Shell, reply: Reply) -> None:
        """A hand-over ended; where the peer took over, this node leaves it the addresses."""
        if reply.ok:
            shell.preemption(allowed=False)
            if self._memory is not None:
                self._remember(replace(self._memory, yielded=(*self._memory.yielded, shell.key)))
        self._talk.send(reply)

    def _take_back(self, shell: Shell) -> None:
        """It may preempt again."""
        if self._memory is not None and shell.key in self._memory.yielded:
            yielded = tuple(key for key in self._memory.yielded if key != shell.key)
            self._remember(replace(self._memory, yielded=yielded))
        shell.preemption(allowed=self._preempts(shell.key))

    def _preempts(self, key: str) -> bool:
        memory = self._memory
        return memory is None or not (memory.waits or key in memory.yielded)

    # --- telling -------------------------------------------------------------------------------

    def _changed(self, shell: Shell) -> None:
        for role in shell.roles():
            self._talk.send(role)
        if shell.state is State.MASTER and self._memory is not None and shell.key in self._memory.yielded:
            self._take_back(shell)

    def _status(self, number: int) -> StatusReport:
        dropped = Counter(self._node.sockets.dropped)
        dropped["overflow"] += self._node.sockets.overflowed()
        return StatusReport(
            id=number,
            pid=os.getpid(),
            started=self._started,
            configured=self._memory is not None,
            gate=self._memory is not None and self._memory.gate and not self._given_up,
            realtime=self.realtime,
            locked=self.locked,
            instances=tuple(
                replace(status, yields=self._memory is not None and shell.key in self._memory.yielded)
                for shell in self._shells.values()
                for status in shell.status()
            ),
            dropped=dict(+dropped),
        )

    def roles(self) -> list[RoleChange]:
        """How every instance stands."""
        return [role for shell in self._shells.values() for role in shell.roles()]

    # --- memory --------------------------------------------------------------------------------

    def _remember(self, memory: Memory) -> None:
        self._memory = memory
        self._save()

    def _save(self) -> None:
        """Keep it, where that can be: the rest is in force all the same, and only a crash would forget it."""
        if self._memory is not None:
            try:
                self._files.save(self._memory, tuple(self._shells))
            except StateError as error:
                self._talk.say("state.unwritable", file="speaker.json", error=str(error))
            for shell in self._shells.values():
                shell.keep_time()

    def _all(self) -> list[Shell]:
        return list(self._shells.values())

    # --- finding -------------------------------------------------------------------------------

    def _of(self, instance: str) -> Shell:
        for shell in self._shells.values():
            if instance in shell.instances:
                return shell
        raise InputError(f"there is no instance {instance}")

    def _group(self, name: str) -> Shell:
        shell = self._shells.get(f"group {name}")
        if shell is None:
            raise InputError(f"there is no group {name}")
        return shell


def _by_hand(name: str) -> str:
    return f"{name} is held by hand"
