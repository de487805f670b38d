"""The director process around its work: the configuration, a place of its own, limits, an exit status.

A configuration with a problem ends it before it has touched anything. Directories that cannot be made do
not: a director that does not start helps nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from pathlib import Path
from typing import IO

from lvsha import __version__
from lvsha.config import ConfigError, StateConfig, load
from lvsha.daemon.supervisor import Options, Supervisor, Voice
from lvsha.errors import UnavailableError
from lvsha.log import emit, setup
from lvsha.store import sweep
from lvsha.store.lock import take

FAILED = 1
BAD_CONFIGURATION = 2
PREDECESSOR = 3.0
"""Seconds to wait for the end of a director before this one."""


def run(options: Options, pipe: int) -> int:
    """The body of the director process; its exit status. `pipe` leads to the parent."""
    output = setup(console=options.console)
    try:
        return _run(options, pipe)
    finally:
        output.close()


def _run(options: Options, pipe: int) -> int:
    emit("daemon.started", process="director", version=__version__, config=options.config, pid=os.getpid())
    try:
        config = load(options.config, options.node)
    except ConfigError as error:
        for problem in error.problems:
            emit("config.problem", file=options.config, problem=str(problem))
        return BAD_CONFIGURATION
    _make_room(config.state)
    try:
        lock = _alone(config.state.runtime)
    except UnavailableError as error:
        emit("daemon.failed", task="director", error=error)
        return FAILED  # the parent tries again: the other one may be about to end
    _raise_limits()
    try:
        return _serve_until_told(Supervisor(options, config, Voice(pipe)))
    finally:
        if lock is not None:
            lock.close()


def _serve_until_told(supervisor: Supervisor) -> int:
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(supervisor.run())
    except BaseExceptionGroup:
        return FAILED  # each was told as `daemon.failed` where it happened
    return 0


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _raise_limits() -> None:
    """Every probe is a descriptor: take what the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _make_room(state: StateConfig) -> None:
    """The directories. Where they cannot be made the director goes on without: that is told, by them too
    who cannot write there, and a director that does not start helps nobody.
    """
    for path, mode in ((state.directory, 0o700), (state.runtime, 0o755)):
        try:
            path.mkdir(mode=mode, parents=True, exist_ok=True)
        except OSError as error:
            emit("state.unwritable", file=path, error=f"the directory cannot be made: {error.strerror}")
    with contextlib.suppress(OSError):
        sweep(state.directory)


def _alone(runtime: Path) -> IO[bytes] | None:
    """The lock on a runtime directory, None where it can have none.

    Raises UnavailableError while another lvshad has it: the two would take the speaker from each other
    without end, and write one table.
    """
    end = time.monotonic() + PREDECESSOR
    try:
        while (lock := take(runtime / "director.lock")) is None:
            if time.monotonic() > end:
                raise UnavailableError(f"another lvshad runs in {runtime}: stop it first")
            time.sleep(0.05)
    except OSError:
        return None  # that nothing can be written there is told by who has to
    return lock
