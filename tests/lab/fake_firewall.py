"""A firewall in memory, and the stories of when it is asked: for source NAT and for accept mode alike.

A test module says what its rules are, and has the stories as its tests:

    class TestAsking(Stories):
        state, step, entries = UnacceptedState, SetAcceptance, ENTRIES
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat.pool import Share, by_iptables


@dataclass
class FakeFirewall:
    """Satisfies either kind of `Rules`, and may break or be absent."""

    empty: Any
    """What is seen where nothing is."""
    entries: frozenset[Any] = frozenset()
    broken: str = ""
    absent: bool = False
    asked: int = 0
    name: str = "firewall"
    share: Share = by_iptables

    @property
    def state(self) -> Any:
        """What there is."""
        return type(self.empty)(self.entries)

    async def observe(self) -> Any:
        """As `Rules.observe`."""
        self._try()
        return self.state

    async def replace(self, entries: Collection[Any]) -> None:
        """As `Rules.replace`."""
        self._try()
        self.entries = frozenset(entries)

    async def found(self) -> FakeFirewall:
        """As `choose`."""
        if self.absent:
            raise KernelError("no firewall")
        return self

    async def holding(self) -> FakeFirewall | None:
        """As `holder`."""
        return self if self.entries and not self.absent else None

    def _try(self) -> None:
        self.asked += 1
        if self.broken:
            raise KernelError(self.broken)


class Desk:
    """Rules over such a firewall, which are wanted or not."""

    def __init__(self, stories: type[Stories], **firewall: Any) -> None:
        self.firewall = FakeFirewall(stories.state(), **firewall)
        self.wanted = True
        self.table: Any = stories.over(self)


class Stories:
    """What holds of rules that the reconciler sees to, whatever they are for."""

    state: ClassVar[Any]
    """The class of what is seen."""
    step: ClassVar[Any]
    entries: ClassVar[frozenset[Any]]

    @staticmethod
    def over(desk: Desk) -> Any:
        """What is tested, over the desk's firewall."""
        raise NotImplementedError

    async def test_what_is_set_is_seen(self) -> None:
        """A step is carried out, and the next look finds it."""
        desk = Desk(type(self))
        assert await desk.table.observe() == self.state()
        assert await desk.table.apply(self.step(self.entries)) is None
        assert await desk.table.observe() == self.state(self.entries)

    async def test_what_is_left_over_is_found_removed_and_not_looked_for_again(self) -> None:
        """Started again where none are wanted, the director takes its rules away and then asks nobody."""
        desk = Desk(type(self), entries=self.entries)
        desk.wanted = False
        assert await desk.table.observe() == self.state(self.entries)
        assert await desk.table.apply(self.step(frozenset())) is None
        assert await desk.table.observe() == self.state()
        asked = desk.firewall.asked
        assert await desk.table.observe() == self.state()
        assert desk.firewall.asked == asked

    async def test_a_reload_may_want_it_again(self) -> None:
        """What is clean is asked again once something is wanted."""
        desk = Desk(type(self))
        desk.wanted = False
        assert await desk.table.observe() == self.state()
        desk.firewall.entries = self.entries
        assert await desk.table.observe() == self.state()
        desk.wanted = True
        assert await desk.table.observe() == self.state(self.entries)

    async def test_a_firewall_that_does_not_answer_is_a_state_to_be_put_right(self) -> None:
        """Where rules are wanted the look goes on and says why, and so does the step, until it is back."""
        desk = Desk(type(self), broken="busy")
        assert await desk.table.observe() == self.state(altered="busy")
        step = self.step(self.entries)
        failed = await desk.table.apply(step)
        assert failed is not None
        assert (failed.step, str(failed.error), failed.error.drift) == (step, f"{step}: busy", False)
        desk.firewall.broken = ""
        assert await desk.table.apply(step) is None
        assert await desk.table.observe() == self.state(self.entries)

    async def test_where_there_is_no_firewall_only_who_wants_one_is_told(self) -> None:
        """A director that needs no rules runs on a machine without any firewall."""
        desk = Desk(type(self), absent=True)
        desk.wanted = False
        assert await desk.table.observe() == self.state()
        desk.wanted = True
        assert await desk.table.observe() == self.state(altered="no firewall")

    async def test_what_could_not_be_asked_is_asked_again(self) -> None:
        """Rules that are no longer wanted, in a firewall that was busy, are found at the next look."""
        desk = Desk(type(self), entries=self.entries)
        await desk.table.observe()
        desk.wanted, desk.firewall.broken = False, "busy"
        assert await desk.table.observe() == self.state()
        desk.firewall.broken = ""
        assert await desk.table.observe() == self.state(self.entries)
