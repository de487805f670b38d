"""The election: when this node is master, and what it does about it.

Everything that changes the state is in this file, and a transition is nothing but the list of
effects it returns. No input raises; an input that means nothing in the present state changes
nothing and returns [].

**One state for a group.** Virtual routers that must be on one node together (a public and an
inside address, IPv4 and IPv6) are the members of a `Group`, and a lone virtual router is a
group of one. Each member has timers and ears of its own, but there is one state, so that a
group which is half moved cannot be expressed:

    INITIAL --start--> BACKUP <--> MASTER        any --stop--> INITIAL
    BACKUP or MASTER --fault--> FAULT --clear--> BACKUP

**Becoming master.** From BACKUP, when nothing stands against it:

- every member's master-down timer has passed. A member which still hears a master it would
  obey speaks for the whole group: that master is alive, and to take the other members from it
  would make it take them back;
- the start gate is open, nobody holds us back (`hold`, `step_down`, start delay);
- the witness, where one is configured, has been asked now and was reached.

A witness that was away and is back says that our own cable was the broken one. The master that
was behind it too has an interval and a half to be heard before the silence counts.

An advert goes out on every member first, then comes `Enter(MASTER)`.

**Ceasing to be master.** When any member hears an advert that beats ours, when any member is at
fault, when told to, and when this process finds that it was frozen. The first is the RFC's and
says nothing on the member that heard it; the other members, and all of them in the other
cases, send a priority of 0 so that the next one need not wait. A frozen master says nothing:
it does not know whose the address is now.

**Which advert beats ours.** A higher priority. Among equals the higher source address (RFC 9568,
6.4.3). All members of a group speak with one priority, the lowest that any of them has: with
one each, two nodes could beat each other on different members for ever. Source addresses have
the same trouble, A's being higher on one link and B's on another. So ties are settled on the
first member; on a later member, in place k, a tie that we lose must last for 1.5 * k intervals
before we yield, by when a first member that works has settled it the other way round.

**Hearing nothing is not knowing.** A process that was stopped, or a machine that was paused,
wakes with timers long past. As master it has been silent: three intervals after its advert was
due every peer has taken over, so it goes to BACKUP instead of advertising as if nothing had
happened. As backup it has been deaf: when its timer fires more than an interval late it listens
for an interval and a half and the skew before it believes the silence; once only, so that a machine
which is always late still becomes master where there is no other. A pause may have swallowed adverts
and be over before the timer is due: the shell says so (`overslept`), and one longer than an interval
is made up for likewise. The shell should hand in what its sockets hold before it calls `expire` or
`overslept`, and give times of a clock which goes on while the machine sleeps (CLOCK_BOOTTIME).

**How long it takes.** With I the interval (the longest, where members or nodes differ), S the skew,
D = 3 * I + S and d the delay of the network: a master that dies is followed D after its last
advert, one that resigns after S. Two masters that hear each other are one after I + d, on a later
member that has to settle a tie after (1.5 * k + 2) * I + d. Once network and nodes are whole,
there is one master per group within d + that + D + 2 * (D + I), the preempt delay and the
witness's time added (that includes 1.5 * I + S where it was away); `tests/lvsha/vrrp/network.py`
derives this and holds random histories to it.

**After a crash of our own** `resume` goes on as master if less than three intervals have passed
since the last advert: the skew of a backup is never 0, so nobody can have taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lvsha.model import Address
from lvsha.vrrp.effects import AskWitness, Effect, Enter, Send, State
from lvsha.vrrp.member import Member, Spec
from lvsha.vrrp.notices import Notices
from lvsha.vrrp.packet import OWNER, RESIGN, Advert

ANSWER_GAP: Final = 0.05
"""Part of an interval within which a second advert would say nothing new."""
WITNESS_PATIENCE: Final = 3.0
"""Seconds without an answer after which the witness is asked again."""
WITNESS_RETRY: Final = 1.0
"""Seconds after which a witness that was not reachable is asked again."""


class Group:
    """Virtual routers that fail over together; most often one.

    Members are named by `Spec.name`, and an unknown name is a KeyError. Every input takes the time
    `now` in seconds and returns the effects to perform, in order.
    """

    def __init__(self, specs: Sequence[Spec], *, gated: bool = False) -> None:
        """With `gated` the group may not become master before `open_gate`."""
        if not specs:
            raise ValueError("a group has at least one virtual router")
        self.state = State.INITIAL
        self.since = float("-inf")
        """When the state was entered."""
        self.members = {spec.name: Member(spec, rank) for rank, spec in enumerate(specs)}
        self.notices = Notices()
        self.gate_open = not gated
        self.faults: set[str] = set()
        self.holds: set[str] = set()
        self._preemption = True
        self._preempt_at: float | None = None
        self._not_before = float("-inf")
        self._asked = False
        self._ask_at = float("-inf")
        self._cut_off = False
        """The witness was away when it was asked last."""
        self.listening = False
        """Woke late, and has heard nothing since that it obeys."""
        self._excused = False
        """What may have been missed while it did not run has been waited for, in this silence."""

    # What the shell looks at.

    @property
    def deadline(self) -> float | None:
        """When `expire` is due, None for not at all; ask again after every input."""
        match self.state:
            case State.MASTER:
                return min(m.advert_at for m in self.members.values())
            case State.BACKUP if self.gate_open and not self.holds:
                return max(self._down_at, self._not_before, self._ask_at)
            case _:
                return None

    @property
    def priority(self) -> int:
        """What all members advertise: the least of their effective priorities."""
        return min(m.priority for m in self.members.values())

    @property
    def last_advert_at(self) -> float | None:
        """For `resume`: when the member which has been silent longest last advertised."""
        times = [m.sent_at for m in self.members.values()]
        return None if None in times else min(t for t in times if t is not None)

    # Starting and stopping.

    def start(self, now: float) -> list[Effect]:
        """INITIAL -> BACKUP; an owner that nothing holds back is MASTER at once."""
        if self.state is not State.INITIAL:
            return []
        self._not_before = now + max(m.spec.start_delay for m in self.members.values())
        if self.faults:
            return self._enter(State.FAULT, f"started with {self._named(self.faults)}", now)
        return self._begin("started", now)

    def resume(self, last_advert_at: float, now: float) -> list[Effect]:
        """`start` of a process that was master until it died.

        `last_advert_at` is on the same clock as `now`, written down after the advert was sent.
        Build the group without `gated` if its gate was open.
        """
        unheard = 3 * min(m.spec.interval for m in self.members.values())
        free = self.gate_open and not self.holds and not self.faults
        if self.state is State.INITIAL and free and 0 <= now - last_advert_at < unheard:
            return self._become_master(f"resumed {now - last_advert_at:.3f} s after its last advert", now)
        return self.start(now)

    def stop(self, now: float) -> list[Effect]:
        """Resign and go to INITIAL."""
        if self.state is State.INITIAL:
            return []
        return [*self._resignations(), *self._enter(State.INITIAL, "stopped", now)]

    # What the network and the clock say.

    def receive(self, member: str, advert: Advert, source: Address, now: float) -> list[Effect]:
        """An advert which `admission` has let in for this member."""
        if self.state not in (State.BACKUP, State.MASTER):
            return []
        effects = self._notice_freeze(now)
        m = self.members[member]
        master = self.state is State.MASTER
        effects += self.notices.compare(m.spec, self.priority, master, advert, source, now)
        if m.spec.version == 2 and advert.interval != round(m.spec.interval):
            m.discarded += 1  # RFC 3768, 7.1
            return effects
        if master:
            return effects + self._hear_as_master(m, advert, source, now)
        return effects + self._hear_as_backup(m, advert, source, now)

    def expire(self, now: float) -> list[Effect]:
        """The deadline has passed. Too early is harmless."""
        effects = self._notice_freeze(now)
        due = self.deadline
        if due is None or now < due:
            return effects
        if self.state is State.BACKUP:
            return effects + self._attempt(now)
        return [self._advertise_on_time(m, now) for m in self.members.values() if m.advert_at <= now]

    def overslept(self, seconds: float, now: float) -> list[Effect]:
        """The process did not run for so long; what its kernel kept for it has been handed in."""
        was, effects = self.state, self._notice_freeze(now)
        longest = max(m.master_interval for m in self.members.values())
        if was is not State.BACKUP or self._excused or seconds <= longest:
            return effects
        self._excused = True
        self._listen(now)
        return effects

    # What tracking and operators say.

    def reprioritise(self, member: str, priority: int, now: float) -> list[Effect]:
        """Tracking has made this the member's priority (see `effective_priority`).

        The running timers of a backup are moved by the difference of the skews, and a master that it
        was about to pre-empt and is not better than any more is obeyed again; a master says its new
        priority with its next advert. Raises ValueError outside 1 to 255.
        """
        del now  # Timers are moved, not restarted; every input takes the time all the same.
        if not 1 <= priority <= OWNER:
            raise ValueError(f"priority {priority} of {member} is not within 1 to 255")
        before = self.priority
        self.members[member].priority = priority
        self._shift_timers(before)
        self._obey_again()
        return []

    def readdress(self, member: str, source: Address, now: float) -> list[Effect]:
        """The address that the member's adverts come from has changed."""
        effects = self._notice_freeze(now)
        m = self.members[member]
        m.spec = replace(m.spec, source=source)
        return [*effects, self._advertise(m, now)] if self.state is State.MASTER else effects

    def reconfigure(self, specs: Sequence[Spec], now: float) -> list[Effect]:
        """New settings, same state. The shell moves what differs in addresses itself.

        A member that is gone is resigned for; a master advertises for all that stay or come. One that has
        another VRID or version holds its addresses as before, and so calls nobody who knows the old one
        alone. Tracked priorities of members whose base priority changed are to be given again.
        """
        if not specs:
            raise ValueError("a group has at least one virtual router")
        effects = self._notice_freeze(now)
        before, old = self.priority, self.members
        self.members = {
            spec.name: self._carried(old.get(spec.name), spec, rank, now) for rank, spec in enumerate(specs)
        }
        self._shift_timers(before, kept=[m for m in self.members.values() if m in old.values()])
        self._obey_again()
        if self.state is not State.MASTER:
            return effects
        gone = [m for name, m in old.items() if name not in self.members]
        effects += [Send(m.spec.name, m.advert(RESIGN)) for m in gone]
        return effects + [self._advertise(m, now) for m in self.members.values()]

    def fault(self, why: str, now: float) -> list[Effect]:
        """Something without which no member may be master has failed; `why` names it."""
        self.faults.add(why)
        if self.state not in (State.BACKUP, State.MASTER):
            return []
        return [*self._resignations(), *self._enter(State.FAULT, why, now)]

    def clear(self, why: str, now: float) -> list[Effect]:
        """The fault of that name is over; the last one leaves FAULT for BACKUP."""
        self.faults.discard(why)
        if self.state is not State.FAULT or self.faults:
            return []
        return self._begin(f"{why} is over", now)

    def step_down(self, seconds: float, now: float) -> list[Effect]:
        """Resign, and do not take over for so long, whoever else is silent."""
        self._not_before = max(self._not_before, now + seconds)
        return self._yield("asked to step down", now)

    def hold(self, why: str, now: float) -> list[Effect]:
        """Resign, and do not take over until `release` of the same name."""
        self.holds.add(why)
        return self._yield(why, now)

    def release(self, why: str, now: float) -> list[Effect]:
        """End a `hold`."""
        self.holds.discard(why)
        return self._attempt(now)

    def open_gate(self, now: float) -> list[Effect]:
        """The director is ready: this node may become master."""
        self.gate_open = True
        return self._attempt(now)

    def preemption(self, allowed: bool, now: float) -> list[Effect]:
        """Whether a lower-priority master may be pre-empted (by a node that comes back: not yet).

        Allowed, it takes effect with the next advert. Forbidden, at once: a master whose time was already
        running out is obeyed again, as of its last advert.
        """
        del now  # The adverts decide.
        self._preemption = allowed
        self._obey_again()
        return []

    def witness(self, reachable: bool, now: float, *, hesitated: bool = False) -> list[Effect]:
        """The answer to AskWitness. One that comes too late is not heard.

        `hesitated`: it was asked more than once before it was reached.
        """
        if self.state is not State.BACKUP or not self._asked:
            return []
        effects = self._notice_freeze(now)
        self._asked = False
        if not reachable:
            self._ask_at, self._cut_off = now + WITNESS_RETRY, True
            return effects + self.notices.report("witness_unreachable", now)
        self._ask_at = float("-inf")
        if self._cut_off or hesitated:
            self._cut_off = False
            self._listen(now)
        return self._become_master(self._why(now), now) if self._free(now) else effects

    # Hearing.

    def _hear_as_backup(self, m: Member, advert: Advert, source: Address, now: float) -> list[Effect]:
        """RFC 9568, 6.4.2."""
        if advert.priority == RESIGN:
            # Of the master that was heard last only: a resignation which the network delivers
            # late must not be taken for one of its successor. And not of one that spoke while we
            # were frozen.
            if m.master in (None, source) and not self.listening:
                m.resign(source, now + m.skew(self.priority))
            return []
        m.hear(advert, source, now)
        if advert.priority >= self.priority:
            self._preempt_at = None
        elif self._preempts(now):
            return []
        m.obey(advert.interval, self.priority, now)
        self._ask_nothing()
        return []

    def _hear_as_master(self, m: Member, advert: Advert, source: Address, now: float) -> list[Effect]:
        """RFC 9568, 6.4.3."""
        if advert.priority == RESIGN:
            return [self._advertise(m, now), *self._claim(f"{source} resigned", now)]
        if advert.priority == self.priority and source == m.spec.source:
            return []
        if advert.priority > self.priority:
            return self._obey(m, advert, source, now)
        if advert.priority == self.priority and source.packed > m.spec.source.packed:
            lasted = m.tie_lasts(advert.interval, now)
            patience = 1.5 * m.rank * max(advert.interval, *(x.spec.interval for x in self.members.values()))
            return self._obey(m, advert, source, now) if lasted >= patience else []
        claim = self._claim(f"{source} was master too", now)
        if m.sent_at is not None and now - m.sent_at < ANSWER_GAP * m.spec.interval:
            return claim
        return [self._advertise(m, now), *claim]

    def _obey(self, m: Member, advert: Advert, source: Address, now: float) -> list[Effect]:
        why = f"{source} has priority {advert.priority}, ours is {self.priority}"
        effects = self._yield(self._named_by(m, why), now, heard=m)
        m.hear(advert, source, now)
        m.obey(advert.interval, self.priority, now)
        return effects

    def _preempts(self, now: float) -> bool:
        """Whether a master of lower priority is to be ignored until its time is over."""
        if not self._preempting:
            return False
        if self.priority == OWNER:
            return True
        if self._preempt_at is None:
            self._preempt_at = now + max(m.spec.preempt_delay for m in self.members.values())
        return now >= self._preempt_at

    @property
    def _preempting(self) -> bool:
        """Whether a master of lower priority is pre-empted at all."""
        members = self.members.values()
        return self.priority == OWNER or (self._preemption and all(m.spec.preempt for m in members))

    def _obey_again(self) -> None:
        """Obey, as of their last adverts, the masters that are not to be pre-empted (any more).

        Priorities or settings changed, and their time may be running out because those were ignored.
        """
        if not self._preempting:
            self._preempt_at = None
        for m in self.members.values():
            if m.master_priority >= self.priority or not self._preempting:
                m.obey_again(self.priority)

    # Changing.

    @property
    def _down_at(self) -> float:
        """When every member has been silent for long enough."""
        return max(m.down_at for m in self.members.values())

    def _free(self, now: float) -> bool:
        """Whether nothing but the witness stands against becoming master."""
        due = self.deadline
        return self.state is State.BACKUP and due is not None and now >= due

    def _attempt(self, now: float) -> list[Effect]:
        """Become master, or ask the witness first, if nothing stands against it."""
        if not self._free(now):
            return []
        if any(m.spec.witness for m in self.members.values()):
            self._asked, self._ask_at = True, now + WITNESS_PATIENCE
            return [AskWitness()]
        return self._become_master(self._why(now), now)

    def _begin(self, why: str, now: float) -> list[Effect]:
        """BACKUP, having heard nothing yet (RFC 9568, 6.4.1)."""
        effects = self._enter(State.BACKUP, why, now)
        for m in self.members.values():
            m.begin(now if self.priority == OWNER else now + m.master_down(self.priority))
        attempt = self._attempt(now)
        return attempt if self.state is State.MASTER else effects + attempt

    def _become_master(self, why: str, now: float) -> list[Effect]:
        """The advert first, on every member: it stops the others."""
        entered = self._enter(State.MASTER, why, now)
        for m in self.members.values():
            m.begin(now)
        return [*(self._advertise(m, now) for m in self.members.values()), *entered]

    def _yield(self, why: str, now: float, heard: Member | None = None) -> list[Effect]:
        """MASTER -> BACKUP, resigning on the members other than the one that heard why."""
        if self.state is not State.MASTER:
            return []
        resignations = self._resignations(but=heard)
        return resignations + self._retire(why, now)

    def _retire(self, why: str, now: float) -> list[Effect]:
        """MASTER -> BACKUP without a word, with full timers, an owner too."""
        for m in self.members.values():
            m.begin(now + m.master_down(self.priority))
        return self._enter(State.BACKUP, why, now)

    def _enter(self, state: State, why: str, now: float) -> list[Effect]:
        self.state, self.since = state, now
        self._preempt_at = None
        self._ask_nothing()
        return [Enter(state, why)]

    def _ask_nothing(self) -> None:
        """The silence is over, or begins anew."""
        self._asked, self._ask_at, self._cut_off = False, float("-inf"), False
        self.listening = self._excused = False

    def _notice_freeze(self, now: float) -> list[Effect]:
        """Whether this process was stopped past its deadline, and what that costs."""
        if self.state is State.MASTER:
            last = self.last_advert_at
            late = max(now - m.advert_at - 3 * m.spec.interval for m in self.members.values())
            if late <= 0 or last is None:
                return []
            silent = now - last
            retired = self._retire(f"was frozen: no advert sent for {silent:.3f} s", now)
            self.listening = True
            return [*self.notices.report("frozen", now, seconds=silent), *retired]
        due = self.deadline
        if (
            due is None
            or self.listening
            or now - due <= max(m.master_interval for m in self.members.values())
        ):
            return []
        self.listening = True
        self._listen(now)
        return self.notices.report("woke_late", now, seconds=now - due)

    def _listen(self, now: float) -> None:
        """Give a master that lives an interval, and half of another for the wire, to be heard in."""
        for m in self.members.values():
            m.down_at = max(m.down_at, now + 1.5 * m.master_interval + m.skew(self.priority))

    def _shift_timers(self, before: int, kept: Sequence[Member] | None = None) -> None:
        """The priority is not `before` any more: a backup's timers end at another skew."""
        for m in self.members.values() if kept is None else kept:
            m.down_at += m.skew(self.priority) - m.skew(before)

    def _carried(self, m: Member | None, spec: Spec, rank: int, now: float) -> Member:
        """The member with other settings, or a new one that has heard nothing yet."""
        if m is None or (m.spec.vrid, m.spec.version) != (spec.vrid, spec.version):
            fresh = Member(spec, rank)
            fresh.begin(now + fresh.master_down(spec.priority))
            return fresh
        if m.spec.priority != spec.priority:
            m.priority = spec.priority
        m.spec, m.rank = spec, rank
        if (m.heard_at is None or spec.version == 2) and m.master_interval != spec.interval:
            # The master may have its first advert by these settings still to send, an interval from now.
            m.master_interval = spec.interval
            m.down_at = max(m.down_at, now + m.master_down(self.priority))
        return m

    # Saying.

    def _advertise(self, m: Member, now: float) -> Send:
        m.sent_at, m.advert_at = now, now + m.spec.interval
        return Send(m.spec.name, m.advert(self.priority))

    def _advertise_on_time(self, m: Member, now: float) -> Send:
        """The periodic advert: the next is due an interval after this one was, not after it was late."""
        due = m.advert_at + m.spec.interval
        send = self._advertise(m, now)
        m.advert_at = due if due > now else m.advert_at
        return send

    def _resignations(self, but: Member | None = None) -> list[Effect]:
        if self.state is not State.MASTER:
            return []
        return [Send(name, m.advert(RESIGN)) for name, m in self.members.items() if m is not but]

    def _claim(self, why: str, now: float) -> list[Effect]:
        return self.notices.announce(self.members, why, now)

    def _why(self, now: float) -> str:
        """The reason for taking over: that of the member which waited longest."""
        if self.priority == OWNER:
            return "owns the addresses"
        last = max(self.members.values(), key=lambda m: m.down_at)
        return self._named_by(last, last.silence(now))

    def _named_by(self, m: Member, why: str) -> str:
        """A peer has an address on each link: in a group it is said whose this one is."""
        return why if len(self.members) == 1 else f"{m.spec.name}: {why}"

    @staticmethod
    def _named(reasons: set[str]) -> str:
        return ", ".join(sorted(reasons))
