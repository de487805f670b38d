"""Tests of lvsha.kernel.acceptance.iptables, with iptables-legacy as it is here."""

from __future__ import annotations

import pytest

from lvsha.kernel.acceptance import iptables as module
from lvsha.kernel.acceptance.iptables import Iptables
from lvsha.kernel.sourcenat.iptables import Iptables as SourceNatRules
from lvsha.model import Family, SourceNatState, UnacceptedState
from tests.lab import source_nats
from tests.lab.network import topology
from tests.lab.ping import answers
from tests.lab.rules import IPTABLES, Kept, Stories
from tests.lab.unaccepted import ENTRIES, FOUR, LOCAL, OTHER, SIX

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]


class TestRules(Stories):
    """What holds of these as of all rules."""

    kept = Kept(
        IPTABLES,
        Iptables,
        UnacceptedState,
        ENTRIES,
        few=(FOUR, SIX),
        other=OTHER,
        afters=tuple(map(frozenset, ({FOUR}, {SIX}, {LOCAL}, {OTHER, SIX}, ()))),
        mark="LVSHA",
        strangers=("iptables-legacy -A INPUT -s 198.51.100.1 -j ACCEPT",),
        changes=(
            ("iptables-legacy -F", "nothing needs the chain LVSHA-ACCEPT"),
            ("iptables-legacy -D INPUT 1", "what leads from the table filter"),
            ("iptables-legacy -A LVSHA-ACCEPT -j ACCEPT", "chain LVSHA-ACCEPT was changed"),
            ("iptables-legacy -D LVSHA-ACCEPT 1", ""),
            ("iptables-legacy -A LVSHA-ACCEPT -d 192.0.2.7 -j DROP", "chain LVSHA-ACCEPT was changed"),
            ("ip6tables-legacy -D LVSHA-ACCEPT 1", "chain LVSHA-ACCEPT was changed"),
            ("ip6tables-legacy -A FORWARD -j LVSHA-ACCEPT", "what leads from the table filter"),
            ("ip6tables-legacy -N LVSHA-MINE", "nothing needs the chain LVSHA-MINE"),
        ),
        touch="iptables-legacy -F",
        reader="lvsha.kernel.acceptance.iptables.read",
        writer=("lvsha.kernel.acceptance.iptables._line", "-j NOWHERE"),
        refusal=r"iptables-legacy-restore refuses the chains LVSHA-\*: .*NOWHERE",
    )


async def test_it_comes_before_the_rules_of_others() -> None:
    """Somebody who lets everything in would let in what is not to be accepted."""
    IPTABLES.run("iptables-legacy -A INPUT -s 198.51.100.1 -j ACCEPT")
    await Iptables().replace(ENTRIES)
    listed = IPTABLES.run("iptables-legacy -S INPUT").splitlines()
    assert listed[1:] == ["-A INPUT -j LVSHA-ACCEPT", "-A INPUT -s 198.51.100.1/32 -j ACCEPT"]


async def test_source_nat_is_none_the_worse() -> None:
    """It has chains of such names as well, and neither firewall takes them for its own."""
    nat = SourceNatRules()
    await nat.replace(source_nats.ENTRIES)
    before = IPTABLES.rules()
    await Iptables().replace(ENTRIES)
    assert await nat.observe() == await SourceNatRules().observe() == SourceNatState(source_nats.ENTRIES)
    await Iptables().replace(())
    assert IPTABLES.rules() == before


def test_what_was_not_written_by_lvsha_is_no_entry() -> None:
    """A line that is not understood is no address, nor is one with an address that is none."""
    for line in ("-d 192.0.2.7/32 -p tcp -j DROP", "-d 192.0.2.999/32 -j DROP"):
        there = {"filter": module.Table(["INPUT -j LVSHA-ACCEPT"], {"LVSHA-ACCEPT": [line]})}
        state = module.read(Family.IPV4, there)
        assert (state.entries, bool(state.altered)) == (frozenset(), True)


async def test_packets_are_dropped_and_neighbours_answered() -> None:
    """The master's address answers no ping and every neighbour solicitation; another address is as ever."""
    async with topology(servers=0) as net:
        net["lb1"].ip("addr add 2001:db8:1::100/64 dev front nodad", "addr add 192.0.2.100/24 dev front")
        with net["lb1"].entered():
            await Iptables().replace(ENTRIES)
        client = net["client"]
        for refused, taken in (("192.0.2.100", "192.0.2.1"), ("2001:db8:1::100", "2001:db8:1::1")):
            assert answers(client, taken)
            assert not answers(client, refused, within=1.5)
            found = client.run("ip", "neighbour", "show", refused, "dev", "front")
            assert "REACHABLE" in found
