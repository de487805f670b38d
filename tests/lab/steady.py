"""Whether the machine itself stood still: a process that would run every millisecond notes when it could not.

    machine = await steady()
    begin = time.monotonic()
    ...                                      # something whose time is claimed
    still = await machine.stood_still(begin)
    if still.longest < 0.01: assert ...

A machine that is shared, or a guest of another, stops for a tenth of a second now and then, with all that
is on it. What is claimed of milliseconds is claimed of a machine that runs.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from lvsha.speaker import realtime
from tests.lab.process import Process, call

TICK = 0.001
NOTED = 0.003
"""Seconds between two ticks from which on they are noted."""


@dataclass(frozen=True, slots=True)
class Still:
    """How long the machine stood still, in seconds."""

    longest: float
    total: float


class Steady:
    """A test's hold on the process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def stood_still(self, since: float) -> Still:
        """The times since a moment of the monotonic clock."""
        answer = await self._process.ask({"since": since})
        return Still(answer["longest"], answer["total"])


async def steady() -> Steady:
    """Begin to watch the machine."""
    process = await call(None, "tests.lab.steady:serve", channel=True)
    await process.event("ready")
    return Steady(process)


# --- the program --------------------------------------------------------------------------------


def serve(argv: list[str]) -> None:
    """Tick, and answer questions from standard input, until that is closed."""
    # As the speakers do: else it would be held up by what does not hold up them.
    realtime.schedule()
    stops: list[tuple[float, float]] = []
    threading.Thread(target=_tick, args=(stops,), daemon=True).start()
    print(json.dumps({"event": "ready"}), flush=True)
    with socket.socket(fileno=0) as channel, channel.makefile("rw") as lines:
        for line in lines:
            print(json.dumps(_answer(list(stops), json.loads(line)["since"])), file=lines, flush=True)


def _tick(stops: list[tuple[float, float]]) -> None:
    last = time.monotonic()
    while True:
        time.sleep(TICK)
        now = time.monotonic()
        if now - last >= NOTED:
            stops.append((last, now))
        last = now


def _answer(stops: list[tuple[float, float]], since: float) -> dict[str, Any]:
    times = [end - max(begin, since) for begin, end in stops if end > since]
    return {"longest": max(times, default=0.0), "total": sum(times)}
