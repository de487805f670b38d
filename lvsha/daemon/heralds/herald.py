"""One program of `[notify]`, which is told of changes one after another.

It never runs twice at once. While it runs, the changes of each subject wait for it as one: the latest,
with the number of those that it stands for. So the last state is always told, a program that is slow
is never behind by more than one run for each subject, and one that hangs holds up nobody but itself,
and that for `timeout` seconds.

The state's own command comes first, as it is written, then `command`, with what happened as
further arguments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from lvsha import program
from lvsha.config import NotifyConfig
from lvsha.daemon.heralds.change import STATES, Change, Kind, Subject
from lvsha.log import emit
from lvsha.program import Program, Result
from lvsha.speaker.messages import State

Run = Callable[[Program], Awaitable[Result]]


class Herald:
    """Runs one program for the changes of its subjects, in order."""

    def __init__(self, config: NotifyConfig, run: Run = program.run) -> None:
        self.config: NotifyConfig | None = config
        """None: it is to end, with what runs now."""
        self.ended = False
        self._run = run
        self._waiting: dict[Subject, Change] = {}
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def tell(self, change: Change) -> None:
        """Have it told of a change, now or after what it is being told."""
        earlier = self._waiting.pop(change.subject, None)
        if earlier is not None:
            change = replace(change, joined=earlier.joined + 1)
        self._waiting[change.subject] = change
        self._idle.clear()
        self._more.set()

    def engage(self, config: NotifyConfig) -> None:
        """It is another program from now on; what runs comes to its end first."""
        self.config = config
        self._waiting.clear()

    def dismiss(self) -> None:
        """Tell it nothing more; what runs comes to its end."""
        self.config = None
        self._waiting.clear()
        self._more.set()

    async def idle(self) -> None:
        """Return once everything has been told."""
        await self._idle.wait()

    async def run(self) -> None:
        """Tell what there is to tell, until it is dismissed."""
        while self.config is not None:
            if not self._waiting:
                self._idle.set()
                self._more.clear()
                await self._more.wait()
                continue
            change = self._waiting.pop(next(iter(self._waiting)))
            await self._tell(self.config, change)
        self.ended = True
        self._idle.set()

    async def _tell(self, config: NotifyConfig, change: Change) -> None:
        begun = time.monotonic()
        results: list[Result] = []
        try:
            for command in commands(config, change):
                result = await self._once(config, command, change)
                results.append(result)
        except asyncio.CancelledError:
            results.append(Result(ok=False, detail="was killed, for the director ends"))
            raise
        finally:
            self._report(config, change, results, time.monotonic() - begun)

    @staticmethod
    def _report(config: NotifyConfig, change: Change, results: Sequence[Result], seconds: float) -> None:
        if not results:
            return
        failed = [result.detail for result in results if not result.ok]
        emit(
            "notify.failed" if failed else "notify.done",
            notify=config.name,
            about=str(change.subject),
            state=STATES[change.state].lower(),
            joined=change.joined,
            seconds=round(seconds, 3),
            detail="; ".join(failed) or results[-1].detail,
        )

    async def _once(self, config: NotifyConfig, command: tuple[str, ...], change: Change) -> Result:
        environment = change.environment()
        return await self._run(
            Program(command=command, user=config.user, timeout=config.timeout, environment=environment)
        )


def commands(config: NotifyConfig, change: Change) -> Iterator[tuple[str, ...]]:
    """What is run for a change."""
    own = {
        State.MASTER: config.master,
        State.BACKUP: config.backup,
        State.FAULT: config.fault,
        State.INIT: config.stop,
    }[change.state]
    if own:
        yield own
    if config.command:
        yield (*config.command, *change.arguments())


def subjects(config: NotifyConfig, node: str) -> list[Subject]:
    """Whose changes a program is told."""
    if not config.instances and not config.groups:
        return [Subject(Kind.DIRECTOR, node)]
    instances = [Subject(Kind.INSTANCE, name) for name in config.instances]
    return instances + [Subject(Kind.GROUP, name) for name in config.groups]
