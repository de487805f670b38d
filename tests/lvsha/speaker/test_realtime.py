"""What a running speaker is to the kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.speaker import HIGH, Pair

OURS = Path("/proc/self")

pytestmark = pytest.mark.net


async def test_a_speaker_is_scheduled_first_and_kept_in_memory(pair: Pair) -> None:
    """SCHED_FIFO for its threads, not for its children; memory locked, last to be killed; and it says so."""
    lb1, _ = pair
    await lb1.configure(HIGH)
    policy = os.sched_getscheduler(lb1.pid)
    assert policy == os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    proc = Path(f"/proc/{lb1.pid}")
    threads = [int(thread.name) for thread in (proc / "task").iterdir()]
    assert len(threads) > 1
    assert {os.sched_getscheduler(thread) for thread in threads} == {policy}
    locked = re.search(r"VmLck:\s+(\d+) kB", (proc / "status").read_text())
    assert locked is not None
    assert int(locked[1]) > 1000
    # CAP_SYS_RESOURCE is number 24; without it the kernel lets nobody be better protected than before.
    capabilities = re.search(r"CapEff:\s+(\w+)", (proc / "status").read_text())
    assert capabilities is not None
    ours = (OURS / "oom_score_adj").read_text()
    protected = "-1000" if int(capabilities[1], 16) >> 24 & 1 else ours
    assert (proc / "oom_score_adj").read_text().strip() == protected.strip()
    report = await lb1.report()
    assert (report.realtime, report.locked) == (True, True)


def test_every_thread_has_the_priority_that_the_process_has() -> None:
    """One that is there when it is asked for, one that comes later, and each of them when it ends."""
    code = """
import os
from lvsha.speaker import realtime
def policy(executor):
    return executor.submit(os.sched_getscheduler, 0).result() & ~os.SCHED_RESET_ON_FORK
early = realtime.threads()
print(policy(early))
assert realtime.schedule() == ""
print(policy(early), policy(realtime.threads()))
realtime.unschedule()
print(policy(early), policy(realtime.threads()))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(n) for n in (os.SCHED_OTHER, *[os.SCHED_FIFO] * 2, *[os.SCHED_OTHER] * 2)]
