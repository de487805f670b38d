"""A network in virtual time: the shell of some `Group`s, done in memory.

Nodes share links, link k carrying the adverts of member k. A link loses, delays, repeats and
reorders what it carries, and may be cut in one direction. A node may be frozen (by a stopped
process, whose kernel goes on queueing packets, or by a paused machine, which is deaf), killed,
rebooted; its clock has an offset and a rate of its own. Everything random comes from one seed,
so that a history can be told again.

`Network` is judge as well: after every event it checks what must hold at every moment (see
`_judge`), and it knows the bounds.

**How long two masters may hear each other.** `overlap`: the one that must yield hears the other's
next advert within one interval I and the delay d of the link: I + d. Where the two tie and the
links of a group disagree who wins, the link in place k lets the tie last for 1.5 * k intervals
and needs one more advert to end it: (1.5 * k + 2) * I + d.

**How long until there is one.** `bound`, after a network and its nodes are whole again. Let D =
3 * I + S be the longest master-down time, S the longest skew, n the number of members.

    delay d          what was sent before is still under way, and may take the last master
                     down or set a learned interval
    overlap          two masters find each other, all but one yield; or
    D                a backup that woke late listens once more, then
    D + I            the timers of the backups pass; a node that preempts waits for a whole D
                     after the last advert that it obeyed
    preempt delay P  during which it obeys a lower priority
    witness time W   where one is asked: the last refusal, or a question that nobody answered, and
                     1.5 * I + S in which the master is heard that was away with the witness

and a second D, where the first to take over was one that has to yield to a preempting node. In
all d + overlap + D + 2 * (D + I) + P + W, times the drift of the clocks.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lvsha.model import Address
from lvsha.vrrp.effects import AskWitness, Effect, Enter, Send, State
from lvsha.vrrp.machine import WITNESS_PATIENCE, WITNESS_RETRY, Group
from lvsha.vrrp.member import Spec
from lvsha.vrrp.packet import Advert

INBOX = 64
"""Packets that the kernel keeps for a stopped process."""
DRIFT = 0.01
"""The clocks of two nodes differ by no more than this part."""
LATENCY = 0.002
"""Seconds by which a timer may fire late."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One node: the settings of its group's members, and its clock."""

    specs: tuple[Spec, ...]
    offset: float = 0.0
    rate: float = 1.0
    gated: bool = False
    kind: type[Group] = Group


@dataclass(frozen=True, slots=True)
class Voice:
    """A master that was heard."""

    when: float
    sender: int
    """The number of its node."""
    priority: int
    interval: float
    obeyed: bool
    """It was to be obeyed as things were then."""


class Packet(NamedTuple):
    """An advert on its way."""

    member: str
    advert: Advert
    source: Address
    sender: int
    """The node."""


@dataclass(slots=True)
class Node:
    """A machine with a speaker on it."""

    setup: Setup
    group: Group
    alive: bool = True
    frozen: bool = False
    deaf: bool = False
    """The whole machine is paused, its kernel queues nothing."""
    holding: frozenset[str] = frozenset()
    """Members whose addresses are on the interfaces."""
    inbox: list[Packet] = field(default_factory=list)
    timer: int = 0
    armed: float | None = None
    witness: bool = True
    heard: dict[str, Voice] = field(default_factory=dict)
    """By member: who was heard last."""
    frozen_at: float = 0.0
    slept: bool = False
    """It slept for longer than an interval since it heard a master that was to be obeyed."""
    listens_until: float = float("-inf")
    """It woke from the first such sleep, and has to give a master one interval."""
    life: int = 0
    """Counts starts, so that an answer to a process that died finds nobody."""

    def local(self, at: float) -> float:
        """What the node's clock shows."""
        return self.setup.offset + self.setup.rate * at

    def obeys(self, priority: int) -> bool:
        """Whether a master of such a priority is to be obeyed as things are now."""
        group = self.group
        preempts = group._preemption and all(m.spec.preempt for m in group.members.values())
        return priority >= group.priority or not preempts


class BrokenRuleError(AssertionError):
    """Something that must never be was."""


class Network:
    """Some nodes, the links between them, and the time."""

    def __init__(self, setups: Sequence[Setup], rng: random.Random, *, delay: float = 0.02) -> None:
        self.rng = rng
        self.delay = delay
        """The longest that a packet is under way."""
        self.loss = 0.0
        self.repeat = 0.0
        self.now = 0.0
        self.settled = False
        """There is to be one master from now on."""
        self._whole_at = float("inf")
        self._served = False
        self.cut: set[tuple[str, int, int]] = set()
        """(member, from, to) that carry nothing."""
        self.nodes = [Node(setup, setup.kind(setup.specs, gated=setup.gated)) for setup in setups]
        self.story: list[str] = []
        """What happened, for the reader of a failure."""
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        self._since: dict[tuple[int, int], tuple[int, float]] = {}
        self._links = [spec.name for spec in setups[0].specs]
        self.interval = max(spec.interval for setup in setups for spec in setup.specs)
        skews = [1.0 if spec.version == 2 else self.interval for setup in setups for spec in setup.specs]
        self.skew = max(skews)
        self.preempt_delay = max(spec.preempt_delay for setup in setups for spec in setup.specs)
        witness = any(spec.witness for setup in setups for spec in setup.specs)
        back = 1.5 * self.interval + self.skew + 2 * delay
        self.witness_time = WITNESS_PATIENCE + WITNESS_RETRY + back if witness else 0.0
        orders = {self._order(setups, place) for place in range(len(self._links))}
        self._dispute = self.overlap(len(self._links) - 1) if len(orders) > 1 else 0.0
        """Where the links disagree who wins a tie and one of them worked in one direction only, a
        tie may be as old as it takes at the moment of healing, and both may yield."""
        self._pairs = [(a, b) for b in range(len(setups)) for a in range(b)]

    @staticmethod
    def _order(setups: Sequence[Setup], place: int) -> tuple[int, ...]:
        """The nodes by their addresses on a link."""
        return tuple(sorted(range(len(setups)), key=lambda i: setups[i].specs[place].source.packed))

    # The bounds.

    def overlap(self, place: int) -> float:
        """How long two masters may hear each other on the member in this place."""
        intervals = 1 if place == 0 else 1.5 * place + 2
        return (intervals * self.interval + self.delay + 2 * LATENCY) * (1 + 2 * DRIFT)

    @property
    def bound(self) -> float:
        """How long until there is one master for good, once everything is whole."""
        down = 3 * self.interval + self.skew
        overlap = self.overlap(len(self._links) - 1)
        total = self.delay + overlap + down + 2 * (down + self.interval)
        total += self.preempt_delay + self.witness_time
        return (total + 8 * LATENCY) * (1 + 2 * DRIFT)

    # Time.

    def at(self, when: float, do: Callable[..., None], *args: object) -> None:
        """Have something done at a time."""
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, do, args))

    def run(self, until: float) -> None:
        """Let time pass."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, do, args = heapq.heappop(queue)
            do(*args)
            self._judge()
        self.now = until
        self._judge()

    # What the shell does.

    def call(self, index: int, name: str, *args: object) -> None:
        """An input to a node's group, unless the node cannot take one."""
        node = self.nodes[index]
        if not node.alive or node.frozen:
            return
        effects = getattr(node.group, name)(*args, node.local(self.now))
        self._perform(index, effects)

    def _perform(self, index: int, effects: list[Effect]) -> None:
        node = self.nodes[index]
        for effect in effects:
            match effect:
                case Send(member, advert):
                    self._carry(index, member, advert)
                case Enter(state, why):
                    if state is State.MASTER:
                        self._judge_takeover(index)
                    node.heard.clear()
                    node.slept, node.listens_until = False, float("-inf")
                    node.holding = frozenset(node.group.members) if state is State.MASTER else frozenset()
                    self.story.append(f"{self.now:.3f} node {index} {state.value}: {why}")
                case AskWitness():
                    self.at(self.now + self.rng.uniform(0, self.delay), self._answer, index, node.life)
        self._arm(index)

    def _arm(self, index: int) -> None:
        """Keep the one timer of a node."""
        node = self.nodes[index]
        deadline = node.group.deadline
        if deadline == node.armed:
            return
        node.armed = deadline
        node.timer += 1
        if deadline is not None:
            due = (deadline - node.setup.offset) / node.setup.rate
            self.at(max(due, self.now) + self.rng.random() * LATENCY, self._expire, index, node.timer)

    def _expire(self, index: int, timer: int) -> None:
        node = self.nodes[index]
        if timer != node.timer or node.frozen or not node.alive:
            return
        due, node.armed = node.armed, None
        now = node.local(self.now)
        self._perform(index, node.group.expire(now if due is None else max(due, now)))

    def _carry(self, index: int, member: str, advert: Advert) -> None:
        packet = Packet(member, advert, self.nodes[index].group.members[member].spec.source, index)
        rng = self.rng
        for other in range(len(self.nodes)):
            if other == index or (member, index, other) in self.cut or rng.random() < self.loss:
                continue
            self.at(self.now + rng.random() * self.delay, self._deliver, other, packet)
            if self.repeat and rng.random() < self.repeat:
                self.at(self.now + rng.random() * self.delay, self._deliver, other, packet)

    def _deliver(self, index: int, packet: Packet) -> None:
        node = self.nodes[index]
        if not node.alive or node.deaf:
            return
        if node.frozen:
            if len(node.inbox) < INBOX:
                node.inbox.append(packet)
            return
        self._receive(index, packet)

    def _receive(self, index: int, packet: Packet) -> None:
        node = self.nodes[index]
        member, advert, source, sender = packet
        self._note(node, member, advert, sender)
        self._perform(index, node.group.receive(member, advert, source, node.local(self.now)))

    def _note(self, node: Node, member: str, advert: Advert, sender: int) -> None:
        """Keep, for the judge and apart from the machine, whom the node has heard."""
        if advert.priority:
            obeyed = node.obeys(advert.priority)
            if obeyed:
                node.slept, node.listens_until = False, float("-inf")
            node.heard[member] = Voice(self.now, sender, advert.priority, advert.interval, obeyed)
        elif member in node.heard and node.heard[member].sender == sender:
            del node.heard[member]

    def _answer(self, index: int, life: int) -> None:
        if self.nodes[index].life == life:
            self.call(index, "witness", self.nodes[index].witness)

    # What befalls a node.

    def tell(self, what: str) -> None:
        """Add to the story."""
        self.story.append(f"{self.now:.3f} {what}")

    def freeze(self, index: int, *, paused: bool) -> None:
        """Stop the process, or pause the machine."""
        node = self.nodes[index]
        if node.frozen or not node.alive:
            return
        node.frozen, node.deaf, node.frozen_at = True, paused, self.now
        self.tell(f"node {index} frozen, paused {paused}")

    def thaw(self, index: int) -> None:
        """Go on: first with what the socket holds, then with the timer."""
        node = self.nodes[index]
        if not node.frozen:
            return
        self.tell(f"node {index} thaws")
        node.frozen = node.deaf = False
        was, listening = node.group.state, node.group.listening
        inbox, node.inbox = node.inbox, []
        for packet in inbox:
            self._receive(index, packet)
        asleep = (self.now - node.frozen_at) * (1 - 2 * DRIFT)
        # What it takes for the interval may not be the master's before it has heard one.
        interval = max(m.master_interval for m in node.group.members.values())
        if not node.slept and asleep > interval:
            node.slept, node.listens_until = True, self.now + interval * (1 - 2 * DRIFT)
        self.call(index, "overslept", (self.now - node.frozen_at) * node.setup.rate)
        self.call(index, "expire")
        longest = 4 * self.interval if was is State.MASTER else 4 * self.interval + self.skew
        if asleep > longest + self.preempt_delay and not listening and node.group.state is State.MASTER:
            raise BrokenRuleError(f"node {index} woke after {asleep:.3f} s and is master\n{self}")

    def kill(self, index: int) -> None:
        """The process dies. Its addresses stay where they are."""
        self.thaw(index)
        node = self.nodes[index]
        node.alive = False
        self.tell(f"node {index} killed")

    def revive(self, index: int, *, reboot: bool) -> None:
        """Start a process that died: it goes on if it may, a rebooted one begins anew."""
        node = self.nodes[index]
        if node.alive:
            return
        last, was = node.group.last_advert_at, node.group.state
        gated = reboot and node.setup.gated
        node.group = node.setup.kind(node.setup.specs, gated=gated)
        node.alive, node.armed, node.life = True, None, node.life + 1
        node.holding = frozenset()
        node.heard.clear()
        self.tell(f"node {index} revived, reboot {reboot}")
        if was is State.MASTER and last is not None and not reboot:
            self.call(index, "resume", last)
        else:
            self.call(index, "start")

    def heal(self) -> None:
        """Everything is whole again."""
        self.tell("healed")
        self._whole_at = self.now
        self.cut.clear()
        self.loss = self.repeat = 0.0
        for index, node in enumerate(self.nodes):
            node.witness = True
            self.thaw(index)
            self.revive(index, reboot=False)
            self.call(index, "start")
            for why in sorted(node.group.faults):
                self.call(index, "clear", why)
            for why in sorted(node.group.holds):
                self.call(index, "release", why)
            self.call(index, "open_gate")

    # The judge.

    def masters(self) -> list[int]:
        """The nodes that are master now."""
        return [i for i, node in enumerate(self.nodes) if node.alive and node.group.state is State.MASTER]

    def _judge(self) -> None:
        """What must hold at every moment.

        Addresses follow the state, all of a group or none of it; two masters which hear each other
        do so no longer than `overlap`; a network that is whole and has a master is never without
        one again; and once `settled` there is just one.
        """
        masters = 0
        for index, node in enumerate(self.nodes):
            if node.alive:
                master = node.group.state is State.MASTER
                masters += master
                if len(node.holding) != (len(node.group.members) if master else 0):
                    raise BrokenRuleError(f"node {index} is {node.group.state} and holds {set(node.holding)}")
        if self.settled and masters != 1:
            raise BrokenRuleError(f"{masters} masters\n{self}")
        if self.now > self._whole_at + self.delay + self._dispute:
            if self._served and not masters:
                raise BrokenRuleError(f"a whole network lost its master\n{self}")
            self._served = self._served or masters > 0
        if masters < 2:
            self._since.clear()
            return
        for a, b in self._pairs:
            place = self._meet(self.nodes[a], self.nodes[b], a, b)
            if place is None:
                self._since.pop((a, b), None)
                continue
            if self._since.get((a, b), (-1, 0.0))[0] != place:
                self._since[a, b] = (place, self.now)
            since = self._since[a, b][1]
            if self.now - since > self.overlap(place):
                raise BrokenRuleError(
                    f"nodes {a} and {b} have been masters together since {since:.3f}\n{self}"
                )

    def _judge_takeover(self, index: int) -> None:
        """Nobody takes over from a master that it has heard just now and was, or is, to obey.

        Nor from one that it is to obey and will hear within an interval, because it slept through what that
        one said before.
        """
        node = self.nodes[index]
        for other in self.masters():
            if self.now < node.listens_until and self._speaks(other, index):
                raise BrokenRuleError(f"node {index} slept, and takes over from {other}\n{self}")
        for member, voice in node.heard.items():
            recent = self.now - voice.when < 2.5 * voice.interval * (1 - 2 * DRIFT)
            obeyed = voice.obeyed or node.obeys(voice.priority)
            lives = voice.sender in self.masters() and not self.nodes[voice.sender].frozen
            if recent and obeyed and lives:
                raise BrokenRuleError(f"node {index} heard {voice.sender} on {member} and takes over\n{self}")

    def _speaks(self, master: int, index: int) -> bool:
        """Whether a node is to obey a master, and some link carries to it what that one says."""
        one = self.nodes[master]
        if one.frozen or self.loss or not self.nodes[index].obeys(one.group.priority):
            return False
        whole = any((link, master, index) not in self.cut for link in self._links)
        return whole and one.group.since < one.local(self.nodes[index].frozen_at)

    def _meet(self, one: Node, two: Node, a: int, b: int) -> int | None:
        """The first place where two masters hear each other, if there is any."""
        for node in (one, two):
            if node.frozen or not node.alive or node.group.state is not State.MASTER:
                return None
        if self.loss:
            return None
        for place, link in enumerate(self._links):
            if (link, a, b) not in self.cut and (link, b, a) not in self.cut:
                return place
        return None

    def __str__(self) -> str:
        return "\n".join([*self.story, f"{self.now:.3f} masters {self.masters()}"])
