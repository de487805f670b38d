"""Tests of lvsha.daemon.record: what lvsha made of the kernel's settings, as a document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.daemon.record import Entry, Record, from_document, here, to_document
from lvsha.errors import InputError
from tests.lab.network import Network

texts = st.text(max_size=20)
records = st.builds(
    Record, texts, st.lists(st.builds(Entry, texts, texts, texts, texts), max_size=3).map(tuple)
)


@given(record=records)
def test_a_record_is_read_back(record: Record) -> None:
    """Nothing is lost or reordered."""
    assert from_document(to_document(record)) == record


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"place": "x"},
        {"place": 1, "settings": []},
        {"place": "x", "settings": ["y"]},
        {"place": "x", "settings": [{"name": "a", "before": 1, "after": "2", "need": "a"}]},
    ],
)
def test_what_is_no_record_is_refused(document: dict[str, Any]) -> None:
    """Each part has its type, or the whole is refused."""
    with pytest.raises(InputError):
        from_document(document)


@pytest.mark.net
def test_another_namespace_is_another_place() -> None:
    """The same place is told again, and a namespace of this boot is not it."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.node("lb1", front=1)
    with net:
        with net["lb1"].entered():
            there = here()
            assert here() == there
        assert here() != there
        assert here().split()[0] == there.split()[0]
