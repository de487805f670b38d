"""Tests of lvsha.overrides: what was said by hand, how long it holds, and how it is kept."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.errors import InputError
from lvsha.overrides import Kind, Override, Overrides, Selector, from_document, to_document

RS3 = ip_address("10.0.0.3")


def said(
    kind: Kind, *, weight: int | None = None, since: float = 0.0, until: float | None = None
) -> Override:
    """An override on rs3 everywhere."""
    return Override(Selector(server="rs3"), kind, weight, "kernel update", "root", since, until)


selectors = st.builds(
    Selector,
    st.none() | st.text(max_size=5),
    st.none() | st.text(max_size=5),
    st.none() | st.ip_addresses(),
    st.none() | st.integers(0, 65535),
)
moments = st.floats(0, 1e10)
entries = st.one_of(
    st.builds(
        Override,
        selectors,
        st.sampled_from([Kind.DRAIN, Kind.DISABLE]),
        st.none(),
        st.text(),
        st.text(),
        moments,
        st.none() | moments,
    ),
    st.builds(
        Override,
        selectors,
        st.just(Kind.WEIGHT),
        st.integers(0, 100),
        st.text(),
        st.text(),
        moments,
        st.none() | moments,
    ),
)


@given(st.lists(entries, max_size=5))
def test_overrides_survive_a_file(items: list[Override]) -> None:
    """What is written as JSON and read again is the same."""
    overrides = Overrides(tuple(items))
    assert from_document(json.loads(json.dumps(to_document(overrides)))) == overrides


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


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"overrides": 7},
        {"overrides": [{}]},
        {"overrides": [7]},
        {"overrides": [to_document(Overrides((said(Kind.DRAIN),)))["overrides"][0] | {"kind": "explode"}]},
        {"overrides": [to_document(Overrides((said(Kind.DRAIN),)))["overrides"][0] | {"weight": 3}]},
        {
            "overrides": [
                to_document(Overrides((said(Kind.DRAIN),)))["overrides"][0] | {"address": "10.0.0.999"}
            ]
        },
    ],
)
def test_a_foreign_document_is_refused(document: dict[str, object]) -> None:
    """Whatever stands in the file instead is an InputError, never a half-read list."""
    with pytest.raises(InputError, match="overrides"):
        from_document(document)


def test_a_selector_says_itself_as_a_target() -> None:
    """What is shown can be typed again."""
    assert str(Selector(server="rs3")) == "rs3"
    assert str(Selector("web", "rs3")) == "web/rs3"
    assert str(Selector("web", None, RS3, 80)) == "web/10.0.0.3:80"
    assert str(Selector(address=ip_address("2001:db8::3"), port=80)) == "[2001:db8::3]:80"
