"""The speaker's event loop: asyncio's, with timers that fire when they are due.

asyncio rounds every wait up to a millisecond, because epoll counts in milliseconds; of a 10 ms
interval that is a tenth. Here a wait ends by a timerfd, which the kernel fires to the
microsecond. And the clock is CLOCK_BOOTTIME, which goes on while the machine sleeps, as the
clocks of its peers do, and which a speaker that is started again shares with the one that died.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import selectors
import time
from typing import Final

_NANOSECONDS = 1_000_000_000
_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)

CLOCK: Final = time.CLOCK_BOOTTIME


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def clock() -> float:
    """Seconds since the machine started, those that it slept included."""
    return time.clock_gettime(CLOCK)


class PreciseSelector(selectors.EpollSelector):
    """epoll whose timeout is a timerfd."""

    def __init__(self) -> None:
        super().__init__()
        # timerfd_create(2); Python has it from 3.13 on.
        self._timer = _libc.timerfd_create(CLOCK, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._timer < 0:
            number = ctypes.get_errno()
            super().close()
            raise OSError(number, os.strerror(number), "timerfd_create")
        self._spec = _Itimerspec()
        self._armed = ctypes.byref(self._spec)
        self.register(self._timer, selectors.EVENT_READ)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, for at most `timeout` seconds, to the microsecond."""
        if timeout is not None and timeout <= 0:
            return self._ready(0)
        self._arm(0 if timeout is None else max(1, int(timeout * _NANOSECONDS)))
        return self._ready(None)

    def close(self) -> None:
        """Close epoll and the timer."""
        super().close()
        if self._timer >= 0:
            os.close(self._timer)
            self._timer = -1

    def _arm(self, nanoseconds: int) -> None:
        """Fire after so long, 0: not at all. One that has fired stays readable until it is set again."""
        self._spec.value.seconds, self._spec.value.nanoseconds = divmod(nanoseconds, _NANOSECONDS)
        _libc.timerfd_settime(self._timer, 0, self._armed, None)

    def _ready(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        return [event for event in super().select(timeout) if event[0].fd != self._timer]


class SpeakerLoop(asyncio.SelectorEventLoop):
    """asyncio on that selector and that clock."""

    def __init__(self) -> None:
        super().__init__(PreciseSelector())
        # The resolution lets timers that are due at nearly one moment go together.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """The time of every deadline, in seconds."""
        return time.clock_gettime(CLOCK)
