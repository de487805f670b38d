"""What people are told about the election, and how often.

Everything here is said because of what was heard, and what is heard can be forged: so a report of
one kind comes once every REPORT_PERIOD at most, whoever it is about (a limit for each source would
be none), and every occurrence is counted. The same goes for calls to announce again, each of
which makes packets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from lvsha.model import Address
from lvsha.vrrp.effects import Announce, Effect, Report
from lvsha.vrrp.member import Spec
from lvsha.vrrp.packet import OWNER, RESIGN, Advert

REPORT_PERIOD: Final = 10.0
ANNOUNCE_PERIOD: Final = 1.0

Facts = dict[str, str | float]


class Notices:
    """Reports and announcements of one group, within their limits."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """By event, those that were not told included."""
        self._announced_at = float("-inf")
        self._reported_at: dict[str, float] = {}

    def report(self, event: str, now: float, **facts: str | float) -> list[Effect]:
        """Tell it, unless it was told a moment ago."""
        self.counts[event] += 1
        if now - self._reported_at.get(event, float("-inf")) < REPORT_PERIOD:
            return []
        self._reported_at[event] = now
        return [Report(event, facts)]

    def announce(self, members: Iterable[str], why: str, now: float) -> list[Effect]:
        """For every member: who claims the addresses of one of a group claims all."""
        if now - self._announced_at < ANNOUNCE_PERIOD:
            return []
        self._announced_at = now
        return [Announce(member, why) for member in members]

    def compare(
        self, spec: Spec, priority: int, master: bool, advert: Advert, source: Address, now: float
    ) -> list[Effect]:
        """What is odd about an advert, for a router with such settings and such a priority."""
        effects: list[Effect] = []
        for event, more in _oddities(spec, priority, master, advert, source):
            facts: Facts = {"member": spec.name, "source": str(source), "priority": advert.priority}
            effects += self.report(event, now, **facts | more)
        return effects


def _oddities(
    spec: Spec, priority: int, master: bool, advert: Advert, source: Address
) -> Iterator[tuple[str, Facts]]:
    interval = round(spec.interval) if spec.version == 2 else spec.interval
    if abs(advert.interval - interval) > 0.005:
        yield "interval_mismatch", {"interval": advert.interval, "own": interval}
    if advert.addresses != spec.addresses and set(advert.addresses) != set(spec.addresses):
        yield "address_mismatch", {"addresses": " ".join(map(str, advert.addresses))}
    if advert.priority == priority == OWNER:
        yield "owner_conflict", {}
    if advert.priority == priority and source == spec.source:
        yield "own_address", {}
    elif master and RESIGN < advert.priority <= priority:
        yield "split_brain", {"own": priority}
