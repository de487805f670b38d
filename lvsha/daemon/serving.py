"""Where the directors are real servers as well: when IPVS may be filled after a boot.

The setting by which only the master's IPVS directs (`lvsha.speaker.directing`) comes with the module, and
is 0 then. A table that is filled before the speaker has written it would direct at once, on a node that is
not master, whatever the master directs to it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from lvsha.kernel.sysctl import SysctlError, read
from lvsha.speaker.directing import SETTING

PATIENCE = 5.0
"""Seconds after which the table is filled all the same: without a speaker this node serves nobody else."""
LOOK = 0.02


async def settled(master: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Return when IPVS directs nothing here, or this node is `master`, but after `patience` at the latest."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not (master() or _still()):  # noqa: ASYNC110 - the kernel tells nobody of a setting
                await asyncio.sleep(LOOK)


def _still() -> bool:
    try:
        return read(SETTING) == "1"
    except SysctlError:
        return False
