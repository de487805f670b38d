"""Tests of lvsha.kernel.acceptance.nft, with nftables as it is here."""

from __future__ import annotations

import pytest

from lvsha.kernel.acceptance.nft import Nft
from lvsha.model import UnacceptedState
from tests.lab.rules import NFT, Kept, Stories
from tests.lab.unaccepted import ENTRIES, FOUR, LOCAL, OTHER, SIX

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]


class TestRules(Stories):
    """Source NAT of lvsha's own is among what is left alone."""

    kept = Kept(
        NFT,
        Nft,
        UnacceptedState,
        ENTRIES,
        few=(FOUR, SIX),
        other=OTHER,
        afters=tuple(map(frozenset, ({FOUR}, {SIX}, {LOCAL}, {OTHER, SIX}, ()))),
        mark="lvsha_accept",
        strangers=(
            "add table inet filter { chain input { type filter hook input priority 0; drop; } ; }",
            "add table ip lvsha { set s { type ipv4_addr; } ; }",
        ),
        changes=(
            ("delete table inet lvsha_accept", ""),
            ("flush chain inet lvsha_accept input", "there is no rule in chain input"),
            ("insert rule inet lvsha_accept input accept", "rule in chain input was changed"),
            ("add chain inet lvsha_accept mine", "nothing needs the chain mine"),
            ("add set inet lvsha_accept mine { type ipv4_addr; elements = { 192.0.2.7 } ; }", "set"),
            ("delete element inet lvsha_accept ipv4 { 192.0.2.100 }", ""),
            ("add element inet lvsha_accept ipv6 { 2001:db8::9 }", ""),
        ),
        touch="add rule inet lvsha_accept input accept",
        reader="lvsha.kernel.acceptance.nft._read",
        writer=(
            "lvsha.kernel.acceptance.nft.table",
            [{"chain": {"family": "inet", "table": "no", "name": "c"}}],
        ),
        refusal=r"nft refuses the table lvsha_accept: .*No such file",
    )


async def test_a_table_that_somebody_else_made_of_that_name_is_told() -> None:
    """It is not as lvsha writes it, whatever is in it."""
    NFT.run("add table inet lvsha_accept { set ipv4 { type inet_service; elements = { 80 } ; } ; }")
    state = await Nft().observe()
    assert state.altered
    await Nft().replace(ENTRIES)
    assert await Nft().observe() == UnacceptedState(ENTRIES)
