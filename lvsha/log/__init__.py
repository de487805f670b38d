"""What the daemon says, and to whom.

`emit("server.down", service="web", ...)` is the only way to say something. It looks the name up
in `lvsha.events`, adds time, severity and alert, and hands one record to two readers:

    standard output   one JSON object a line; on a terminal, coloured text   (`setup`, `output`)
    listeners         such as `Journal`, the ring that `lvsha-cli events` reads

Neither may hold the daemon up: see `output` for the one, `journal` for the other.
"""

from __future__ import annotations

from lvsha.log.journal import Journal
from lvsha.log.output import Output
from lvsha.log.record import Listener, Record, UnknownEventError, emit, emit_calmly, listening
from lvsha.log.setup import setup

__all__ = [
    "Journal",
    "Listener",
    "Output",
    "Record",
    "UnknownEventError",
    "emit",
    "emit_calmly",
    "listening",
    "setup",
]
