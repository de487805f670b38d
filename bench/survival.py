"""How many established flows outlive a failover, in every mode, and how long the longest waits.

    python -m tests.lab.inside bench.survival [--flows 1000] [--protocol udp] [--family 6] [--mode nat ...]

A pair of directors with the kernel's connection sync, real servers, and a client that holds flows, using each
every few seconds: TCP connections, or for UDP ports from which it asks. Four things happen one after the
other: a planned failover, the way back, the master's death (killed, and its cables cut), and its return from
a reboot, with pre-emption. A flow is alive when it is answered again by the server that it had, which sees it
under the address and port that it had; the longest pause is the longest that any use waited for its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import shutil
import sys
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.flows import Fate
from tests.lab.modes import MODES, PORT, Case, Mode, Pace, Site, site

PACE = Pace(interval=0.5, check=2.0, preempt=True)
USE = {"period": 3.0, "again": 0.5, "patience": 40.0}
"""Seconds between two uses of a flow, until a datagram is repeated, and until a flow counts as dead."""


async def story(mode: Mode, case: Case, count: int, directory: Path) -> None:
    """All four things, a line each."""
    async with site(mode, directory, PACE, **USE) as s:
        await s.flows.hold(str(case), case.vip, PORT, case.transport, count)
        await s.synced(s.lb2)
        await told(s, case, "planned failover", s.hand_over(s.lb1, s.lb2, release=False))
        await s.synced(s.lb1)
        await told(s, case, "and back", back(s))
        await s.synced(s.lb2)
        await told(s, case, "the master dies", s.crash(s.lb1, s.lb2))
        await told(s, case, "it returns and pre-empts", returned(s))


async def back(s: Site) -> None:
    """The better node may be master again."""
    mark = await s.lb1.mark()
    result = await s.lb1.cli("release", within=60)
    assert result.status == 0, result
    await s.lb1.event("role.changed", since=mark, role="master")


async def returned(s: Site) -> None:
    """Lb1's machine is started again, knows nothing, and becomes master when it does."""
    s.net.reboot("lb1")
    shutil.rmtree(s.lb1.directory / "run")
    process = await s.lb1.start()
    await process.event("role.changed", role="master", within=120)


async def told(s: Site, case: Case, what: str, happening: Awaitable[None]) -> None:
    """Let it happen, and say what became of the flows."""
    await s.flows.mark()
    await happening
    fate = sum((await s.flows.settle(within=90)).values(), Fate())
    came = f"{fate.alive:5} of {fate.count}   longest pause {fate.pause:6.2f} s"
    lost = [f"{fate.moved} moved"] * bool(fate.moved) + [f"{n} {how}" for how, n in fate.ended.items()]
    line = f"{s.mode:8} {case}  {what:26} {came}   {', '.join(lost)}"
    print(line.rstrip(), file=sys.stderr, flush=True)


def main() -> None:
    """Measure every mode asked for."""
    parser = argparse.ArgumentParser(description="How many flows outlive a failover.")
    parser.add_argument("--flows", type=int, default=1000)
    parser.add_argument("--protocol", choices=["tcp", "udp"], default="tcp")
    parser.add_argument("--family", type=int, choices=[4, 6], default=4)
    parser.add_argument("--mode", action="append", choices=MODES)
    options = parser.parse_args()
    case = Case(options.protocol, options.family)
    print(f"kernel {os.uname().release}, {options.flows} flows, {case}", file=sys.stderr, flush=True)
    for mode in options.mode or MODES:
        said = io.StringIO()
        try:
            with TemporaryDirectory() as directory, contextlib.redirect_stdout(said):
                asyncio.run(story(mode, case, options.flows, Path(directory)))
        except BaseException:
            print(said.getvalue(), file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
