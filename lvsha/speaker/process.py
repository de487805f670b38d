"""The speaker's process: puts the parts together, runs them, and ends them in good order.

It is started by the parent (with a pipe on which it says that it lives) or by hand. A second
speaker in one runtime directory waits for the first one's end: one that resigns is not to be
overtaken by its successor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import IO

from lvsha.errors import KernelError, LvshaError, StateError, UnavailableError
from lvsha.kernel.addresses import NETLINK_ROUTE, Addresses
from lvsha.kernel.links import Links
from lvsha.kernel.netlink import Netlink
from lvsha.kernel.watch import Watch
from lvsha.speaker import realtime
from lvsha.speaker.loop import SpeakerLoop
from lvsha.speaker.messages import Event, Report
from lvsha.speaker.port import Port
from lvsha.speaker.sight import Sight
from lvsha.speaker.speaker import Speaker
from lvsha.speaker.state import Files
from lvsha.speaker.voice import log
from lvsha.store.lock import take
from lvsha.wire.announce import Announcer

BEAT = 0.5
COLLECT = 10.0
"""Seconds between two collections of garbage."""
PREDECESSOR = 6.0
"""Seconds to wait for the end of a speaker before this one."""


def run(runtime: Path, *, pipe: int | None = None, console: bool | None = None) -> int:
    """Be the speaker until told to stop; the exit status.

    `pipe`: where `beat` is written, a line at least every second. `console` is for the processes
    that log at length: what the speaker says without a director is JSON in any case.
    """
    del console
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = 0
    try:
        with asyncio.Runner(loop_factory=SpeakerLoop) as runner:
            runner.run(_main(runtime, pipe))
    except* PermissionError as errors:
        status = _failed(errors, "; the speaker needs CAP_NET_ADMIN and CAP_NET_RAW")
    except* (LvshaError, OSError) as errors:
        status = _failed(errors)
    return status


def _failed(errors: BaseExceptionGroup, hint: str = "") -> int:
    for error in errors.exceptions:
        log("daemon.failed", task="speaker", error=f"{error}{hint}", exception=None)
    return 1


async def _main(runtime: Path, pipe: int | None) -> None:
    with await _alone(runtime):
        await Process(runtime, pipe).run()


class Process:
    """The parts of a running speaker, and its voice."""

    def __init__(self, runtime: Path, pipe: int | None) -> None:
        """Raises KernelError or OSError where the machine lacks something that is needed."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(realtime.threads())
        self._pipe = pipe
        # What changes addresses is not to wait for what only looks at them.
        self._changing, self._looking = _netlink(), _netlink()
        self._watch, self._announcer = Watch(), Announcer()
        self._files = Files(runtime)
        self._speaker = Speaker(self._changing, self._announcer, self._files, self)
        self._sight = Sight(
            self._watch, Links(self._looking), Addresses(self._looking), self._speaker.news, self._unseen
        )
        self._port = Port(runtime / "speaker.sock", self._speaker)

    async def run(self) -> None:
        """From the first look at the kernel to the last address that is removed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._speaker.stopping.set)
        # A reload is the director's; whoever signals every process of this name does not mean to end one.
        self._loop.add_signal_handler(signal.SIGHUP, lambda: None)
        self._loop.add_reader(self._watch.fileno(), self._sight.read)
        await self._sight.look()
        async with asyncio.TaskGroup() as tasks:
            eternal = [
                tasks.create_task(self._speaker.news.node.leases.run(), name="leases"),
                tasks.create_task(self._speaker.run(), name="grace"),
                tasks.create_task(self._sight.run(), name="sight"),
                tasks.create_task(self._speaker.news.node.directing.run(), name="directing"),
                tasks.create_task(self._beat(), name="beat"),
                tasks.create_task(self._collect(), name="collect"),
            ]
            self._begin()
            self._port.open()
            # Not before: a speaker that was killed has an advert to send.
            self._privilege()
            await self._speaker.stopping.wait()
            await self._speaker.end()
            for task in eternal:
                task.cancel()
        self._close()

    # --- voice ---------------------------------------------------------------------------------

    def send(self, report: Report) -> None:
        """To the director, where there is one."""
        self._port.send(report)

    def say(self, event: str, **fields: object) -> None:
        """To the director, which logs it; without one, to the log."""
        if self._port.connected:
            self._port.send(Event(event=event, fields=fields))
        else:
            log(event, **fields)

    def hang_up(self) -> None:
        """Let the director go, so that it comes again."""
        self._port.hang_up()

    # --- parts ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Go on where a process before this one was killed, or start anew."""
        try:
            found = self._files.load()
        except StateError as error:
            log("state.discarded", file="speaker.json", error=str(error))
            found = None
        if found is None:
            self._speaker.begin()
        else:
            self._speaker.resume(found)

    def _privilege(self) -> None:
        realtime.protect()
        why = realtime.lock_memory()
        self._speaker.locked = not why
        if why:
            self.say("speaker.hindered", interface=None, error=why)
        realtime.calm()

    def _unseen(self, error: KernelError) -> None:
        self.say(
            "speaker.hindered", interface=None, error=f"changes were missed, and cannot be seen: {error}"
        )

    async def _beat(self) -> None:
        while True:
            if self._pipe is not None:
                # A parent that does not read is not worth waiting for; one that is gone ends us by a signal.
                with contextlib.suppress(OSError):
                    os.write(self._pipe, b"beat\n")
            await asyncio.sleep(BEAT)

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(COLLECT)
            realtime.collect()

    def _close(self) -> None:
        self._port.close()
        self._loop.remove_reader(self._watch.fileno())
        node = self._speaker.news.node
        for part in (node.sockets, node.conflicts, self._watch, self._announcer):
            part.close()
        for netlink in (self._changing, self._looking):
            netlink.close()


def _netlink() -> Netlink:
    return Netlink.open(NETLINK_ROUTE, timeout=10.0)


async def _alone(runtime: Path) -> IO[bytes]:
    """The lock on a runtime directory. Raises UnavailableError while another speaker has it."""
    try:
        async with asyncio.timeout(PREDECESSOR):
            # Nobody tells when it is free.
            while (lock := take(runtime / "speaker.lock")) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return lock
    except TimeoutError:
        raise UnavailableError(f"another speaker runs in {runtime}: stop it first") from None
