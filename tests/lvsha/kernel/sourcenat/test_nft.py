"""Tests of lvsha.kernel.sourcenat.nft, with nftables as it is here."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lvsha.kernel.sourcenat.nft import Nft
from lvsha.model import ServerKey, SourceNat, SourceNatState
from tests.lab.rules import NFT, Kept, Stories
from tests.lab.source_nats import DNS, ENTRIES, MARK6, SIX, WEB, tcp

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]


class TestRules(Stories):
    """What others have may be of whatever family."""

    kept = Kept(
        NFT,
        Nft,
        SourceNatState,
        ENTRIES,
        few=(WEB, SIX),
        other=DNS,
        afters=tuple(map(frozenset, ({WEB, SIX}, {DNS, MARK6}, {WEB}, {SIX}, ()))),
        mark="lvsha",
        strangers=(
            "add table ip other { chain c { type nat hook postrouting priority 100; masquerade; } ; }",
            "add table inet lvsha { set s { type ipv4_addr; } ; }",
        ),
        changes=(
            ("delete table ip lvsha", ""),
            ("flush chain ip lvsha source", "rule in chain source"),
            ("add rule ip lvsha guard accept", "rule in chain guard was changed"),
            ("add chain ip lvsha mine", "nothing needs the chain mine"),
            ("delete element ip6 lvsha locals { 2001:db8:2::100 }", "set locals was changed"),
            ("flush map ip lvsha services", "set servers was changed"),
            ("add element ip lvsha servers { 10.0.1.99 }", "set servers was changed"),
            ("delete table ip6 lvsha", ""),
        ),
        touch="add rule ip lvsha guard accept",
        reader="lvsha.kernel.sourcenat.nft._read",
        writer=(
            "lvsha.kernel.sourcenat.nft.table",
            [
                {"table": {"family": "ip", "name": "lvsha"}},
                {"rule": {"family": "ip", "table": "lvsha", "chain": "nowhere", "expr": [{"drop": None}]}},
            ],
        ),
        refusal=r"nft refuses the table lvsha: .*No such file",
    )


async def test_thousands_of_servers() -> None:
    """A thousand services of ten servers each go in and come out in seconds."""
    servers = frozenset(ServerKey(ip_address(f"10.0.2.{n}"), 80) for n in range(10))
    many = frozenset(SourceNat(tcp("192.0.2.100", port), WEB.addresses, servers) for port in range(1, 1001))
    rules = Nft()
    await rules.replace(many)
    assert await Nft().observe() == SourceNatState(many)
    assert NFT.run("list map ip lvsha services").count("192.0.2.100") == 10_000
