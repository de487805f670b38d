"""The speaker's own log, for while no director is there to write it: a line of JSON an event.

`lvsha.log` would do the same and take longer to import than a killed speaker has to come back.
Standard output is written to only when it takes a line at once: a reader that has stopped
must not hold up an advert.
"""

from __future__ import annotations

import json
import os
import select
from datetime import UTC, datetime

from lvsha.events import CATALOGUE

_OUTPUT = 1
_LINE = 4096
"""PIPE_BUF: a pipe that is writable takes so much at once (pipe(7))."""


def log(event: str, **fields: object) -> None:
    """Write an event of the catalogue, if that is possible now."""
    line = _line(event, fields).encode()[: _LINE - 1] + b"\n"
    _, writable, _ = select.select([], [_OUTPUT], [], 0)
    if writable:
        os.write(_OUTPUT, line)


def _line(event: str, fields: dict[str, object]) -> str:
    known = CATALOGUE[event]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"timestamp": now, "severity": known.severity.value, "alert": known.alert, "event": event}
    return json.dumps(head | fields, default=str)
