"""A program must end with status 0. How it is run, and as whom, `lvsha.program` says."""

from __future__ import annotations

import asyncio

from lvsha import program
from lvsha.program import Program
from lvsha.speaker.spec import ScriptTracker
from lvsha.speaker.trackers.base import Streak, Tell, standing


async def watch(tracker: ScriptTracker, tell: Tell) -> None:
    """Run the program again and again, and tell what changed, for ever."""
    loop = asyncio.get_running_loop()
    streak, before = Streak(tracker.rise, tracker.fall), None
    what = Program(command=tracker.command, user=tracker.user, timeout=tracker.timeout)
    while True:
        begun = loop.time()
        result = await program.run(what)
        ok = streak.observe(result.ok)
        if ok != before:
            before = ok
            tell(standing(ok, tracker.weight, result.detail))
        await asyncio.sleep(max(0.0, begun + tracker.interval - loop.time()))
