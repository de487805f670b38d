"""What makes a check's settings sensible: the rules that several kinds share.

Each rule returns the problems it finds, each beginning with the field it is about, so that a kind
can show an operator all of them at once.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from itertools import pairwise


class SettingsError(ValueError):
    """A check's settings do not make sense; `problems` holds all of them, each beginning with its field."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def require(*problems: Iterable[str]) -> None:
    """Raise SettingsError where there is any problem."""
    found = [problem for some in problems for problem in some]
    if found:
        raise SettingsError(found)


def path(source: str, mark: int) -> list[str]:
    """The way out of this machine, which every kind with a socket lets one choose."""
    problems = []
    if source and not is_address(source):
        problems.append(f"source: {source!r} is not an IP address")
    return problems + within("mark", mark, 0, 0xFFFFFFFF)


def within(field: str, value: float, least: float, most: float) -> list[str]:
    """A number's range."""
    return [] if least <= value <= most else [f"{field}: {value} is not within {least} and {most}"]


def one_of(field: str, text: str, words: Sequence[str]) -> list[str]:
    """A word out of a few."""
    return [] if text in words else [f"{field}: {text!r} is none of {', '.join(filter(None, words))}"]


def pattern(field: str, text: str) -> list[str]:
    """A regular expression, or nothing."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return [f"{field}: {text!r} is not a regular expression: {error}"]
    return []


def hexadecimal(field: str, text: str) -> list[str]:
    """Bytes in hexadecimal, or nothing."""
    try:
        bytes.fromhex(text)
    except ValueError as error:
        return [f"{field}: {text!r} is not hexadecimal: {error}"]
    return []


def line(field: str, text: str) -> list[str]:
    """Text that becomes part of one line on the wire, and may not smuggle in another."""
    bad = next((char for char in text if char < " " or char == "\x7f"), None)
    return [f"{field}: {bad!r} may not be in it"] if bad else []


def descriptions(kind: type) -> dict[str, str]:
    """What stands under each field of a kind's class, inherited fields included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        source = ast.parse(textwrap.dedent(inspect.getsource(base)))
        body = source.body[0].body if isinstance(source.body[0], ast.ClassDef) else []
        for statement, after in pairwise(body):
            match statement, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
