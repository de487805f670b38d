"""Connections that nothing has been heard of for a while, by the time that their entries have left.

A packet starts an entry's timer anew, and so does each word of sync about it (ip_vs_proc_conn() in
net/netfilter/ipvs/ip_vs_sync.c), with the timeout of established connections. So an entry with less left than
that timeout and the seconds since some moment was not touched since. The table is read in a thread: a million
connections take seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from lvsha.errors import KernelError
from lvsha.kernel.ipvs.connections import PATH, Connection, connections
from lvsha.model import Observed

Untouched = Callable[[float], Awaitable[int]]
"""How many established connections nothing has touched for so many seconds."""


async def unseen(_: float) -> int:
    """One that sees none."""
    return 0


def reader(see: Callable[[], Awaitable[Observed]], path: Path = PATH) -> Untouched:
    """Counts in the kernel's table; 0 where it cannot be read."""

    async def count(seconds: float) -> int:
        try:
            timeout = (await see()).timeouts.tcp
            return await asyncio.to_thread(lambda: untouched(connections(path), timeout, seconds))
        except KernelError:
            return 0

    return count


def untouched(found: Iterable[Connection], timeout: int, seconds: float) -> int:
    """How many of these; `timeout` is that of established connections."""
    # Whole seconds are shown: one that may have been touched in this one counts as touched.
    least = timeout - seconds - 1
    return sum(one.state == "ESTABLISHED" and one.expires < least for one in found)
