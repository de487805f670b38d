"""Request bodies, read strictly: a JSON object of known keys, each of its type and within its bounds.

A key that is unknown is refused, because a misspelt `expires_in` that is ignored would drain a
server for ever. So is a key given twice, and a number that is not one (`NaN`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, NoReturn

from lvsha.errors import InputError


class Body:
    """An object whose keys are taken one by one; `done` refuses what is left over."""

    def __init__(self, data: bytes) -> None:
        self._values = _parse(data)
        self._known: list[str] = []

    def text(self, key: str, *, default: str | None = None, longest: int = 256) -> str:
        """A text without control characters; needed where there is no default."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise InputError(f"{key}: a text is expected, not {_kind(value)}")
        if len(value) > longest or not value.isprintable():
            raise InputError(f"{key}: at most {longest} characters, and no control characters")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text or null."""
        return None if self._values.get(key) is None and self._note(key) else self.text(key)

    def number(self, key: str, *, least: float, most: float, default: float | None = None) -> float:
        """A finite number within bounds."""
        value = self._take(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise InputError(f"{key}: a number is expected, not {_kind(value)}")
        if not least <= value <= most:
            raise InputError(f"{key}: {value!s:.40} is not within {least:g} and {most:g}")
        return value

    def optional_number(self, key: str, *, least: float, most: float) -> float | None:
        """A number or null."""
        if self._values.get(key) is None and self._note(key):
            return None
        return self.number(key, least=least, most=most)

    def optional_whole(self, key: str, *, least: int, most: int) -> int | None:
        """A whole number or null."""
        value = self.optional_number(key, least=least, most=most)
        if value is None:
            return None
        if not isinstance(value, int):
            raise InputError(f"{key}: {value:g} is not a whole number")
        return value

    def truth(self, key: str) -> bool:
        """True or false; left out, or null: false."""
        value = self._values.get(key) if self._note(key) else None
        if not isinstance(value, bool | None):
            raise InputError(f"{key}: true or false is expected, not {_kind(value)}")
        return bool(value)

    def choice(self, key: str, choices: Collection[str]) -> str:
        """One of some words."""
        return _one_of(key, self.text(key), choices)

    def choices(self, key: str, choices: Collection[str]) -> list[str]:
        """A list of some words, at least one."""
        value = self._take(key, None)
        if not isinstance(value, list) or not value:
            raise InputError(f"{key}: a list of {', '.join(choices)} is expected, not {_kind(value)}")
        return [_one_of(f"{key}[{i}]", item, choices) for i, item in enumerate(value)]

    def done(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                near = get_close_matches(key, self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(self._known) or 'none'}"
                raise InputError(f"{key[:64]!r} is not a key of this request; {hint}")

    def _take(self, key: str, default: Any) -> Any:
        self._note(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise InputError(f"{key}: is needed")
        return default

    def _note(self, key: str) -> bool:
        self._known.append(key)
        return True


def _parse(data: bytes) -> dict[str, Any]:
    if not data.strip():
        return {}
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not good JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"the body is {_kind(value)}, not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice")
    return values


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _one_of(key: str, value: object, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{key}: one of {', '.join(choices)} is expected, not {value!r:.40}")
    return value


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an empty list" if not value else "a list"
        case _:
            return "an object"
