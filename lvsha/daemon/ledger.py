"""Kernel settings that are written only once it is on disk what they were, and that go back to it.

A setting goes back when nothing needs it any more, if it still has the value that lvsha wrote: what somebody
has set since is theirs. It does not go back at once: the connections of a mode that a reload has ended are
still in IPVS, which keeps a silent one for a quarter of an hour. An end of lvsha puts nothing back, for the
kernel goes on serving.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from lvsha.daemon.memory import Memory
from lvsha.daemon.record import Entry, Record, here
from lvsha.errors import StateError
from lvsha.kernel.sysctl import Settled, Sysctl, SysctlError, read

LINGER = 900.0
"""Seconds that a setting stays after its need has gone: what IPVS keeps a silent TCP connection
(IP_VS_TCP_S_ESTABLISHED in net/netfilter/ipvs/ip_vs_proto_tcp.c)."""


class Ledger:
    """The settings of this network namespace that lvsha has changed."""

    def __init__(self, memory: Memory, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._clock = clock
        self._place = here()
        record = memory.sysctls()
        known = record.entries if record.place == self._place else ()
        self._entries = {entry.name: entry for entry in known}
        self._recorded = known
        """What is on disk and of this place."""
        self._idle: dict[str, float] = {}
        """Since when a setting is not needed, by its name."""
        self._sysctl = Sysctl()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What lvsha has changed and not put back."""
        return tuple(self._entries.values())

    def settle(self, wanted: Mapping[str, str | int], *, need: str = "") -> Settled:
        """Bring settings to these values, each for itself or all for one need."""
        entries = (_changed(name, " ".join(str(value).split()), need) for name, value in wanted.items())
        self.note(entry for entry in entries if entry is not None)
        return self._sysctl.settle(wanted)

    def note(self, entries: Iterable[Entry]) -> None:
        """Record what is about to change."""
        for new in entries:
            entry, old = new, self._entries.get(new.name)
            # What is there is lvsha's own doing, or it is somebody's who came after lvsha, unless that one
            # has touched another setting, which the kernel let this one follow.
            if old is not None and (old.after == entry.before or entry.need != entry.name):
                entry = replace(entry, before=old.before)
            self._entries[entry.name] = entry
        self._keep()

    def put_back(self, needed: Collection[str]) -> Settled:
        """Put back what has not been needed for long enough. Where it fails it is tried again next time."""
        due = [entry for entry in self._entries.values() if self._due(entry, needed)]
        # What a write has changed besides comes after it, or it would change it once more.
        due.sort(key=lambda entry: entry.need != entry.name)
        settled = self._sysctl.settle({e.name: e.before for e in due if _value(e.name) == e.after})
        failed = {failure.name for failure in settled.failures}
        for name in {entry.name for entry in due} - failed:
            del self._entries[name], self._idle[name]
        self._keep()
        return settled

    def _due(self, entry: Entry, needed: Collection[str]) -> bool:
        if entry.need in needed:
            self._idle.pop(entry.name, None)
            return False
        now = self._clock()
        return now - self._idle.setdefault(entry.name, now) >= LINGER

    def _keep(self) -> None:
        """Where it cannot be recorded it is known until the next start, and tried again at the next look."""
        if self.entries != self._recorded:
            with contextlib.suppress(StateError):
                self._memory.keep_sysctls(Record(self._place, self.entries))
                self._recorded = self.entries


def _changed(name: str, value: str, need: str) -> Entry | None:
    """What a setting's write will change; None for one that is right, or that there is not."""
    there = _value(name)
    return None if there in (None, value) else Entry(name, str(there), value, need or name)


def _value(name: str) -> str | None:
    with contextlib.suppress(SysctlError):
        return read(name)
    return None
