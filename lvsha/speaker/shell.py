"""The shell of one election: feeds a `Group` with adverts and the time, and performs its effects.

Everything that can happen ends in `_perform`: effects in their order, then one timer for the
group's next deadline. An advert is sent before anything else is done, and its time is kept so
that a process after this one can go on.

Whatever may make a master of this node (a timer, a gate that opens, a witness that answers) first
has heard out what waits in the sockets: a process that was stopped, or only preempted, finds there
the adverts of the master that it would take over from.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from lvsha.kernel.addresses import Place
from lvsha.speaker import messages
from lvsha.speaker.directing import SETTLE
from lvsha.speaker.instance import Instance
from lvsha.speaker.messages import InstanceStatus, RoleChange
from lvsha.speaker.node import Node
from lvsha.speaker.spec import InstanceSpec
from lvsha.speaker.witness import Answer, ask
from lvsha.vrrp.effects import Announce, AskWitness, Effect, Enter, Report, Send, State
from lvsha.vrrp.machine import Group
from lvsha.vrrp.packet import RESIGN, Advert, Reason

Address = IPv4Address | IPv6Address

LATE = 0.05
"""Seconds by which an advert may be late, besides half an interval, before it is told."""
QUIET = 10.0
FIRST_WORDS = 15.0
"""Seconds that a group waits at its start for the first words of its trackers."""
UNJUDGED = "trackers have said nothing yet"

_STATES = {
    State.INITIAL: messages.State.INIT,
    State.BACKUP: messages.State.BACKUP,
    State.MASTER: messages.State.MASTER,
    State.FAULT: messages.State.FAULT,
}
_REPORTS = {
    "split_brain": "vrrp.split_brain",
    "interval_mismatch": "vrrp.mismatch",
    "address_mismatch": "vrrp.mismatch",
    "owner_conflict": "vrrp.mismatch",
    "own_address": "vrrp.mismatch",
    "frozen": "vrrp.late",
    "woke_late": "vrrp.late",
    "witness_unreachable": "tracker.failed",
}


class Shell:
    """One group of instances that fail over together; most often of one."""

    def __init__(
        self,
        key: str,
        specs: Sequence[InstanceSpec],
        node: Node,
        changed: Callable[[Shell], None],
        peer_heard: Callable[[Shell, str], None],
        *,
        gated: bool,
    ) -> None:
        """`key` names the group over a crash.

        `changed` is called after every change of state, `peer_heard` when an instance has heard
        another node as master.
        """
        self.key = key
        self.instances = {spec.name: Instance(spec, node, self) for spec in specs}
        self.why = "not started"
        self.since = time.time()
        self.transitions = 0
        self.peer: Address | None = None
        """Who was heard last as master while this node was not."""
        self._node = node
        self._changed = changed
        self._peer_heard = peer_heard
        self._timer: asyncio.TimerHandle | None = None
        self._late_told = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._waits: asyncio.TimerHandle | None = None
        """While the trackers are waited for."""
        self._loop = asyncio.get_running_loop()
        self.group = Group([instance.member() for instance in self.instances.values()], gated=gated)

    @property
    def state(self) -> messages.State:
        """Where all instances of the group stand."""
        return _STATES[self.group.state]

    @property
    def specs(self) -> tuple[InstanceSpec, ...]:
        """The settings of its instances."""
        return tuple(instance.spec for instance in self.instances.values())

    def places(self) -> list[Place]:
        """Where the addresses of all instances belong."""
        return [place for instance in self.instances.values() for place in instance.places()]

    # --- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Have sockets and trackers, and know what is wrong, before the election starts."""
        for instance in self.instances.values():
            instance.open()

    def start(self, advertised: float | None = None) -> None:
        """Begin; with the time of its last advert, as the master that it was."""
        now = self._loop.time()
        if advertised is None and self._unjudged:
            # Who takes over and is told then that it must not be master has cost its peers two failovers.
            self._perform(self.group.hold(UNJUDGED, now))
            self._waits = self._loop.call_later(FIRST_WORDS, self._wait_no_more)
        effects = self.group.start(now) if advertised is None else self.group.resume(advertised, now)
        self._perform(effects)

    def stop(self) -> None:
        """Resign and let go of everything."""
        self._perform(self.group.stop(self._loop.time()))
        for instance in self.instances.values():
            instance.close()
        for timer in (self._asking, self._waits):
            if timer is not None:
                timer.cancel()

    def reconfigure(self, specs: Sequence[InstanceSpec]) -> None:
        """Other settings, or other instances."""
        names = {spec.name for spec in specs}
        for name in [name for name in self.instances if name not in names]:
            self._dismiss(name)
        new = [spec for spec in specs if spec.name not in self.instances]
        kept = {spec.name: spec for spec in specs if spec.name in self.instances}
        made = {spec.name: Instance(spec, self._node, self) for spec in new}
        self.instances = {s.name: made.get(s.name) or self.instances[s.name] for s in specs}
        for spec in kept.values():
            self._take_leave(self.instances[spec.name], spec)
            self.instances[spec.name].respec(spec)
        for instance in made.values():
            instance.open()
        self._settle_settings()

    def _take_leave(self, instance: Instance, spec: InstanceSpec) -> None:
        """Resign as the virtual router that it was, while its socket is there, if its addresses go elsewhere.

        Where one stays, nobody is called: who does not know the new settings yet would hold it too in a skew.
        """
        gone = not instance.spec.shares_an_address(spec)
        if gone and instance.spec.router != spec.router and self.group.state is State.MASTER:
            instance.send(self.group.members[spec.name].advert(RESIGN))

    def _dismiss(self, name: str) -> None:
        instance = self.instances[name]
        if self.group.state is State.MASTER:
            instance.send(self.group.members[name].advert(RESIGN))
        instance.close()
        # Without its fault the group may be master at once, and this one is not to hold addresses then.
        del self.instances[name]
        for fault in list(instance.faults):
            self.faulty(instance, fault, bad=False)

    def _settle_settings(self) -> None:
        """Tell the election what the instances are now, and move the addresses that differ."""
        now = self._loop.time()
        effects = self.group.reconfigure([i.member() for i in self.instances.values()], now)
        for name, instance in self.instances.items():
            effects += self.group.reprioritise(name, instance.priority, now)
        for instance in self.instances.values():
            if self.group.state is State.MASTER:
                instance.hold()
        self._perform(effects)

    def look(self) -> None:
        """The node's interfaces or addresses changed."""
        for instance in self.instances.values():
            instance.look()
            instance.rehold()

    # --- what the instances say ---------------------------------------------------------------------

    def heard(self, instance: Instance, advert: Advert, source: Address) -> None:
        """An advert was let in."""
        effects = self.group.receive(instance.spec.name, advert, source, self._loop.time())
        if self.group.state is not State.MASTER:
            self.peer = None if advert.priority == RESIGN else source
        self._perform(effects)
        if self.peer is not None and self.group.state is not State.MASTER:
            self._node.directing.heard()
            self._peer_heard(self, instance.spec.name)

    def faulty(self, instance: Instance, name: str, bad: bool) -> None:
        """Something without which the group may not be master failed, or is well again."""
        why, now = f"{instance.spec.name}: {name}", self._loop.time()
        self._perform(self.group.fault(why, now) if bad else self.group.clear(why, now))

    def reworded(self) -> None:
        """What is wrong with an instance is something else now."""
        if self.group.state is State.FAULT:
            self.why = self._reason(self.why)
            self._loop.call_soon(self._changed, self)

    def reprioritised(self, instance: Instance, priority: int) -> None:
        """Trackers made this the priority."""
        if instance.spec.name in self.group.members:
            self._perform(self.group.reprioritise(instance.spec.name, priority, self._loop.time()))

    def moved(self, instance: Instance, source: Address) -> None:
        """Adverts come from another address now."""
        if instance.spec.name in self.group.members:
            self._perform(self.group.readdress(instance.spec.name, source, self._loop.time()))

    def judged(self) -> None:
        """A tracker has had its word."""
        if self._waits is not None and not self._unjudged:
            self._wait_no_more()

    @property
    def _unjudged(self) -> bool:
        return any(instance.unjudged for instance in self.instances.values())

    def _wait_no_more(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None
            self.release(UNJUDGED)

    # --- what the director says -----------------------------------------------------------------

    def hold(self, why: str) -> None:
        """Be no master until `release` with the same words."""
        self._perform(self.group.hold(why, self._loop.time()))

    def release(self, why: str) -> None:
        """End a hold."""
        self._hear_out()
        self._perform(self.group.release(why, self._loop.time()))

    def open_gate(self) -> None:
        """The director is ready."""
        self._hear_out()
        self._perform(self.group.open_gate(self._loop.time()))

    def preemption(self, allowed: bool) -> None:
        """Whether a master of lower priority may be taken over from."""
        self._perform(self.group.preemption(allowed, self._loop.time()))

    # --- performing -------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(member, advert):
                    self._send(member, advert)
                case Enter(state, why):
                    self._enter(state, why)
                case Announce(member):
                    self._node.announcements.again(member)
                case AskWitness():
                    self._ask()
                case Report(event, fields):
                    self._report(event, fields)
        if any(isinstance(effect, Send) for effect in effects):
            self.keep_time()
        self._rearm()

    def _send(self, member: str, advert: Advert) -> None:
        # A member that has just gone has said its last word already.
        instance = self.instances.get(member)
        if instance is not None:
            instance.send(advert)

    def _enter(self, state: State, why: str) -> None:
        self.why, self.since = self._reason(why) if state is State.FAULT else why, time.time()
        # Before an address is put: what comes in for it is to find a director.
        if state is State.MASTER:
            self._node.directing.began(self.key)
        else:
            self._node.directing.ended(self.key, self._by_interface(), self._patience(state))
        for instance in self.instances.values():
            if state is State.MASTER:
                instance.hold()
            else:
                instance.release()
        if state is State.MASTER:
            self.transitions += 1
            self.peer = None
        self.keep_time()
        self._loop.call_soon(self._changed, self)

    def _by_interface(self) -> dict[str, frozenset[Address]]:
        """The addresses of all instances by the names of the interfaces that they belong on."""
        found: dict[str, frozenset[Address]] = {}
        for instance in self.instances.values():
            for name, addresses in instance.by_interface().items():
                found[name] = found.get(name, frozenset()) | addresses
        return found

    def _patience(self, state: State) -> float:
        """Seconds after which a peer has taken over, and told it.

        A resignation is followed within a skew, which is less than an interval. It may not have arrived, but
        who stops has no time for that.
        """
        longest = max(spec.interval for spec in self.specs)
        return SETTLE + (longest if state is State.INITIAL else 4 * longest)

    def _reason(self, why: str) -> str:
        """What is wrong; the election knows only what it is that it depends on."""
        wrong = [f"{name}: {what}" for name, i in self.instances.items() for what in i.faults.values()]
        return "; ".join(wrong) or why

    def keep_time(self) -> None:
        """Keep when the group advertised last, for a process after this one."""
        master = self.group.state is State.MASTER
        self._node.advertised(self.key, (self.group.last_advert_at or 0.0) if master else 0.0)

    def _rearm(self) -> None:
        due = self.group.deadline
        if self._timer is not None:
            if self._timer.when() == due and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = None if due is None else self._loop.call_at(due, self._expire, due)

    def catch_up(self) -> None:
        """Do now what should have been done: this process may have been frozen, and not know it yet."""
        due = self.group.deadline
        if due is not None and self._loop.time() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._expire(due)

    def overslept(self, seconds: float) -> None:
        """The process did not run for so long."""
        self._drain()
        self._perform(self.group.overslept(seconds, self._loop.time()))

    def _expire(self, due: float) -> None:
        self._timer = None
        late, soon = self._loop.time() - due, min(spec.interval for spec in self.specs) / 2
        if late > soon + LATE:
            self._tell_late(late)
        if late > soon or self.group.state is not State.MASTER:
            self._hear_out()
        self._perform(self.group.expire(self._loop.time()))

    def _hear_out(self) -> None:
        """Before a silence is believed: did this process run all the time, and what waits in the sockets?"""
        self._node.pulse.look()
        self._drain()

    def _drain(self) -> None:
        for spec in self.specs:
            self._node.sockets.drain(spec.interface, spec.family)

    def _tell_late(self, seconds: float) -> None:
        now = self._loop.time()
        if now - self._late_told >= QUIET and self.group.state is State.MASTER:
            self._late_told = now
            first = self.specs[0]
            self._node.say(
                "vrrp.late", instance=first.name, interface=first.interface, seconds=round(seconds, 3)
            )

    def _ask(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        witnesses = {spec.witness for spec in self.specs if spec.witness is not None}
        self._asking = self._loop.create_task(self._hear_witnesses(witnesses), name=f"witness {self.key}")

    async def _hear_witnesses(self, witnesses: set[Address]) -> None:
        answers = await asyncio.gather(*(ask(witness) for witness in witnesses))
        self._hear_out()
        reachable, hesitated = Answer.NEVER not in answers, Answer.LATE in answers
        self._perform(self.group.witness(reachable, self._loop.time(), hesitated=hesitated))

    def _report(self, event: str, fields: Mapping[str, str | float]) -> None:
        name = str(fields.get("member", self.specs[0].name))
        instance = self.instances.get(name)
        head = {"instance": name, "interface": instance.spec.interface if instance else ""}
        known = _REPORTS.get(event, "vrrp.mismatch")
        body: dict[str, object]
        match known:
            case "vrrp.late":
                body = {"seconds": round(float(fields["seconds"]), 3)}
            case "vrrp.split_brain":
                seconds = round(time.time() - self.since, 3)
                body = {"peer": fields["source"], "priority": fields["priority"], "seconds": seconds}
            case "tracker.failed":
                body = {"tracker": "witness", "weight": 0, "detail": "the witness does not answer"}
            case _:
                rest = ", ".join(f"{k} {v}" for k, v in fields.items() if k not in ("member", "source"))
                body = {"source": fields.get("source"), "detail": f"{event}: {rest}"}
        self._node.say(known, **head, **body)

    # --- telling ----------------------------------------------------------------------------------

    def roles(self) -> list[RoleChange]:
        """How every instance stands."""
        return [
            RoleChange(
                instance=name,
                group=i.spec.group,
                state=self.state,
                why=self.why,
                at=self.since,
                priority=self.group.priority,
            )
            for name, i in self.instances.items()
        ]

    def status(self) -> list[InstanceStatus]:
        """Every instance with its counters."""
        return [self._status(instance) for instance in self.instances.values()]

    def _status(self, instance: Instance) -> InstanceStatus:
        master = instance.source if self.group.state is State.MASTER else self.peer
        member, now, due = self.group.members[instance.spec.name], self._loop.time(), self.group.deadline
        dropped = Counter(instance.dropped) + Counter({Reason.INTERVAL.value: member.discarded})
        return InstanceStatus(
            name=instance.spec.name,
            group=instance.spec.group,
            state=self.state,
            since=self.since,
            why=self.why,
            priority=self.group.priority,
            master=None if master is None else str(master),
            held=bool(self.group.holds - {UNJUDGED}),
            faults=dict(instance.faults),
            weights={name: s.weight for name, s in instance.standings.items() if s.weight},
            addresses=tuple(str(virtual.address) for virtual in instance.spec.every_address),
            sent=instance.sent,
            received=instance.received - member.discarded,
            dropped=dict(dropped),
            transitions=self.transitions,
            master_priority=member.master_priority,
            timers=member.timers(self.group.priority, now) | ({} if due is None else {"due": due - now}),
            unsent=instance.unsent.total(),
        )
