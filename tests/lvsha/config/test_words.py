"""Tests of `lvsha.config.words`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Discriminator, Field, Tag, ValidationError

from lvsha.config.problems import Finding, spell
from lvsha.config.schema.values import Table
from lvsha.config.words import Known, findings, place


class Inner(Table):
    """A table within the table."""

    number: Annotated[int, Field(ge=1, le=9)] = 1
    """A number. Not more."""
    word: Literal["one"] = "one"


class Other(Table):
    """What the union has besides."""

    needed: int
    """What is needed."""


class Outer(Table):
    """A table that has one of everything."""

    ratio: float = 0.5
    flag: bool = False
    words: list[Literal["red", "green", "blue"]] = Field(default_factory=list)
    pair: Literal["on", "off"] = "on"
    names: dict[Annotated[str, Field(pattern="^[a-z]+$")], int] = Field(default_factory=dict)
    inner: Inner = Inner()
    either: Annotated[
        Annotated[Inner, Tag("<inner>")] | Annotated[Other, Tag("<other>")],
        Discriminator(lambda value: "<other>" if "other" in value else "<inner>"),
    ] = Inner()
    short: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    few: Annotated[list[int], Field(min_length=2, max_length=3)] = Field(default_factory=list)
    password: str = ""


def told(value: Any) -> list[Finding]:
    """The findings of a value that is wrong."""
    known: Known = {}
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(value, context=known)
    return list(findings(caught.value, value, ("top",), known))


CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"ratio": "x"}, "ratio", 'must be a number, not "x"', ""),
    ({"ratio": "5"}, "ratio", 'must be a number, not "5"', "write 5 without quotes"),
    ({"flag": 1}, "flag", "must be true or false, not 1", "without quotes"),
    ({"words": "red"}, "words", 'must be a list, not "red"', "[ ]"),
    ({"words": {}}, "words", "must be a list, not a table", "[[top.words]]"),
    ({"words": ["rad"]}, "words[0]", 'must be one of red, green, blue, not "rad"', "did you mean red?"),
    ({"pair": "of"}, "pair", 'must be on or off, not "of"', "did you mean off?"),
    ({"names": {"A": 1}}, "names.A", '"A" is not allowed here', ""),
    ({"names": {"a": "b"}}, "names.a", 'must be a whole number, not "b"', ""),
    ({"inner": 5}, "inner", "must be a table, not 5", "{ key = value }"),
    ({"inner": {"number": 0}}, "inner.number", "must be at least 1, not 0", ""),
    ({"inner": {"number": 10}}, "inner.number", "must be at most 9, not 10", ""),
    ({"inner": {"word": "two"}}, "inner.word", 'must be one, not "two"', ""),
    ({"inner": {"nunber": 1}}, "inner.nunber", "is not a known key", "did you mean number?"),
    ({"inner": {"xyz": 1}}, "inner.xyz", "is not a known key", "known here: number, word"),
    ({"either": {"number": "1"}}, "either.number", 'must be a whole number, not "1"', "write 1"),
    ({"either": {"other": 1, "needed": 1}}, "either.other", "is not a known key", "known here: needed"),
    ({"short": ""}, "short", "must not be empty", ""),
    ({"short": "abcd"}, "short", "may be at most 3 characters long", ""),
    ({"few": [1]}, "few", "needs at least 2", ""),
    ({"few": [1, 2, 3, 4]}, "few", "may hold at most 3, not 4", ""),
    ({"password": 123}, "password", "must be a text, not a number", "in quotes"),
]


@pytest.mark.parametrize(("value", "path", "message", "hint"), CASES)
def test_words(value: dict[str, Any], path: str, message: str, hint: str) -> None:
    """Each error of pydantic is a sentence about the value, at its key, without a word of pydantic's."""
    (finding,) = told(value)
    assert spell(finding.path) == f"top.{path}"
    assert finding.message == message
    assert hint in finding.hint


def test_missing_key_says_what_it_is_for() -> None:
    """The path is where the key would stand, and the hint is its meaning."""
    missing = told({"either": {"other": 1}})[0]
    assert spell(missing.path) == "top.either.needed"
    assert (missing.message, missing.hint) == ("is missing", "it says: what is needed")


def test_keys_that_look_like_tags() -> None:
    """What stands in the file is a key, whatever it looks like."""
    assert place(("<x>", "[key]"), {"<x>": {}}) == ("<x>",)
    assert place(("[key]", "[key]"), {"[key]": 1}) == ("[key]",)
    assert place(("a", "<tag>", "b"), {"a": {"b": 1}}) == ("a", "b")
    assert place(("a", 5), {"a": [1]}) == ("a", 5)
    assert place(("a", "b"), {"a": 5}) == ("a",)
