"""Request bodies, read strictly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.api.body import Body
from lvsha.errors import InputError


def body(**values: object) -> Body:
    """A body with these values."""
    return Body(json.dumps(values).encode())


def test_takes_what_is_there() -> None:
    """Each reader gives the value of its key."""
    b = body(t="x", n=1.5, w=3, c="a", cs=["a", "b"])
    assert b.text("t") == "x"
    assert b.number("n", least=0, most=2) == 1.5
    assert b.optional_whole("w", least=0, most=5) == 3
    assert b.choice("c", ("a", "b")) == "a"
    assert b.choices("cs", ("a", "b")) == ["a", "b"]
    b.done()


def test_what_is_left_out() -> None:
    """A key left out, or null where that is allowed, has its default."""
    b = body(t=None, n=None)
    assert b.optional_text("t") is None
    assert b.optional_number("n", least=0, most=1) is None
    assert b.optional_whole("w", least=0, most=1) is None
    assert b.text("x", default="") == ""
    assert b.number("y", least=0, most=9, default=7.0) == 7.0
    b.done()


def test_unknown_key() -> None:
    """A key nobody asked for is refused with the nearest that is known."""
    b = body(targte="x")
    b.text("target", default="")
    with pytest.raises(InputError, match=r"'targte' is not a key .*; did you mean target"):
        b.done()


def test_no_key_is_known() -> None:
    """Where a request has no keys, that is told."""
    with pytest.raises(InputError, match="there is none"):
        body(x=1).done()


def test_null_where_a_value_is_needed() -> None:
    """Null is not a text."""
    with pytest.raises(InputError, match="target: a text is expected, not null"):
        body(target=None).text("target")


@pytest.mark.parametrize("value", ["inf", "1e400", "-1e400", "NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none(value: str) -> None:
    """Infinity and its kin do not come in."""
    with pytest.raises(InputError, match="not good JSON"):
        Body(b'{"n": ' + value.encode() + b"}")


@given(st.integers() | st.integers(-400, 400).map(lambda n: (-10 if n < 0 else 10) ** abs(n)))
def test_any_whole_number(value: int) -> None:
    """However large, it is within the bounds or an InputError that is short."""
    try:
        assert body(n=value).number("n", least=0, most=10) == value
    except InputError as error:
        assert len(str(error)) < 100  # noqa: PT017 -- whether it is raised depends on the number
        assert not 0 <= value <= 10


@settings(deadline=None)
@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Any bytes are an object or an InputError."""
    try:
        Body(data).done()
    except InputError as error:
        assert str(error)  # noqa: PT017 -- whether it is raised depends on the bytes


def test_message_is_bounded() -> None:
    """What is told back of a value is short."""
    with pytest.raises(InputError) as refusal:
        body(kind="x" * 200).choice("kind", ("a",))
    assert len(str(refusal.value)) < 100
