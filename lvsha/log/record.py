"""One thing said: from the catalogue's name and the caller's fields to a record that JSON can hold.

Details come from outside (a banner, a server's reply), so text is cut at `TEXT` characters.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import structlog

from lvsha.events import CATALOGUE, Severity

TEXT = 8192
"""Longest text of a field, in characters."""

Record = dict[str, Any]
Listener = Callable[[Record], None]

_listeners: list[Listener] = []
_logger = structlog.get_logger()


class UnknownEventError(ValueError):
    """A name that is not in the catalogue was emitted: a fault in the calling code."""


def emit(event: str, /, **fields: object) -> Record:
    """Say that something happened; returns the record that was said.

    Field values may be anything: what JSON does not know is written as its `str()`, and an
    `exception` as its traceback. To be called in the event loop's thread. Raises
    UnknownEventError for a name that is not catalogued.
    """
    exception = fields.get("exception")
    if isinstance(exception, BaseException):
        fields["exception"] = "".join(traceback.format_exception(exception))
    return _say(record(event, fields))


def emit_calmly(event: str, /, **fields: object) -> Record:
    """`emit` of what is ordinary this time: it is info, and nobody is called."""
    return _say(record(event, fields, Severity.INFO) | {"alert": False})


def _say(said: Record) -> Record:
    for listener in tuple(_listeners):
        listener(said)
    write(said)
    return said


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hand every record emitted within to `listener`, which must neither block nor raise."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def record(event: str, fields: Mapping[str, object], severity: Severity | None = None) -> Record:
    """The record of an event: the catalogue's severity (unless given) and alert, the time, the fields."""
    known = CATALOGUE.get(event)
    if known is None:
        raise UnknownEventError(f"event {event!r} is not in lvsha.events.CATALOGUE")
    head = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "severity": (severity or known.severity).value,
        "alert": known.alert,
        "event": event,
    }
    # The head wins: fields may come from another process.
    return head | {name: plain(value) for name, value in fields.items() if name not in head}


def write(said: Record) -> None:
    """Hand a record to structlog, whose processors `setup` has chosen."""
    rest = {name: value for name, value in said.items() if name != "event"}
    getattr(_logger, said["severity"])(said["event"], **rest)


def plain(value: object) -> object:
    """The value as JSON has it."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | float():
            return value
        case str():
            return value if len(value) <= TEXT else f"{value[:TEXT]}... ({len(value)} characters)"
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return plain(str(value))
