"""Tests of lvsha.daemon.source_nat: when the firewall is asked, and who waits for it."""

from __future__ import annotations

from lvsha.daemon.source_nat import SourceNatTable
from lvsha.kernel.sourcenat.pool import by_iptables, by_nft
from lvsha.model import Method, Server, SourceNat, SourceNatState
from lvsha.plan import AddServer, DeleteServer, SetSourceNat
from tests.lab.fake_firewall import Desk, Stories
from tests.lab.source_nats import DNS, WEB

SERVER = Server(Method.MASQUERADE, 1)


class TestAsking(Stories):
    """As for any rules."""

    state, step, entries = SourceNatState, SetSourceNat, frozenset({WEB})

    @staticmethod
    def over(desk: Desk) -> SourceNatTable:
        """Source NAT."""
        return SourceNatTable(lambda: desk.wanted, desk.firewall.found)


def added(entry: SourceNat) -> list[AddServer]:
    """The steps that add an entry's servers."""
    return [AddServer(entry.service, key, SERVER) for key in entry.servers]


async def test_the_firewall_says_how_it_chooses() -> None:
    """As nf_tables does, until there is one that does otherwise."""
    desk = Desk(TestAsking)
    assert desk.table.share is by_nft
    await desk.table.observe()
    assert desk.table.share is by_iptables


async def test_a_server_waits_for_its_source_nat() -> None:
    """While it cannot be put in place no server of it is added, each with the reason; others may be."""
    desk = Desk(TestAsking, broken="no such table")
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
    desk = Desk(TestAsking, broken="busy")
    await desk.table.apply(SetSourceNat(frozenset({WEB})))
    desk.firewall.broken = ""
    desk.firewall.entries = frozenset({WEB})
    await desk.table.observe()
    assert [desk.table.bars(add) for add in added(WEB)] == [None, None]
