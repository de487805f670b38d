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
happened. As backup it has been deaf: it listens for one more interval and skew, once, before
it believes the silence. The shell should hand in what its sockets hold before it calls
`expire`, and give times of a clock which goes on while the machine sleeps (CLOCK_BOOTTIME).

**After a crash of our own** `resume` goes on as master if less than three intervals have passed
since the last advert: the skew of a backup is never 0, so nobody can have taken over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from lvsha.model import Address
from lvsha.vrrp.member import Member, Spec
from lvsha.vrrp.packet import Advert


class State(Enum):
    """Initialize, Backup and Master of the RFC (Active in RFC 9568), and FAULT."""

    INITIAL = "initial"
    BACKUP = "backup"
    MASTER = "master"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this advert from the member's source address, now."""

    member: str
    advert: Advert


@dataclass(frozen=True, slots=True)
class Enter:
    """The group is in `state`: MASTER adds and announces the members' addresses, others remove them."""

    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Another node has claimed the member's addresses: say again where they are."""

    member: str
    why: str


@dataclass(frozen=True, slots=True)
class AskWitness:
    """Find out whether the witness is reachable and call `Group.witness` with the answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something an operator should know; at most one of a kind every REPORT_PERIOD seconds."""

    event: str
    fields: Mapping[str, str | int | float] = field(default_factory=dict)


Effect = Send | Enter | Announce | AskWitness | Report


class Group:
    """Virtual routers that fail over together; most often one.

    Members are named by `Spec.name`. Every input takes the time `now` in seconds and returns the
    effects to perform, in order.
    """

    def __init__(self, specs: Sequence[Spec], *, gated: bool = False) -> None:
        """With `gated` the group may not become master before `open_gate`."""
        self.state = State.INITIAL
        self.gate_open = not gated
        self.members = {spec.name: Member(spec, rank) for rank, spec in enumerate(specs)}
        self.counts: Counter[str] = Counter()
        """Reports and ignored adverts by event, all of them."""

    @property
    def deadline(self) -> float | None:
        """When `expire` is due, None for not at all; ask again after every input."""
        raise NotImplementedError

    @property
    def priority(self) -> int:
        """What all members advertise: the least of their effective priorities."""
        raise NotImplementedError

    @property
    def last_advert_at(self) -> float | None:
        """For `resume`: when the member which has been silent longest last advertised."""
        raise NotImplementedError

    def start(self, now: float) -> list[Effect]:
        """INITIAL -> BACKUP; an owner that nothing holds back is MASTER at once."""
        raise NotImplementedError

    def resume(self, last_advert_at: float, now: float) -> list[Effect]:
        """`start` of a process that was master until it died, on the same clock."""
        raise NotImplementedError

    def receive(self, member: str, advert: Advert, source: Address, now: float) -> list[Effect]:
        """An advert which `admission` has let in for this member."""
        raise NotImplementedError

    def expire(self, now: float) -> list[Effect]:
        """The deadline has passed. Too early is harmless."""
        raise NotImplementedError

    def reprioritise(self, member: str, priority: int, now: float) -> list[Effect]:
        """Tracking has made this the member's priority (see `effective_priority`)."""
        raise NotImplementedError

    def readdress(self, member: str, source: Address, now: float) -> list[Effect]:
        """The address that the member's adverts come from has changed."""
        raise NotImplementedError

    def reconfigure(self, specs: Sequence[Spec], now: float) -> list[Effect]:
        """New settings, same state. The shell moves what differs in addresses itself."""
        raise NotImplementedError

    def fault(self, why: str, now: float) -> list[Effect]:
        """Something without which no member may be master has failed; `why` names it."""
        raise NotImplementedError

    def clear(self, why: str, now: float) -> list[Effect]:
        """The fault of that name is over; the last one leaves FAULT for BACKUP."""
        raise NotImplementedError

    def stop(self, now: float) -> list[Effect]:
        """Resign and go to INITIAL."""
        raise NotImplementedError

    def step_down(self, seconds: float, now: float) -> list[Effect]:
        """Resign, and do not take over for so long."""
        raise NotImplementedError

    def hold(self, why: str, now: float) -> list[Effect]:
        """Resign, and do not take over until `release` of the same name."""
        raise NotImplementedError

    def release(self, why: str, now: float) -> list[Effect]:
        """End a `hold`."""
        raise NotImplementedError

    def open_gate(self, now: float) -> list[Effect]:
        """The director is ready: this node may become master."""
        raise NotImplementedError

    def preemption(self, allowed: bool, now: float) -> list[Effect]:
        """Whether a lower-priority master may be pre-empted (a node that is coming back, not yet)."""
        raise NotImplementedError

    def witness(self, reachable: bool, now: float) -> list[Effect]:
        """The answer to AskWitness."""
        raise NotImplementedError
