"""Tests of lvsha.kernel.sourcenat.iptables, with iptables-legacy as it is here."""

from __future__ import annotations

import pytest

from lvsha.kernel.sourcenat.iptables import Iptables
from lvsha.model import SourceNatState
from tests.lab.rules import IPTABLES, Kept, Stories
from tests.lab.source_nats import DNS, ENTRIES, MARK6, SIX, WEB

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("alone")]

STRANGERS = tuple(
    f"iptables-legacy -t {table} -A POSTROUTING -s 198.51.100.1 -j ACCEPT" for table in ("nat", "mangle")
)


class TestRules(Stories):
    """What holds of these as of all rules."""

    kept = Kept(
        IPTABLES,
        Iptables,
        SourceNatState,
        ENTRIES,
        few=(WEB, SIX),
        other=DNS,
        afters=tuple(map(frozenset, ({WEB, SIX}, {DNS, MARK6}, {WEB}, {SIX}, ()))),
        mark="LVSHA",
        strangers=STRANGERS,
        changes=(
            ("iptables-legacy -t nat -F", "nothing needs the chain LVSHA-"),
            ("iptables-legacy -t mangle -F", "chain LVSHA-GUARD was changed"),
            ("iptables-legacy -t nat -D POSTROUTING 1", "what leads from the table nat"),
            ("iptables-legacy -t nat -A LVSHA-SOURCE -j ACCEPT", "chain LVSHA-SOURCE was changed"),
            ("iptables-legacy -t mangle -N LVSHA-MINE", "nothing needs the chain LVSHA-MINE"),
            ("iptables-legacy -t mangle -A POSTROUTING -j LVSHA-GUARD", "what leads from the table mangle"),
            ("ip6tables-legacy -t nat -F LVSHA-SOURCE", "nothing needs the chain LVSHA-"),
        ),
        touch="iptables-legacy -t nat -F",
        reader="lvsha.kernel.sourcenat.chains.read",
        writer=(
            "lvsha.kernel.sourcenat.chains.script",
            "*nat\n-A LVSHA-SOURCE -j NOWHERE\nCOMMIT\n",
        ),
        refusal=r"iptables-legacy-restore refuses the chains LVSHA-\*: .*NOWHERE",
    )


async def test_it_comes_before_the_rules_of_others() -> None:
    """Somebody who accepts everything would let packets keep their client's address."""
    for command in STRANGERS:
        IPTABLES.run(command)
    await Iptables().replace(ENTRIES)
    listed = IPTABLES.run("iptables-legacy -t nat -S POSTROUTING").splitlines()
    assert listed[1:] == ["-A POSTROUTING -j LVSHA-SOURCE", "-A POSTROUTING -s 198.51.100.1/32 -j ACCEPT"]
