"""What pydantic found, in words for the person who wrote the file.

Pydantic speaks of inputs, models and tags; here its errors become sentences about the values as
they stand in the file, each with the path of the key and, where there is one, what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lvsha.config import keepalived
from lvsha.config.problems import Finding, KeyPath, did_you_mean, error, spell
from lvsha.config.schema.values import short, shown, sort_of

SECRETS = {"headers", "key", "keys", "passphrase", "password", "secret", "token"}
"""What stands under these keys is never shown."""

_WANTED = {
    "string_type": ("a text", "write it in quotes"),
    "int_type": ("a whole number", ""),
    "int_from_float": ("a whole number", ""),
    "float_type": ("a number", ""),
    "bool_type": ("true or false", "write it without quotes"),
    "list_type": ("a list", "write it in [ ]"),
    "tuple_type": ("a list", "write it in [ ]"),
    "dict_type": ("a table", "write it as { key = value }"),
    "model_type": ("a table", "write it as { key = value }"),
    "model_attributes_type": ("a table", "write it as { key = value }"),
    "finite_number": ("a finite number", ""),
}


Known = dict[int, type[BaseModel]]
"""Which table was read from which value, by the value's id: `Table` notes it while it reads."""


def findings(problem: ValidationError, value: object, path: KeyPath, known: Known) -> Iterator[Finding]:
    """Each error of a value read at `path`. `known` is the context that it was read with."""
    for detail in problem.errors(include_url=False):
        yield _finding(detail, value, path, known)


def _finding(detail: ErrorDetails, value: object, path: KeyPath, known: Known) -> Finding:
    where, around = _walk(detail["loc"], value)
    at, secret = (*path, *where), SECRETS & {*path, *where}
    given = sort_of(detail["input"]) if secret else shown(detail["input"])
    context: Mapping[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "refused":
            message = str(context.get("message") or detail["msg"])
            return error(at, message, str(context.get("hint") or _nearest_word(detail["input"], message)))
        case "missing":
            return error(at, "is missing", _meaning(where, around, known))
        case "extra_forbidden":
            return error(at, "is not a known key", _nearest(where, around, known))
        case "literal_error" | "enum":
            return error(
                at, f"must be {_spoken(context['expected'])}, not {given}", _near(detail["input"], context)
            )
        case kind if kind in _WANTED:
            wanted, hint = _WANTED[kind]
            hint = _way(detail["input"], wanted, at) or hint
            return error(at, f"must be {wanted}, not {given}", hint)
        case kind:
            return error(at, _bound(kind, context, given) or f"{detail['msg']} ({given})")


def place(loc: tuple[str | int, ...], value: object) -> KeyPath:
    """The part of pydantic's location that is in the file."""
    return _walk(loc, value)[0]


def _walk(loc: tuple[str | int, ...], value: object) -> tuple[KeyPath, object]:
    """The part of pydantic's location that is in the file, and the table or list around its end.

    Pydantic puts the tag of a union and the word `[key]` between the keys; our tags stand in <>.
    """
    found: list[str | int] = []
    around = value
    for step in loc:
        if not isinstance(value, dict | list):
            break
        inside = step in value if isinstance(value, dict) else isinstance(step, int) and step < len(value)
        if not inside and str(step).startswith("<"):
            continue
        if not inside and step == "[key]":
            break
        found.append(step)
        around = value
        if not inside:
            break
        value = value[step]  # type: ignore[index]
    return tuple(found), around


def _fields(around: object, known: Known) -> dict[str, str | None]:
    table = known.get(id(around))
    return {name: field.description for name, field in table.model_fields.items()} if table else {}


def _meaning(where: KeyPath, around: object, known: Known) -> str:
    """What the missing key is for."""
    meaning = _fields(around, known).get(str(where[-1])) if where else None
    if not meaning:
        return ""
    first = meaning.split(". ")[0].rstrip(".")
    return f"it says: {first[:1].lower()}{first[1:]}"


def _nearest(where: KeyPath, around: object, known: Known) -> str:
    fields = _fields(around, known)
    word = str(where[-1]) if where else ""
    hint = keepalived.hint(word) or did_you_mean(word, fields)
    return hint or (f"known here: {', '.join(sorted(fields))}" if fields else "")


def _nearest_word(given: object, message: str) -> str:
    """For a table that has none of the keys that the message lists."""
    words = message.replace(",", "").split()
    hints = (did_you_mean(key, words) for key in given) if isinstance(given, dict) else ()
    return next((hint for hint in hints if hint), "")


def _spoken(expected: str) -> str:
    """Pydantic writes `'a', 'b' or 'c'`."""
    words = expected.replace("'", "")
    return f"one of {words.replace(' or ', ', ')}" if "," in words else words


def _near(given: object, context: Mapping[str, Any]) -> str:
    words = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
    return did_you_mean(given, words) if isinstance(given, str) else ""


def _way(given: object, wanted: str, at: KeyPath) -> str:
    """The way out of the usual slips: a number in quotes, single brackets for a list of tables."""
    if isinstance(given, dict) and wanted == "a list":
        return f"write [[{spell(at)}]] above each"
    if isinstance(given, str) and "number" in wanted and given.strip().lstrip("-").isdigit():
        return f"write {short(given.strip())} without quotes"
    return ""


def _bound(kind: str, context: Mapping[str, Any], given: str) -> str:
    match kind:
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {given}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {given}"
        case "too_short":
            return (
                "must not be empty"
                if context["min_length"] == 1
                else f"needs at least {context['min_length']}"
            )
        case "string_too_long":
            return f"may be at most {context['max_length']} characters long"
        case "too_long" if given.startswith('"'):
            return f"may be at most {context['max_length']} characters long"
        case "too_long":
            return f"may hold at most {context['max_length']}, not {context['actual_length']}"
        case "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"{given} is not allowed here"
        case _:
            return ""
