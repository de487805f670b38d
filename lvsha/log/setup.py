"""Where records go in a running process: structlog's processors, and the standard library's logging.

Libraries (aiohttp, asyncssh, asyncio) log through the standard library. Their warnings come out as
`log.library`, in the same form as everything else; asyncssh tells of every failed login as a matter
of course, which is a verdict here and not news, so only its errors are heard.
"""

from __future__ import annotations

import atexit
import logging
import os
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from lvsha.events import Severity
from lvsha.log.output import Output
from lvsha.log.record import record, write

_QUIET = ("asyncssh", "aiohttp.access")
_SEVERITIES = (
    (logging.CRITICAL, Severity.CRITICAL),
    (logging.ERROR, Severity.ERROR),
    (logging.WARNING, Severity.WARNING),
)


def setup(descriptor: int = 1, *, console: bool | None = None, severity: Severity = Severity.INFO) -> Output:
    """Send everything emitted, and what libraries log, to a file descriptor.

    `console`: text for a person instead of JSON (None: where the descriptor is a terminal).
    `severity`: the least that is written; listeners hear everything. Each process calls it once, after
    it was forked. What is queued is written at exit, for at most a second.
    """
    output = Output(descriptor)
    atexit.register(output.close)
    if console is None:
        console = os.isatty(descriptor)
    structlog.configure(
        processors=[_escape, _console()] if console else [_order, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(severity.value),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=False,
    )
    _libraries()
    return output


def _console() -> structlog.dev.ConsoleRenderer:
    # The traceback is text in `exception` already; structlog prints that key after the line.
    return structlog.dev.ConsoleRenderer(event_key="event", timestamp_key="timestamp", pad_event_to=22)


def _order(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event's name stands before its fields: structlog puts it last."""
    head = {name: event.pop(name) for name in ("timestamp", "severity", "alert", "event") if name in event}
    return head | dict(event)


def _escape(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Control characters in text are shown, not obeyed: a terminal would act on a hostile banner."""
    event["level"] = event.pop("severity")
    return {name: printable(value) if name != "exception" else value for name, value in event.items()}


def printable(value: object) -> object:
    """Text with control characters as escapes; other values as they are."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)


def _libraries() -> None:
    root = logging.getLogger()
    root.handlers = [_Library()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


class _Library(logging.Handler):
    """Hands what a library logs on as `log.library`."""

    def emit(self, record_: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record_.name, "message": record_.getMessage()}
        if record_.exc_info:
            fields["exception"] = "".join(traceback.format_exception(*record_.exc_info))
        severity = next((s for level, s in _SEVERITIES if record_.levelno >= level), Severity.INFO)
        write(record("log.library", fields, severity))
