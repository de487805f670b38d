"""A cell that contradicts what a mode promises is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab.cells import Loss, Row, broken
from tests.lab.flows import Fate
from tests.lab.modes import CASES, MODES, POOLS, Case, Mode, Pace, listening

TCP4 = Case("tcp", 4)
ALL = Fate(6, alive=6)


def row(mode: Mode = "nat", case: Case = TCP4) -> Row:
    """A row as it should be."""
    client = "192.0.2.10" if case.family == 4 else "2001:db8:1::10"
    gone = Fate(3, moved=3) if case.transport == "udp" else Fate(3, ended=Counter(reset=3))
    return Row(
        mode,
        case,
        Counter(rs1=2, rs2=2, rs3=2),
        frozenset({POOLS[case.family][0] if mode == "fullnat" else client}),
        listening(mode),
        drained=Loss(frozenset({"rs1", "rs2"}), Fate(2, alive=2), ALL),
        killed=Loss(frozenset({"rs2", "rs3"}), gone, ALL, failing=0.5),
        planned=ALL,
        crashed=replace(ALL, pause=2.0),
        cut=Loss(frozenset({"rs1", "rs3"}), gone, ALL, failing=2.0),
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_as_promised_is_not_complained_of(mode: Mode, case: Case) -> None:
    """Every kind of traffic in every mode."""
    assert broken(row(mode, case)) == []


Spoil = Callable[[Row], Row]
SPOILT: list[tuple[str, Spoil]] = [
    ("traffic reaches", lambda r: replace(r, served=Counter(rs1=3, rs2=3))),
    ("servers see", lambda r: replace(r, sources=frozenset({"10.0.1.100"}))),
    ("servers see", lambda r: replace(r, sources=r.sources | {"10.0.1.1"})),
    ("servers listen", lambda r: replace(r, port=80)),
    ("drained: new requests", lambda r: replace(r, drained=replace(r.drained, serving=frozenset({"rs3"})))),
    ("drained: its flows", lambda r: replace(r, drained=replace(r.drained, fate=Fate(2, alive=1)))),
    ("drained: its flows", lambda r: replace(r, drained=replace(r.drained, fate=Fate()))),
    ("killed: flows of other", lambda r: replace(r, killed=replace(r.killed, others=Fate(6, alive=5)))),
    ("killed: its flows hang", lambda r: replace(r, killed=replace(r.killed, fate=Fate(3, alive=3)))),
    ("cut: after", lambda r: replace(r, cut=replace(r.cut, failing=60.0))),
    (
        "cut: nobody tells",
        lambda r: replace(r, cut=replace(r.cut, fate=Fate(3, ended=Counter(unanswered=3)))),
    ),
    ("planned: flows", lambda r: replace(r, planned=Fate(6, alive=5, moved=1))),
    ("crash: flows", lambda r: replace(r, crashed=Fate(6, alive=5, renamed=1))),
    ("crash: a pause", lambda r: replace(r, crashed=replace(r.crashed, pause=30.0))),
]


@pytest.mark.parametrize(("words", "spoil"), SPOILT, ids=[words for words, _ in SPOILT])
def test_what_is_not_as_promised_is_named(words: str, spoil: Spoil) -> None:
    """One thing at a time."""
    (told,) = broken(spoil(row()), Pace())
    assert told.startswith(f"nat tcp4: {words}")


def test_a_server_that_has_gone_keeps_no_flow_of_udp() -> None:
    """Each must be another one's by then; none may have ended."""
    one = row("dr", Case("udp", 6))
    half = replace(one, cut=replace(one.cut, fate=Fate(3, moved=2, alive=1)))
    assert "its flows hang" in broken(half)[0]
