"""Values in a JSON text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.jsonvalue import find, problem

TEXT = b'{"a": {"b": [10, {"c": "ok"}]}, "n": null, "t": true, "f": 1.5, "": 1, "3": "three"}'


@pytest.mark.parametrize(
    ("path", "equals"),
    [
        ("a.b.0", "10"),
        ("a.b.1.c", "ok"),
        ("n", "null"),
        ("t", "true"),
        ("f", "1.5"),
        ("3", "three"),
        ("a.b", '[10, {"c": "ok"}]'),
        ("a", None),
    ],
)
def test_found(path: str, equals: str | None) -> None:
    """Keys, indexes and every type of value can be named and compared."""
    assert problem(TEXT, path, equals) == ""


@pytest.mark.parametrize(
    ("path", "equals", "complaint"),
    [
        ("a.b.0", "11", "a.b.0 is '10' (expected '11')"),
        ("t", "True", "t is 'true' (expected 'True')"),
        ("a.x.y", None, "there is no 'a.x.y' (stopped at 'x') in the body's JSON"),
        ("a.b.2", None, "there is no 'a.b.2' (stopped at '2') in the body's JSON"),
        ("a.b.-1", None, "there is no 'a.b.-1' (stopped at '-1') in the body's JSON"),
        ("a.b.99999999999999999999", None, "there is no "),
        ("n.x", None, "there is no 'n.x' (stopped at 'x') in the body's JSON"),
    ],
)
def test_not_found(path: str, equals: str | None, complaint: str) -> None:
    """What is not there, or is something else, is told."""
    assert problem(TEXT, path, equals).startswith(complaint)


def test_whole_body() -> None:
    """Without a path the whole body is the value."""
    assert problem(b'"ok"', "", "ok") == ""
    assert problem(b"3", "", "4") == "JSON is '3' (expected '4')"


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b"<html>"])
def test_no_json(text: bytes) -> None:
    """Whatever is no JSON is said to be none, however deep or long."""
    assert problem(text, "", "x").startswith("the body is not JSON: ")


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=20), st.text()
)
def test_any_value(value: object, path: str) -> None:
    """Any path into any value finds something or raises LookupError."""
    try:
        found = find(value, path)
    except LookupError:
        return
    assert json.dumps(found) in json.dumps(value)
