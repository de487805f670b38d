"""Tests of lvsha.kernel.sourcenat.listing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from lvsha.kernel.sourcenat.listing import read
from lvsha.kernel.sourcenat.ruleset import table
from lvsha.model import Family, SourceNat, SourceNatState
from tests.lab.source_nats import DNS, ENTRIES, WEB, entries

Objects = list[dict[str, Any]]


@given(entries())
def test_what_was_written_is_read(wanted: frozenset[SourceNat]) -> None:
    """Any source NAT comes back from its table as it was, family by family."""
    for family in Family:
        mine = frozenset(e for e in wanted if e.service.family is family)
        assert read(family, table(family, wanted)) == SourceNatState(mine)


def test_handles_and_order_are_the_kernels() -> None:
    """What the kernel adds, and the order in which it shows elements, is no difference."""
    objects: Objects = [{"metainfo": {"version": "1.0.6"}}, *table(Family.IPV4, ENTRIES)]
    for number, each in enumerate(objects[1:], 1):
        (content,) = each.values()
        content["handle"] = number
        if "elem" in content:
            content["elem"] = content["elem"][::-1]
    assert read(Family.IPV4, objects).altered == ""


def chain(objects: Objects, name: str) -> dict[str, Any]:
    """The first rule of a chain."""
    return next(o["rule"] for o in objects if "rule" in o and o["rule"]["chain"].startswith(name))


def without(objects: Objects, kind: str, name: str) -> None:
    """Take out what has that name."""
    objects[:] = [o for o in objects if o.get(kind, {}).get("name") != name]


ALTERED: list[tuple[Callable[[Objects], object], str]] = [
    (
        lambda o: o.append({"rule": {"chain": "source", "expr": [{"accept": None}]}}),
        "rule in chain source was",
    ),
    (lambda o: o.append({"chain": {"name": "mine"}}), "nothing needs the chain mine"),
    (lambda o: without(o, "set", "locals"), "there is no set locals"),
    (lambda o: without(o, "chain", "guard"), "there is no chain guard"),
    (lambda o: chain(o, "pool_")["expr"].insert(0, {"counter": None}), "set locals was changed"),
    (lambda o: chain(o, "guard")["expr"].pop(), "rule in chain guard was changed"),
    (lambda o: o.append({"strange": {}}), "nothing needs the strange None"),
    (lambda o: next(m["map"] for m in o if "map" in m)["elem"].append("strange"), "map services was changed"),
]


@pytest.mark.parametrize(("change", "words"), ALTERED)
def test_a_change_by_hand_is_told(change: Callable[[Objects], object], words: str) -> None:
    """Whatever was added, removed or changed is a difference, in words."""
    objects = copy.deepcopy(table(Family.IPV4, [WEB, DNS]))
    change(objects)
    state = read(Family.IPV4, objects)
    assert state != SourceNatState(frozenset({WEB, DNS}))
    assert words in state.altered


def test_an_empty_listing_is_no_entries() -> None:
    """A table that is not there is not altered: it is not there."""
    assert read(Family.IPV4, []) == SourceNatState()


def test_a_removed_server_is_another_wish() -> None:
    """A map without one of its elements is read as what it says; the other parts do not go with it."""
    objects = copy.deepcopy(table(Family.IPV4, [WEB]))
    next(o["map"] for o in objects if "map" in o)["elem"].pop()
    state = read(Family.IPV4, objects)
    (left,) = state.entries
    assert len(left.servers) == 1
    assert state.altered == "set servers was changed"
