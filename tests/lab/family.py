"""A program for tests of the parent: `python -m tests.lab.family DIRECTOR SPEAKER`, each a way to behave.

good      beats until SIGTERM, then says so and ends
crash     beats once and dies
once      dies the first time (by a mark in the file FAMILY_MARK names), is good the second
silent    beats once, then never again
stubborn  beats, and ignores SIGTERM
config    ends with status 2 before it was ever ready
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from lvsha.daemon import parent
from lvsha.daemon.parent import Body, Parent


def say(event: str, **fields: object) -> None:
    """One line of JSON on standard output."""
    os.write(1, (json.dumps({"event": event, **fields}) + "\n").encode())


def body(name: str, way: str) -> Body:
    """A child that behaves in one of the ways above."""

    def run(pipe: int) -> int:
        stopped = []

        def stop(number: int, frame: FrameType | None) -> None:
            stopped.append((number, frame))

        signal.signal(signal.SIGTERM, stop if way != "stubborn" else signal.SIG_IGN)
        if way == "config":
            return 2
        if name == "director":
            os.write(pipe, b"speaker /run/nowhere\nready\n")
        os.write(pipe, b"beat\n")
        say("alive", name=name, pid=os.getpid())
        if way == "crash" or (way == "once" and first()):
            os.kill(os.getpid(), signal.SIGKILL)
        while not stopped:
            if way != "silent":
                # A parent that is gone hears nothing; SIGTERM is on its way.
                with contextlib.suppress(BrokenPipeError):
                    os.write(pipe, b"beat\n")
            time.sleep(0.05)
        say("stopped", name=name)
        return 0

    return run


def first() -> bool:
    """Whether this is the first life; leaves the mark for the next."""
    mark = Path(os.environ["FAMILY_MARK"])
    if mark.exists():
        return False
    mark.touch()
    return True


if __name__ == "__main__":
    parent.SILENCE.update(director=0.5, speaker=0.5)
    parent.PATIENCE.update(director=0.5, speaker=0.5)
    director, speaker = sys.argv[1:]
    sys.exit(Parent(body("director", director), lambda _: body("speaker", speaker), say).run())
