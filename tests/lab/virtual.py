"""An event loop in virtual time: whoever waits for a timer gets it at once, and to the very moment.

    @in_virtual_time
    async def test_a_day_passes() -> None:
        await asyncio.sleep(86_400)

When nothing is ready and the next timer is `timeout` away, the clock is moved on by that. For tests of what
waits for timers and for nothing else: a socket, a thread or a program would find its hour long past.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Hurried(selectors.SelectSelector):
    """Never sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready already; if nothing is, the time passes that would have been waited for."""
        ready = super().select(0)
        if not ready and timeout is not None:
            self.now += max(timeout, 0.0)
        elif not ready:
            raise AssertionError("waits for ever: nothing is ready and there is no timer")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on that clock, which begins at 0."""

    def __init__(self) -> None:
        self._hurried = _Hurried()
        super().__init__(self._hurried)
        # Sums of intervals differ from their timers by less.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since the loop was made, as far as its timers know."""
        return self._hurried.now

    def spend(self, seconds: float) -> None:
        """Let so much time pass in which the loop does not turn: somebody has the processor."""
        self._hurried.now += seconds


def spend(seconds: float) -> None:
    """Let so much time pass on the running loop, which is a virtual one, without its turning."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.spend(seconds)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test (its fixtures are not asynchronous) on such a loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
