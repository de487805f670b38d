"""What is wrong with a configuration: where it stands, why it is wrong, what to do.

A `Finding` knows where it is by keys alone, as the rules see it; a `Problem` has been given the
file and line as well.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lvsha.errors import InputError

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the top of the file: `("services", "web", "servers", 2, "port")`."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Severity(StrEnum):
    """An error refuses the configuration, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, by its keys."""

    path: KeyPath
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in words for the person who wrote the file."""

    file: Path
    line: int | None
    path: str
    """Where in the tables: `services.web.servers[2].port`; empty: the file itself."""
    message: str
    hint: str = ""
    """What to do."""
    severity: Severity = Severity.ERROR

    def __post_init__(self) -> None:
        for name in ("path", "message", "hint"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        where = f"{self.path}: " if self.path else ""
        return printable(f"{place}: {where}{self.message}" + (f"; {self.hint}" if self.hint else ""))


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found in a configuration; it may be used if `errors` is empty."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class ConfigError(InputError):
    """The configuration cannot be used; `problems` says why, one entry a problem."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def error(path: KeyPath, message: str, hint: str = "") -> Finding:
    """Something that refuses the configuration."""
    return Finding(path, message, hint)


def warning(path: KeyPath, message: str, hint: str = "") -> Finding:
    """Something that is probably not meant."""
    return Finding(path, message, hint, Severity.WARNING)


def printable(text: str) -> str:
    """The text with nothing in it that a terminal would obey: names come from the file as they are."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def spell(path: KeyPath) -> str:
    """The path as TOML would write it, with the index of a list in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else _quoted(part))
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or nothing."""
    # A word beyond any real name's length would make the comparison slow, and near to nothing.
    if len(word) > 64:
        return ""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1) or difflib.get_close_matches(word.lower(), words, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _quoted(part: str) -> str:
    return '"' + (part if len(part) <= 60 else part[:60] + "...") + '"'
