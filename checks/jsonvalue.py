"""Finding one value in a JSON text, and saying what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

from checks.base import quote


def problem(text: bytes, path: str, equals: str | None) -> str:
    """What keeps the value at `path` from being what it should be; empty if nothing does.

    `path` is keys and list indexes joined by dots. `equals` is compared with a string's own text and
    with anything else as JSON spells it; None asks only that the value is there.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"the body is not JSON: {error}"
    try:
        value = find(value, path)
    except LookupError as error:
        return f"{error} in the body's JSON"
    if equals is None or spell(value) == equals:
        return ""
    return f"{path or 'JSON'} is {quote(spell(value))} (expected {quote(equals)})"


def find(value: Any, path: str) -> Any:
    """The value at a path; raises LookupError with a sentence."""
    for step in path.split(".") if path else []:
        match value:
            case dict() if step in value:
                value = value[step]
            case list() if step.isdecimal() and int(step[:9]) < len(value):
                value = value[int(step[:9])]
            case _:
                raise LookupError(f"there is no {path!r} (stopped at {step!r})")
    return value


def spell(value: Any) -> str:
    """A string's own text, anything else in JSON."""
    return value if isinstance(value, str) else json.dumps(value)
