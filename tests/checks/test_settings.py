"""The rules for settings that several kinds share."""

from __future__ import annotations

import dataclasses

import pytest

from checks import KINDS, SettingsError
from checks.settings import descriptions, hexadecimal, line, path, pattern, require, within


def test_require() -> None:
    """All problems are in one error, apart and together; none is no error."""
    require([], [])
    with pytest.raises(SettingsError, match=r"^a: x; b: y; c: z$") as caught:
        require(["a: x"], ["b: y", "c: z"])
    assert caught.value.problems == ("a: x", "b: y", "c: z")
    assert isinstance(caught.value, ValueError)


def test_rules() -> None:
    """Each rule is silent about what is right and names its field otherwise."""
    assert path("", 0) == path("2001:db8::1", 0xFFFFFFFF) == []
    assert path("x", -1) == ["source: 'x' is not an IP address", "mark: -1 is not within 0 and 4294967295"]
    assert within("n", 3, 3, 3) == []
    assert within("n", 4, 1, 3) == ["n: 4 is not within 1 and 3"]
    assert pattern("p", "a|b") == pattern("p", "") == []
    assert pattern("p", "(")[0].startswith("p: '(' is not a regular expression: ")
    assert hexadecimal("h", "00 Ff") == []
    assert hexadecimal("h", "0")[0].startswith("h: '0' is not hexadecimal")
    assert line("l", "plain ü") == []
    assert line("l", "a\r\nb") == [r"l: '\r' may not be in it"]
    assert line("l", "a\x7f") == [r"l: '\x7f' may not be in it"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_field_is_described(kind: str) -> None:
    """Each field of each kind has its sentences, which end in a full stop."""
    told = descriptions(KINDS[kind])
    assert told.keys() >= {field.name for field in dataclasses.fields(KINDS[kind])}
    assert all(text.endswith(".") for text in told.values())
