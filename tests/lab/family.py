"""A program for tests of the parent: `python -m tests.lab.family DIRECTOR SPEAKER`, each a way to behave.

good      beats until SIGTERM, then says so and ends
crash     beats once and dies
once      dies the first time (by a mark in the file FAMILY_MARK names), is good the second
silent    beats once, then never again
stubborn  beats, and ignores SIGTERM
config    ends with status 2 before it was ever ready
spoilt    wants a speaker and dies before it is ready; the second time as config
closing   beats once and closes its pipe
obedient  a director that wants no speaker, and one again, by turns at every SIGHUP
moving    a director that wants the speaker elsewhere at a SIGHUP

The environment may make forking difficult: FAMILY_FORK_SLOW is how many seconds a child waits for the
processor before it runs, FAMILY_FORK_FAILS how many forks fail.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from lvsha.daemon import parent
from lvsha.daemon.parent import Body, Parent


def say(event: str, **fields: object) -> None:
    """One line of JSON on standard output."""
    os.write(1, (json.dumps({"event": event, **fields}) + "\n").encode())


def body(name: str, way: str, place: str = "") -> Body:
    """A child that behaves in one of the ways above."""

    def run(pipe: int) -> int:
        stopped = []

        def stop(number: int, frame: FrameType | None) -> None:
            stopped.append((number, frame))

        signal.signal(signal.SIGTERM, stop if way != "stubborn" else signal.SIG_IGN)
        if way == "config":
            return 2
        if way == "spoilt":
            if not first():
                return 2
            os.write(pipe, b"speaker /run/nowhere\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "director":
            os.write(pipe, b"speaker /run/nowhere\nready\n")
        os.write(pipe, b"beat\n")
        say("alive", name=name, pid=os.getpid(), place=place)
        if way == "crash" or (way == "once" and first()):
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "closing":
            os.close(pipe)
        if way == "obedient":
            at_hangup(lambda wanted: b"speaker /run/nowhere\n" if wanted else b"no speaker\n", pipe)
        if way == "moving":
            at_hangup(lambda _: b"speaker /run/elsewhere\n", pipe)
        while not stopped:
            if way not in ("silent", "closing"):
                # A parent that is gone hears nothing; SIGTERM is on its way.
                with contextlib.suppress(BrokenPipeError):
                    os.write(pipe, b"beat\n")
            time.sleep(0.05)
        say("stopped", name=name)
        return 0

    return run


def at_hangup(word: Callable[[bool], bytes], pipe: int) -> None:
    """Say a word at each SIGHUP, by turns for False and True."""
    wanted = [True]

    def turn(_: int, __: FrameType | None) -> None:
        wanted[0] = not wanted[0]
        os.write(pipe, word(wanted[0]))
        say("turned", wanted=wanted[0])

    signal.signal(signal.SIGHUP, turn)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])


def forking() -> None:
    """Make forking as difficult as the environment says."""
    fork, slow = os.fork, float(os.environ.get("FAMILY_FORK_SLOW", "0"))
    failures = [OSError(errno.EAGAIN, "no process left")] * int(os.environ.get("FAMILY_FORK_FAILS", "0"))

    def difficult() -> int:
        if failures:
            raise failures.pop()
        pid = fork()
        if pid == 0:
            time.sleep(slow)
        return pid

    os.fork = difficult


def first() -> bool:
    """Whether this is the first life; leaves the mark for the next."""
    mark = Path(os.environ["FAMILY_MARK"])
    if mark.exists():
        return False
    mark.touch()
    return True


if __name__ == "__main__":
    # Longer than a busy machine keeps a good child waiting, and shorter than the tests have one bear.
    parent.SILENCE.update(director=1.5, speaker=1.5)
    parent.PATIENCE.update(director=1.5, speaker=1.5)
    forking()
    director, speaker = sys.argv[1:]
    sys.exit(Parent(body("director", director), lambda place: body("speaker", speaker, place), say).run())
