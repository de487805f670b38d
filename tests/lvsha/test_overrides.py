"""Tests of lvsha.overrides: what was said by hand, how long it holds, how it is kept, and shared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.errors import InputError
from lvsha.overrides import (
    KEPT,
    TEXT,
    Kind,
    Override,
    Overrides,
    Record,
    Selector,
    Stamp,
    changes,
    from_document,
    to_document,
)

RS3 = ip_address("10.0.0.3")


def said(
    kind: Kind,
    *,
    weight: int | None = None,
    since: float = 0.0,
    until: float | None = None,
    server: str = "rs3",
) -> Override:
    """An override on rs3 everywhere."""
    return Override(Selector(server=server), kind, weight, "kernel update", "root", since, until)


names = st.none() | st.text(max_size=5)
selectors = st.builds(
    Selector, names, names, st.none() | st.ip_addresses(), st.none() | st.integers(0, 65535)
)
moments = st.floats(0, 1e10)
ends = st.none() | moments
plain = st.builds(
    Override,
    selectors,
    st.sampled_from([Kind.DRAIN, Kind.DISABLE]),
    st.none(),
    st.text(),
    st.text(),
    moments,
    ends,
)
weights = st.builds(
    Override, selectors, st.just(Kind.WEIGHT), st.integers(0, 65535), st.text(), st.text(), moments, ends
)
stamps = st.builds(Stamp, st.integers(0, 2**62), st.text(max_size=5))
records = st.builds(Record, plain | weights, stamps, ends)
few = st.builds(
    Record,
    st.builds(
        said,
        st.sampled_from([Kind.DRAIN, Kind.DISABLE]),
        since=st.sampled_from([0.0, 1.0]),
        until=st.none() | st.just(5.0),
        server=st.sampled_from(["rs1", "rs2"]),
    ),
    st.builds(Stamp, st.integers(0, 2), st.sampled_from(["lb1", "lb2"])),
    st.none() | st.sampled_from([2.0, 3.0]),
)
"""Records that meet: few keys, few stamps, also such as only a lost state could bring about."""


def gathered(items: list[Record]) -> Overrides:
    """The latest of these."""
    return Overrides().merge(Overrides(tuple(items)))


sets = st.lists(few, max_size=5).map(gathered)


# --- what is in force -------------------------------------------------------------------------------


def test_a_name_holds_in_every_service() -> None:
    """`drain rs3` also holds in a service that gains rs3 tomorrow."""
    overrides = Overrides().put(said(Kind.DRAIN))
    assert overrides.on("any", "rs3", RS3, 80) is not None
    assert overrides.on("any", "rs4", RS3, 80) is None


def test_the_strongest_override_wins() -> None:
    """Disabled before drained before a weight, in whatever order they were said."""
    overrides = Overrides().put(said(Kind.WEIGHT, weight=5)).put(said(Kind.DISABLE)).put(said(Kind.DRAIN))
    found = overrides.on("web", "rs3", RS3, 80)
    assert found is not None
    assert found.kind is Kind.DISABLE


def test_of_two_weights_the_later_wins() -> None:
    """A weight for rs3, and one for its address: what was said last, although its clock was behind."""
    by_address = Override(Selector(address=RS3), Kind.WEIGHT, 7, since=90.0)
    overrides = Overrides().put(said(Kind.WEIGHT, weight=5, since=100.0)).put(by_address)
    assert overrides.on("web", "rs3", RS3, 80) == by_address


def test_saying_it_again_replaces_it() -> None:
    """The same kind on the same selector stands once, with the newer words."""
    overrides = Overrides().put(said(Kind.WEIGHT, weight=5)).put(said(Kind.WEIGHT, weight=7, since=1.0))
    assert [e.weight for e in overrides.entries] == [7]


def test_an_override_ends_by_itself() -> None:
    """At its time, and not before, an override is gone and is told."""
    overrides = Overrides().put(said(Kind.DRAIN, until=100.0))
    assert overrides.next_expiry() == 100.0
    assert overrides.expire(99.9) == (overrides, ())
    left, gone = overrides.expire(100.0)
    assert (left.entries, gone) == ((), overrides.entries)
    assert left.next_expiry() is None


def test_taking_back_leaves_the_rest() -> None:
    """What is given is taken back; what has been replaced meanwhile is another word and stays."""
    old, new, other = said(Kind.DRAIN), said(Kind.DRAIN, since=1.0), said(Kind.DISABLE)
    overrides = Overrides().put(old).put(other).put(new)
    assert overrides.remove([old], now=2.0).entries == (other, new)
    assert overrides.remove([new], now=2.0).entries == (other,)


def test_saying_it_again_after_its_end() -> None:
    """A server can be drained, taken back and drained again."""
    overrides = Overrides().put(said(Kind.DRAIN)).remove([said(Kind.DRAIN)])
    assert overrides.put(said(Kind.DRAIN)).entries == (said(Kind.DRAIN),)


def test_ends_are_forgotten_after_thirty_days() -> None:
    """The memory of what has ended is bounded; what is in force stays for ever."""
    gone, stays = said(Kind.DRAIN, since=1000.0), said(Kind.DISABLE, since=1000.0)
    overrides = Overrides().put(gone).put(stays).remove([gone], now=2000.0)
    assert overrides.prune(2000.0 + KEPT - 1) == overrides
    assert overrides.prune(2001.0 + KEPT).records == (Record(stays, Stamp(1_000_000_001)),)


def test_a_clock_that_is_behind_does_not_shorten_the_memory() -> None:
    """A node without a clock takes back a word of today: the end is as recent as what it ends."""
    overrides = Overrides().put(said(Kind.DRAIN, since=1e9)).remove([said(Kind.DRAIN, since=1e9)], now=5.0)
    assert overrides.prune(1e9 + KEPT / 2) == overrides


# --- two directors ----------------------------------------------------------------------------------


@given(sets, sets, sets)
def test_merging_in_any_order_comes_to_the_same(a: Overrides, b: Overrides, c: Overrides) -> None:
    """Commutative, associative, idempotent; nothing known is lost by hearing what is known."""
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)


@given(sets, sets)
def test_the_difference_is_enough(mine: Overrides, theirs: Overrides) -> None:
    """Who is told only what goes beyond what he has comes to the same as who is told everything."""
    assert theirs.merge(mine.beyond(theirs)) == theirs.merge(mine)
    assert mine.beyond(mine) == Overrides()


def test_who_answers_wins_whatever_the_clocks_say() -> None:
    """A node an hour behind takes back what it has heard, and the first node believes it."""
    lb1 = Overrides().put(said(Kind.DRAIN, since=10_000.0), node="lb1")
    lb2 = Overrides().merge(lb1)
    lb2 = lb2.remove(lb2.entries, now=6_400.0, node="lb2")
    assert lb1.merge(lb2).entries == ()


def test_an_end_that_was_reached_does_not_undo_a_newer_word() -> None:
    """lb1 sees the drain end while it is cut off; lb2 had prolonged it just before."""
    first = Overrides().put(said(Kind.DRAIN, since=0.0, until=100.0), node="lb1")
    longer = first.put(said(Kind.DRAIN, since=99.0, until=500.0), node="lb2")
    ended, _ = first.expire(100.0)
    assert [o.until for o in ended.merge(longer).entries] == [500.0]


def test_both_see_the_end_by_themselves() -> None:
    """The same end seen by two clocks is one end, so it is not told twice."""
    word = Overrides().put(said(Kind.DRAIN, until=100.0), node="lb1")
    assert word.expire(100.0)[0] == word.expire(163.0)[0]
    assert word.expire(100.0)[0].merge(word).entries == ()


def test_changes_in_words() -> None:
    """What the other director's words came to, for a person."""
    before = Overrides().put(said(Kind.DRAIN)).put(said(Kind.WEIGHT, weight=5))
    after = before.remove([said(Kind.DRAIN)]).put(said(Kind.WEIGHT, weight=7)).put(said(Kind.DISABLE))
    assert changes(before, after) == ["ended: drain rs3", "set: weight 7 rs3", "set: disable rs3"]
    assert changes(after, after) == []


@dataclass
class Told:
    """A node of the simulation; its clock is off by some seconds."""

    name: str
    off: float
    overrides: Overrides = Overrides()


STEPS = st.tuples(
    st.sampled_from(["put", "put", "remove", "expire", "send", "send"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["rs1", "rs2"]),
    st.none() | st.integers(1, 20),
)


def act(step: tuple[str, int, int, str, int | None], nodes: list[Told], now: float) -> None:
    """One thing happens."""
    kind, index, other, server, length = step
    node, peer = nodes[index % len(nodes)], nodes[other % len(nodes)]
    clock = now + node.off
    match kind:
        case "put":
            until = None if length is None else clock + length
            word = said(Kind.DRAIN, since=clock, until=until, server=server)
            node.overrides = node.overrides.put(word, node=node.name)
            assert word in node.overrides.entries
        case "remove":
            meant = [o for o in node.overrides.entries if o.selector.server == server]
            node.overrides = node.overrides.remove(meant, now=clock, node=node.name)
            assert not [o for o in node.overrides.entries if o.selector.server == server]
        case "expire":
            node.overrides, _ = node.overrides.expire(clock)
        case "send":
            peer.overrides = peer.overrides.merge(node.overrides)


@settings(max_examples=200)
@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=3),
    st.lists(STEPS, max_size=25),
    st.permutations([(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]),
)
def test_directors_converge(
    clocks: list[float], steps: list[tuple[str, int, int, str, int | None]], order: list[tuple[int, int]]
) -> None:
    """Two or three nodes with clocks of their own speak, fall silent and exchange in any order: once all
    have heard all, all have the same, in the file too.
    """
    nodes = [Told(f"lb{n}", off) for n, off in enumerate(clocks)]
    for number, step in enumerate(steps):
        act(step, nodes, 1000.0 + number)
    for one, other in order * 2:
        act(("send", one, other, "", None), nodes, 0.0)
    assert len({json.dumps(to_document(node.overrides)) for node in nodes}) == 1


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.floats(-30, 30)), min_size=1, max_size=12))
def test_a_conversation_ends_with_its_last_word(words: list[tuple[int, bool, float]]) -> None:
    """Each word is said by one who has heard those before: whatever the clocks, the last one holds."""
    both = Overrides()
    for number, (node, drain, off) in enumerate(words):
        clock = 1000.0 + number + off
        if drain:
            both = both.put(said(Kind.DRAIN, since=clock), node=f"lb{node}")
        else:
            both = both.remove(both.entries, now=clock, node=f"lb{node}")
    assert bool(both.entries) is words[-1][1]


# --- documents --------------------------------------------------------------------------------------


@given(st.lists(records, max_size=5).map(gathered))
def test_overrides_survive_a_file(overrides: Overrides) -> None:
    """What is written as JSON and read again is the same."""
    assert from_document(json.loads(json.dumps(to_document(overrides)))) == overrides


@given(st.lists(plain | weights, max_size=5))
def test_an_older_lvsha_reads_what_is_in_force(items: list[Override]) -> None:
    """It looks at these keys of this list; and what it writes is read here."""
    overrides = Overrides()
    for item in items:
        overrides = overrides.put(item)
    entries = to_document(overrides)["overrides"]
    old = [{k: v for k, v in e.items() if k not in ("stamp", "node")} for e in entries]
    assert {*from_document({"overrides": old}).entries} == {*overrides.entries}


ENTRY = to_document(Overrides().put(said(Kind.DRAIN)))["overrides"][0]
WRONG: list[dict[str, object]] = [
    {"kind": "explode"},
    {"kind": []},
    {"weight": 3},
    {"kind": "weight", "weight": True},
    {"kind": "weight", "weight": 65536},
    {"address": "10.0.0.999"},
    {"address": 5},
    {"port": 65536},
    {"port": "80"},
    {"service": 7},
    {"reason": "x" * (TEXT + 1)},
    {"by": ["root"]},
    {"since": "today"},
    {"since": float("nan")},
    {"until": float("inf")},
    {"until": 10**400},
    {"stamp": -1},
    {"stamp": 2**62 + 1},
    {"stamp": 1.5},
    {"node": 7},
]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"overrides": 7},
        {"overrides": [], "ended": {}},
        {"overrides": [{}]},
        {"overrides": [7]},
        {"overrides": [None]},
        {"overrides": [], "ended": [ENTRY]},
        *({"overrides": [ENTRY | wrong]} for wrong in WRONG),
    ],
)
def test_a_foreign_document_is_refused(document: dict[str, object]) -> None:
    """Whatever stands in the file instead is an InputError, never a half-read list."""
    with pytest.raises(InputError, match="overrides"):
        from_document(document)


def test_the_last_stamp_there_is() -> None:
    """A stamp beyond all bounds, once heard, does not make what is said here unreadable."""
    latest = Overrides((Record(said(Kind.DRAIN), Stamp(2**62, "lb1")),))
    answer = latest.put(said(Kind.DRAIN, since=5.0), node="lb2")
    assert from_document(to_document(answer)) == answer


def test_a_selector_says_itself_as_a_target() -> None:
    """What is shown can be typed again."""
    assert str(Selector(server="rs3")) == "rs3"
    assert str(Selector("web", "rs3")) == "web/rs3"
    assert str(Selector("web", None, RS3, 80)) == "web/10.0.0.3:80"
    assert str(Selector(address=ip_address("2001:db8::3"), port=80)) == "[2001:db8::3]:80"
