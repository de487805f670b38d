"""One virtual router: its settings, its clocks and what it last heard.

A `Member` decides nothing. It does the arithmetic of RFC 9568, section 6.1 (RFC 3768, 6.1 for
version 2) and remembers; the transitions are all in `machine`.

    Skew_Time             v2: (256 - priority) / 256 seconds
                          v3: (256 - priority) / 256 of Active_Adver_Interval
    Active_Down_Interval  3 * Active_Adver_Interval + Skew_Time

Active_Adver_Interval is the interval that the present master states in its adverts. v2 does
not learn it: there an advert with another interval than ours is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lvsha.model import Address
from lvsha.vrrp.packet import OWNER, Advert, AuthType


@dataclass(frozen=True, slots=True)
class Spec:
    """The settings of one virtual router on this node. Times are seconds."""

    name: str
    vrid: int
    source: Address
    """The address our adverts come from; the higher one wins among equal priorities."""
    priority: int = 100
    """1 to 254, or 255: this node owns the addresses."""
    addresses: tuple[Address, ...] = ()
    """What is advertised, in order."""
    version: int = 3
    interval: float = 1.0
    preempt: bool = True
    """Take over from a master of lower priority. An owner always does."""
    preempt_delay: float = 0.0
    """How long a master of lower priority is heard before it is pre-empted."""
    start_delay: float = 0.0
    """No taking over for so long after the start."""
    accept: bool = True
    """Accept_Mode: the shell lets packets to the addresses in although this is not the owner."""
    witness: bool = False
    """A third party must be reachable before this node takes over."""
    password: bytes | None = field(default=None, repr=False)
    """v2 only: sent with every advert."""


def effective_priority(base: int, weights: tuple[int, ...] | list[int] = ()) -> int:
    """The base priority with the weights of tracked objects added, within 1 to 254.

    An owner (255) stays an owner: RFC 9568, 5.2.4 reserves 255 for it and 0 for resigning.
    """
    return OWNER if base == OWNER else min(254, max(1, base + sum(weights)))


class Member:
    """The timers and the memory of one virtual router in a group."""

    def __init__(self, spec: Spec, rank: int) -> None:
        self.spec = spec
        self.rank = rank
        """The place in the group; the first member settles ties."""
        self.priority = spec.priority
        """What tracking has made of spec.priority."""
        self.master_interval = spec.interval
        """Active_Adver_Interval."""
        self.master: Address | None = None
        """Whose advert was heard last, unless it resigned."""
        self.master_priority = 0
        """0: nothing was heard, or it resigned."""
        self.heard_at: float | None = None
        self._heard_interval = spec.interval
        self.down_at = 0.0
        """While backup: when Active_Down_Timer fires."""
        self.advert_at = 0.0
        """While master: when Adver_Timer fires."""
        self.sent_at: float | None = None
        """When the last advert (other than a resignation) was made."""
        self.discarded = 0
        """Adverts that the election was not to hear: version 2's with another interval than ours."""
        self._tie_since = 0.0
        self._tie_heard: float | None = None

    def skew(self, priority: int) -> float:
        """Skew_Time for the priority that the group stands with."""
        unit = 1.0 if self.spec.version == 2 else self.master_interval
        return (256 - priority) / 256 * unit

    def master_down(self, priority: int) -> float:
        """Active_Down_Interval for the priority that the group stands with."""
        return 3 * self.master_interval + self.skew(priority)

    def timers(self, priority: int, now: float) -> dict[str, float]:
        """By what it counts now, for a person; `heard`: how long ago its master was."""
        known = {
            "interval": self.master_interval,
            "skew": self.skew(priority),
            "master_down": self.master_down(priority),
        }
        return known if self.heard_at is None else known | {"heard": now - self.heard_at}

    def begin(self, down_at: float) -> None:
        """Nothing has been heard yet."""
        self.master_interval = self.spec.interval
        self.master, self.master_priority, self.heard_at = None, 0, None
        self.down_at = down_at
        self._tie_heard = None

    def hear(self, advert: Advert, source: Address, now: float) -> None:
        """Remember who is master, obeyed or not."""
        self.master, self.master_priority, self.heard_at = source, advert.priority, now
        self._heard_interval = advert.interval

    def obey(self, interval: float, priority: int, now: float) -> None:
        """Start the timer again, by the interval of the master (RFC 9568, 6.4.2)."""
        if self.spec.version == 3:
            self.master_interval = interval
        self.down_at = now + self.master_down(priority)

    def obey_again(self, priority: int) -> None:
        """Obey the last advert, which was only remembered until now; a timer that runs longer stays."""
        if self.master_priority and self.heard_at is not None:
            down_at = self.down_at
            self.obey(self._heard_interval, priority, self.heard_at)
            self.down_at = max(down_at, self.down_at)

    def resign(self, source: Address, down_at: float) -> None:
        """The master has gone: wait no longer than until `down_at`."""
        self.master, self.master_priority = source, 0
        self.down_at = min(self.down_at, down_at)

    def tie_lasts(self, interval: float, now: float) -> float:
        """For how long a master of equal priority has been heard that we would yield to.

        Two of its intervals without one, and it is another tie.
        """
        if self._tie_heard is None or now - self._tie_heard > 2 * interval:
            self._tie_since = now
        self._tie_heard = now
        return now - self._tie_since

    def silence(self, now: float) -> str:
        """What there is to say for taking over from the master."""
        if self.heard_at is None:
            return "no master was heard"
        if self.master_priority == 0:
            return f"{self.master} resigned"
        if now - self.heard_at < self.master_interval * 2:
            return f"pre-empts {self.master}, which has priority {self.master_priority}"
        return f"no advert of {self.master} for {now - self.heard_at:.3f} s"

    def advert(self, priority: int) -> Advert:
        """What this virtual router says with such a priority."""
        spec = self.spec
        auth = AuthType.NONE if spec.password is None else AuthType.PASSWORD
        return Advert(
            spec.version, spec.vrid, priority, spec.interval, spec.addresses, auth, spec.password or b""
        )
