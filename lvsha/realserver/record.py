"""What was done to this server, as the state directory keeps it.

It is written before anything is done, so it may hold a step that was not: taking that back finds nothing
to take back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from checks.audit import Step
from checks.audit.steps import ORDER
from lvsha.errors import StateError
from lvsha.store import read_document, write_document

NAME = "realserver.json"
_KIND, _VERSION = "realserver", 1
_STEPS: dict[str, type] = {kind.__name__: kind for kind in ORDER}


@dataclass(frozen=True, slots=True)
class Record:
    """What was done."""

    steps: tuple[Step, ...] = ()
    """In the order in which it was done; values from before stand in them."""
    files: tuple[str, ...] = ()
    """Files that were written."""

    def __bool__(self) -> bool:
        return bool(self.steps or self.files)


def load(directory: Path) -> Record:
    """What is on record; nothing where there is no file. Raises StateError."""
    body = read_document(directory / NAME, _KIND, _VERSION)
    if body is None:
        return Record()
    try:
        files = tuple(str(file) for file in body["files"])
        return Record(tuple(_step(step) for step in body["steps"]), files)
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{directory / NAME} makes no sense: {error!r}") from error


def save(directory: Path, record: Record) -> None:
    """Keep a record, durably; an empty one is no file. Raises StateError."""
    path = directory / NAME
    try:
        if not record:
            path.unlink(missing_ok=True)
            return
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}") from error
    body = {"steps": [_plain(step) for step in record.steps], "files": list(record.files)}
    write_document(path, _KIND, _VERSION, body)


def _plain(step: Step) -> dict[str, Any]:
    return {"step": type(step).__name__, **dataclasses.asdict(step)}


def _step(plain: dict[str, Any]) -> Step:
    """The step; raises KeyError, TypeError or ValueError."""
    fields = dict(plain)
    kind = _STEPS[fields.pop("step")]
    for name, hint in get_type_hints(kind).items():
        if type(fields[name]) is not hint:
            raise ValueError(f"{name} of {kind.__name__} is {fields[name]!r}")
    step: Step = kind(**fields)
    return step
