"""What is wrong with a configuration: where it stands, why it is wrong, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lvsha.errors import InputError


class Severity(StrEnum):
    """An error refuses the configuration, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


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

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        where = f"{self.path}: " if self.path else ""
        return f"{place}: {where}{self.message}" + (f"; {self.hint}" if self.hint else "")


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
