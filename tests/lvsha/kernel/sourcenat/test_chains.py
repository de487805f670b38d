"""Tests of lvsha.kernel.sourcenat.chains."""

from __future__ import annotations

import pytest
from hypothesis import given

from lvsha.kernel.sourcenat.chains import Tables, read, saved, script, tables
from lvsha.model import Family, SourceNat, SourceNatState
from tests.lab.source_nats import DNS, ENTRIES, MARK, WEB, entries

NONE = tables(Family.IPV4, [])


def shown(wanted: Tables) -> str:
    """As iptables-save would show it."""
    lines = []
    for name, one in wanted.items():
        lines += [f"*{name}", ":PREROUTING ACCEPT [0:0]", ":POSTROUTING ACCEPT [12:3456]"]
        lines += [f":{chain} - [0:0]" for chain in one.chains]
        lines += ["-A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE", *(f"-A {jump}" for jump in one.jumps)]
        lines += [f"-A {chain} {line}" for chain, rules in one.chains.items() for line in rules]
        lines += ["COMMIT", "# Completed"]
    return "\n".join(lines)


@given(entries())
def test_what_was_written_is_read(wanted: frozenset[SourceNat]) -> None:
    """Any source NAT comes back from its chains as it was, family by family."""
    for family in Family:
        mine = frozenset(e for e in wanted if e.service.family is family)
        assert read(family, saved(shown(tables(family, wanted)))) == SourceNatState(mine)


@given(entries())
def test_nothing_to_do_is_no_script(wanted: frozenset[SourceNat]) -> None:
    """What is there already is not written again."""
    assert script(tables(Family.IPV4, wanted), tables(Family.IPV4, wanted)) == ""


def test_a_script_touches_what_is_lvshas_only() -> None:
    """It names own chains, and of the built-in ones the jumps; it flushes no built-in chain."""
    for text in (script(tables(Family.IPV4, ENTRIES), NONE), script(NONE, tables(Family.IPV4, ENTRIES))):
        lines = [line for line in text.splitlines() if line[0] not in "*:" and line != "COMMIT"]
        assert lines
        assert all("LVSHA-" in line for line in lines)


def test_only_who_holds_an_address_tracks_its_packets() -> None:
    """Each service's address has a line, once; a firewall mark has none, and alone needs no chain."""
    raw = tables(Family.IPV4, ENTRIES)["raw"]
    assert raw.jumps == ["PREROUTING -j LVSHA-ABSENT"]
    assert raw.chains["LVSHA-ABSENT"] == [
        f"-d 192.0.2.{n}/32 -m addrtype ! --dst-type LOCAL -j CT --notrack" for n in (100, 101)
    ]
    assert tables(Family.IPV4, [MARK])["raw"] == NONE["raw"]


def test_jumps_come_first_and_once() -> None:
    """A jump is put before the lines of others; one that is there is left, a second one is taken out."""
    wanted = tables(Family.IPV4, [WEB])
    assert "-I POSTROUTING 1 -j LVSHA-SOURCE" in script(wanted, NONE)
    there = saved(shown(wanted))
    there["nat"].jumps.append("POSTROUTING -j LVSHA-SOURCE")
    assert read(Family.IPV4, there).altered == "what leads from the table nat to lvsha's chains was changed"
    text = script(wanted, there)
    assert "-D POSTROUTING -j LVSHA-SOURCE" in text
    assert "-I" not in text


def test_chains_that_are_no_longer_needed_go() -> None:
    """Emptied before they are removed, and after the jumps to them."""
    lines = script(NONE, tables(Family.IPV4, [DNS])).splitlines()
    nat = lines[lines.index("*nat") :]
    assert nat[1] == "-D POSTROUTING -j LVSHA-SOURCE"
    assert [line.split()[0] for line in nat[2:-1]] == ["-F", "-F", "-X", "-X"]


ALTERED = [
    (" -g LVSHA-POOL", " -j LVSHA-POOL", "nothing needs the chain LVSHA-"),
    (
        ":LVSHA-GUARD - [0:0]",
        ":LVSHA-GUARD - [0:0]\n:LVSHA-MINE - [0:0]",
        "nothing needs the chain LVSHA-MINE",
    ),
    ("-A LVSHA-SERVERS -s 10.0.1.11/32 -p tcp -j DROP\n", "", "chain LVSHA-SERVERS was changed"),
    ("-A PREROUTING -j LVSHA-GUARD\n", "", "what leads from the table mangle"),
    ("--mark 0x7", "--mark 0x8", ""),
]


@pytest.mark.parametrize(("old", "new", "words"), ALTERED)
def test_a_change_by_hand_is_told(old: str, new: str, words: str) -> None:
    """Whatever was added, removed or changed is a difference, in words."""
    text = shown(tables(Family.IPV4, [WEB, MARK]))
    assert old in text
    state = read(Family.IPV4, saved(text.replace(old, new)))
    assert state != SourceNatState(frozenset({WEB, MARK}))
    assert words in state.altered


def test_counters_comments_and_other_tables_are_nothing() -> None:
    """Only what begins with lvsha's own name is looked at."""
    text = "# Generated\n*filter\n:INPUT ACCEPT [1:2]\n-A INPUT -j ACCEPT\nCOMMIT\n"
    assert read(Family.IPV4, saved(text)) == SourceNatState()
