"""Whether this machine's IPVS directs, where the directors are real servers as well.

Such a pair has the services' addresses on `lo` of both machines, and IPVS programmed on both. What the
master directs to the other one would be directed once more there, often back, and so in circles until its
TTL is used up. The kernel has a setting for that: with `net.ipv4.vs.backup_only` at 1 IPVS directs nothing
while the backup role of connection sync runs (sysctl_backup_only() in include/net/ip_vs.h, asked by
ip_vs_in_hook()). Both roles run on both machines all the time, so it is the setting that follows the
election: 0 on the master, 1 on everybody else.

**When.** With the address on `lo` the machine takes packets for its own stack whether the speaker holds the
address or not, and the stack answers a connection that it does not know, another server's, with a reset. So
0 is written before an address is put. And 1 not when the addresses are gone, but when nobody sends packets
here any more: once a new master has been heard to announce all that was held here. Until then this machine
goes on directing what strays here; only a connection that begins in that moment, by way of the new master,
may be directed twice. Announcements are waited for while there are any, where adverts of a new master are
heard, and where none are, for this node may be cut off, until a peer has taken over for certain.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from lvsha.kernel.sysctl import Settled

Address = IPv4Address | IPv6Address
Held = Mapping[str, frozenset[Address]]
"""Addresses by interface."""

SETTING = "net.ipv4.vs.backup_only"
WAY = 0.05
"""Seconds that a packet may have been on its way when its sender was told of the new master."""
SETTLE = 1.0
"""Seconds from a new master's advert, or from one of its announcements, to the next announcement."""
LOOK = 1.0
"""Seconds between two looks at what somebody else may have written, ..."""
AGAIN = 0.1
"""... and while it cannot be written: the setting comes with the module, which another process loads."""
TRIES = 20
"""After so many that is told."""
LONGEST = 3.0
"""Seconds that the end of the process is put off at most; its parent has patience for five."""


class Writer(Protocol):
    """What is used of `lvsha.kernel.sysctl.Sysctl`."""

    def settle(self, wanted: Mapping[str, str | int]) -> Settled:
        """Bring settings to these values."""


class Directing:
    """Keeps the setting as the election wants it, where it is asked to."""

    def __init__(self, writer: Writer, say: Callable[..., None], expect: Callable[[Held], None]) -> None:
        """`expect` is called with the addresses whose announcements are to be told by `announced`."""
        self._writer = writer
        self._say = say
        self._expect = expect
        self._serves = False
        self._masters: set[str] = set()
        self._leaving: asyncio.TimerHandle | None = None
        """Not master any more, and still directing."""
        self._heard = False
        self._awaited: set[Address] = set()
        self._left = asyncio.Event()
        self._failures = 0
        """Tries in a row that could not write it."""
        self._told = False

    def serve(self, *, on: bool) -> None:
        """Whether the directors are servers.

        What follows from it is written when a group says where it stands, or with `look`: a process that goes
        on as master must not stop directing on the way. Where they are servers no more, it directs at once.
        """
        before, self._serves = self._serves, on
        if before and not on:
            self._write(0)

    def began(self, group: str) -> None:
        """A group is master; its addresses are not here yet."""
        self._masters.add(group)
        self._stay()
        self._settle(aloud=True)

    def ended(self, group: str, held: Held, patience: float) -> None:
        """A group is not master, and was perhaps, with these addresses.

        `patience`: seconds after which a peer has taken over, heard or not.
        """
        was = group in self._masters
        self._masters.discard(group)
        if was and not self._masters and self._serves:
            self._heard = False
            self._awaited = {address for addresses in held.values() for address in addresses}
            self._left.clear()
            self._leave(patience)
            self._expect(held)
        self._settle()

    def heard(self) -> None:
        """Another node was heard as master."""
        if self._leaving is not None and not self._heard:
            self._heard = True
            self._leave(SETTLE)

    def announced(self, address: Address) -> None:
        """Another node has announced an address as its own."""
        if self._leaving is not None and address in self._awaited:
            self._awaited.discard(address)
            self._leave(SETTLE if self._awaited else WAY)

    def look(self) -> None:
        """Write it where it is not as it should be."""
        self._settle()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(AGAIN if self._failures else LOOK)
            self.look()

    async def left(self) -> None:
        """Wait until it directs no more, but not for long: this process is about to end."""
        if self._leaving is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST):
                    await self._left.wait()
            self._rest()

    def _leave(self, seconds: float) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = asyncio.get_running_loop().call_later(seconds, self._rest)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
            self._left.set()
            self._expect({})

    def _rest(self) -> None:
        self._stay()
        self._settle()

    def _settle(self, *, aloud: bool = False) -> None:
        if self._serves:
            directs = self._masters or self._leaving is not None
            self._write(0 if directs else 1, aloud=aloud)

    def _write(self, value: int, *, aloud: bool = False) -> None:
        settled = self._writer.settle({SETTING: value})
        for change in settled.changes:
            self._say("sysctl.changed", name=change.name, before=change.before, after=change.after)
        self._failures = self._failures + 1 if settled.failures else 0
        self._told &= bool(settled.failures)
        if not self._told and (aloud or self._failures > TRIES):
            for failure in settled.failures:
                self._told = True
                self._say("sysctl.failed", name=failure.name, value=str(value), error=str(failure))
