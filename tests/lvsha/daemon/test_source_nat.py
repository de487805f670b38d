"""Tests of lvsha.daemon.source_nat: when the firewall is asked, and who waits for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from lvsha.daemon.source_nat import SourceNatTable
from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import Rules
from lvsha.model import Method, Server, SourceNat, SourceNatState
from lvsha.plan import AddServer, DeleteServer, SetSourceNat
from tests.lab.source_nats import DNS, WEB

SERVER = Server(Method.MASQUERADE, 1)


@dataclass
class Firewall:
    """A firewall in memory, which may break."""

    state: SourceNatState = SourceNatState()
    broken: str = ""
    absent: bool = False
    asked: int = 0
    name: str = "firewall"
    client_bits: int = 32

    async def observe(self) -> SourceNatState:
        """As `Rules.observe`."""
        self._try()
        return self.state

    async def replace(self, entries: Collection[SourceNat]) -> None:
        """As `Rules.replace`."""
        self._try()
        self.state = SourceNatState(frozenset(entries))

    def _try(self) -> None:
        self.asked += 1
        if self.broken:
            raise KernelError(self.broken)


@dataclass
class Desk:
    """The table over such a firewall."""

    firewall: Firewall = field(default_factory=Firewall)
    wanted: bool = True

    def __post_init__(self) -> None:
        self.table = SourceNatTable(lambda: self.wanted, self._find)

    async def _find(self) -> Rules:
        if self.firewall.absent:
            raise KernelError("no firewall")
        return self.firewall


def added(entry: SourceNat) -> list[AddServer]:
    """The steps that add an entry's servers."""
    return [AddServer(entry.service, key, SERVER) for key in entry.servers]


async def test_what_is_set_is_seen() -> None:
    """A step is carried out, and the next look finds it."""
    desk = Desk()
    assert await desk.table.observe() == SourceNatState()
    assert await desk.table.apply(SetSourceNat(frozenset({WEB}))) is None
    assert await desk.table.observe() == SourceNatState(frozenset({WEB}))
    assert desk.table.client_bits == 32


async def test_a_server_waits_for_its_source_nat() -> None:
    """While it cannot be put in place no server of it is added, each with the reason; others may be."""
    desk = Desk(Firewall(broken="no such table"))
    step = SetSourceNat(frozenset({WEB}))
    failed = await desk.table.apply(step)
    assert failed is not None
    assert (failed.step, failed.error.drift) == (step, False)
    assert "no such table" in str(failed.error)
    for add in added(WEB):
        barred = desk.table.bars(add)
        assert barred is not None
        assert "it has no source NAT yet: no such table" in str(barred.error)
    assert [desk.table.bars(add) for add in added(DNS)] == [None]
    (server, *_) = WEB.servers
    assert desk.table.bars(DeleteServer(WEB.service, server)) is None
    desk.firewall.broken = ""
    assert await desk.table.apply(step) is None
    assert [desk.table.bars(add) for add in added(WEB)] == [None, None]


async def test_source_nat_that_somebody_else_put_there_will_do() -> None:
    """A look that finds it in place ends the wait."""
    desk = Desk(Firewall(broken="busy"))
    await desk.table.apply(SetSourceNat(frozenset({WEB})))
    desk.firewall.broken = ""
    desk.firewall.state = SourceNatState(frozenset({WEB}))
    await desk.table.observe()
    assert [desk.table.bars(add) for add in added(WEB)] == [None, None]


async def test_a_firewall_that_does_not_answer_is_a_state_to_be_put_right() -> None:
    """Where source NAT is wanted the look goes on, says what is wrong, and the plan will try."""
    desk = Desk(Firewall(absent=True))
    assert await desk.table.observe() == SourceNatState(altered="no firewall")
    desk.firewall.absent, desk.firewall.broken = False, "nft has not ended within 30 s"
    assert await desk.table.observe() == SourceNatState(altered="nft has not ended within 30 s")


async def test_nobody_is_asked_where_nothing_is_wanted_or_left() -> None:
    """Without the mode the firewall is asked until nothing of it is left, and then no more."""
    desk = Desk(Firewall(SourceNatState(frozenset({WEB}))), wanted=False)
    assert (await desk.table.observe()).entries == {WEB}
    await desk.table.apply(SetSourceNat(frozenset()))
    assert await desk.table.observe() == SourceNatState()
    asked = desk.firewall.asked
    assert await desk.table.observe() == SourceNatState()
    assert desk.firewall.asked == asked
    desk.wanted = True
    await desk.table.observe()
    assert desk.firewall.asked == asked + 1


async def test_a_machine_without_a_firewall_is_no_fault_where_none_is_wanted() -> None:
    """A director without the mode needs neither nftables nor iptables."""
    desk = Desk(Firewall(absent=True), wanted=False)
    assert await desk.table.observe() == SourceNatState()
