"""Tests of lvsha.daemon.acceptance: when the firewall is asked, and one that does not answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from lvsha.daemon.acceptance import Acceptance
from lvsha.errors import KernelError
from lvsha.kernel.acceptance import Rules
from lvsha.model import Unaccepted, UnacceptedState
from lvsha.plan import SetAcceptance
from tests.lab.unaccepted import ENTRIES, FOUR


@dataclass
class Firewall:
    """A firewall in memory, which may break."""

    state: UnacceptedState = UnacceptedState()
    broken: str = ""
    absent: bool = False
    asked: int = 0

    async def observe(self) -> UnacceptedState:
        """As `Rules.observe`."""
        self._try()
        return self.state

    async def replace(self, entries: Collection[Unaccepted]) -> None:
        """As `Rules.replace`."""
        self._try()
        self.state = UnacceptedState(frozenset(entries))

    def _try(self) -> None:
        self.asked += 1
        if self.broken:
            raise KernelError(self.broken)


@dataclass
class Desk:
    """Accept mode over such a firewall."""

    firewall: Firewall = field(default_factory=Firewall)
    wanted: bool = True

    def __post_init__(self) -> None:
        self.acceptance = Acceptance(lambda: self.wanted, self._choose, self._holder)

    async def _choose(self) -> Rules:
        if self.firewall.absent:
            raise KernelError("no firewall")
        return self.firewall

    async def _holder(self) -> Rules | None:
        held = not self.firewall.absent and self.firewall.state != UnacceptedState()
        return self.firewall if held else None


async def test_what_is_set_is_seen() -> None:
    """A step is carried out, and the next look finds it."""
    desk = Desk()
    assert await desk.acceptance.observe() == UnacceptedState()
    assert await desk.acceptance.apply(SetAcceptance(ENTRIES)) is None
    assert await desk.acceptance.observe() == UnacceptedState(ENTRIES)


async def test_what_is_left_over_is_found_removed_and_not_looked_for_again() -> None:
    """Started again with accept = true, the director takes its rules away and then asks no firewall."""
    desk = Desk(Firewall(UnacceptedState(ENTRIES)), wanted=False)
    assert await desk.acceptance.observe() == UnacceptedState(ENTRIES)
    assert await desk.acceptance.apply(SetAcceptance(frozenset())) is None
    assert await desk.acceptance.observe() == UnacceptedState()
    asked = desk.firewall.asked
    assert await desk.acceptance.observe() == UnacceptedState()
    assert desk.firewall.asked == asked


async def test_a_reload_may_want_it_again() -> None:
    """What is clean is asked again once something is wanted."""
    desk = Desk(wanted=False)
    assert await desk.acceptance.observe() == UnacceptedState()
    desk.firewall.state = UnacceptedState(frozenset({FOUR}))
    assert await desk.acceptance.observe() == UnacceptedState()
    desk.wanted = True
    assert await desk.acceptance.observe() == UnacceptedState(frozenset({FOUR}))


async def test_a_firewall_that_does_not_answer_is_a_state_to_be_put_right() -> None:
    """Where it is wanted the look goes on and says why, and so does the step, until the firewall is back."""
    desk = Desk(Firewall(broken="busy"))
    assert await desk.acceptance.observe() == UnacceptedState(altered="busy")
    failed = await desk.acceptance.apply(SetAcceptance(ENTRIES))
    assert failed is not None
    assert (str(failed.error), failed.error.drift) == ("drop packets to 5 addresses of VRRP: busy", False)
    desk.firewall.broken = ""
    assert await desk.acceptance.apply(SetAcceptance(ENTRIES)) is None
    assert await desk.acceptance.observe() == UnacceptedState(ENTRIES)


async def test_where_there_is_no_firewall_only_who_wants_one_is_told() -> None:
    """A pure VRRP pair that accepts runs on a machine without any firewall."""
    desk = Desk(Firewall(absent=True), wanted=False)
    assert await desk.acceptance.observe() == UnacceptedState()
    desk.wanted = True
    assert await desk.acceptance.observe() == UnacceptedState(altered="no firewall")


async def test_what_could_not_be_asked_is_asked_again() -> None:
    """Rules that are no longer wanted, in a firewall that was busy, are found at the next look."""
    desk = Desk(Firewall(UnacceptedState(ENTRIES)))
    await desk.acceptance.observe()
    desk.wanted, desk.firewall.broken = False, "busy"
    assert await desk.acceptance.observe() == UnacceptedState()
    desk.firewall.broken = ""
    assert await desk.acceptance.observe() == UnacceptedState(ENTRIES)
