"""Tell the neighbours where addresses are now: a burst at once, another a little later, then refreshes.

Every address is announced once before any is announced twice, so that with many of them the
last one does not wait for the repeats of the first. At most `BATCH` frames go out before the
event loop has its turn, and where an interval is set, one frame per interval and interface.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from lvsha.speaker.spec import Garp
from lvsha.wire.announce import Announcer, announcement

Address = IPv4Address | IPv6Address

BATCH = 64
ECHO = 0.1
"""Seconds within which a network that returns frames to their sender has done so."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address and where its neighbours are to find it."""

    address: Address
    interface: str
    mac: bytes
    router: bool = False
    """Whether the machine forwards there. Who hears that a router is none drops its routes by it."""


@dataclass(slots=True)
class _Owner:
    garp: Garp
    targets: list[Target]
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


@dataclass(slots=True)
class _Lane:
    """What waits to be sent on one interface."""

    rounds: list[deque[tuple[_Owner, bytes]]] = field(default_factory=list)
    """First announcements, second ones and so on: addresses come in several goes, and so do their bursts."""
    free_at: float = 0.0
    spoke_at: float = float("-inf")
    busy: bool = False


class Announcements:
    """The announcements of all owners."""

    def __init__(
        self, announcer: Announcer, failed: Callable[[str, OSError], None], waking: Callable[[], None]
    ) -> None:
        """`failed` is called with an interface on which a frame could not be sent.

        `waking` is called before anything is sent that has waited: a process that was frozen meanwhile may
        have lost the addresses to another, whom its neighbours are not to forget.
        """
        self._waking = waking
        self._announcer = announcer
        self._failed = failed
        self._owners: dict[str, _Owner] = {}
        self._lanes: dict[str, _Lane] = {}
        self.sent = 0

    def begin(self, name: str, targets: Sequence[Target], garp: Garp) -> None:
        """These addresses are here now, beside those that the owner has announced already."""
        owner = self._owners.setdefault(name, _Owner(garp, []))
        owner.garp = garp
        fresh = [target for target in targets if target.address.packed]
        known = {(target.address, target.interface) for target in fresh}
        owner.targets = [t for t in owner.targets if (t.address, t.interface) not in known] + fresh
        self._burst(owner, fresh)
        loop = asyncio.get_running_loop()
        self._cancel(owner)
        if garp.delay and garp.repeat:
            owner.timers.append(loop.call_later(garp.delay, self._later, owner))
        if garp.refresh:
            owner.timers.append(loop.call_later(garp.refresh, self._refresh, owner))

    def again(self, name: str) -> None:
        """Somebody else claimed the owner's addresses: announce them once more, and once more later."""
        owner = self._owners.get(name)
        if owner is not None:
            self.begin(name, list(owner.targets), owner.garp)

    def end(self, name: str) -> None:
        """The owner's addresses are here no more; what still waits is not sent."""
        owner = self._owners.pop(name, None)
        if owner is not None:
            self._cancel(owner)
            owner.targets = []

    def spoke(self, interface: str) -> bool:
        """Whether something was announced on an interface just now."""
        lane = self._lanes.get(interface)
        return lane is not None and asyncio.get_running_loop().time() - lane.spoke_at < ECHO

    def _cancel(self, owner: _Owner) -> None:
        for timer in owner.timers:
            timer.cancel()
        owner.timers.clear()

    def _later(self, owner: _Owner) -> None:
        self._waking()
        self._burst(owner, owner.targets)

    def _refresh(self, owner: _Owner) -> None:
        self._waking()
        if not owner.targets:
            return
        self._queue(owner, owner.targets, 1)
        timer = asyncio.get_running_loop().call_later(owner.garp.refresh, self._refresh, owner)
        owner.timers = [*[t for t in owner.timers if t.when() > asyncio.get_running_loop().time()], timer]

    def _burst(self, owner: _Owner, targets: Sequence[Target]) -> None:
        self._queue(owner, targets, owner.garp.repeat)

    def _queue(self, owner: _Owner, targets: Sequence[Target], repeat: int) -> None:
        frames = [
            (t.interface, announcement(t.address, t.mac, router=t.router)) for t in targets if len(t.mac) == 6
        ]
        for interface, frame in frames:
            lane = self._lanes.setdefault(interface, _Lane())
            lane.rounds += [deque() for _ in range(repeat - len(lane.rounds))]
            for waiting in lane.rounds[:repeat]:
                waiting.append((owner, frame))
        for interface in {interface for interface, _ in frames}:
            lane = self._lanes.setdefault(interface, _Lane())
            if not lane.busy:
                self._drain(interface, lane)

    def _drain(self, interface: str, lane: _Lane) -> None:
        """Send what may be sent now, and come back for the rest."""
        loop = asyncio.get_running_loop()
        for _ in range(BATCH):
            waiting = next(filter(None, lane.rounds), None)
            if not waiting or lane.free_at > loop.time():
                break
            owner, frame = waiting.popleft()
            # An owner without targets has ended since.
            if owner.targets:
                self._send(interface, frame)
                lane.spoke_at = loop.time()
                lane.free_at = lane.spoke_at + owner.garp.interval
        lane.busy = any(lane.rounds)
        if lane.busy:
            loop.call_at(max(lane.free_at, loop.time()), self._go_on, interface, lane)

    def _go_on(self, interface: str, lane: _Lane) -> None:
        self._waking()
        self._drain(interface, lane)

    def _send(self, interface: str, frame: bytes) -> None:
        try:
            self._announcer.send(interface, frame)
            self.sent += 1
        except OSError as error:
            self._failed(interface, error)
