"""What takes long to build is kept for the next test, as long as each leaves it as it found it.

    kept = Kept(lambda: fullnat.site(directory, CONFIG), condition)
    async with kept.lent() as site:         # one test
        ...
    async with kept.lent() as site:         # the next one: the same site, or a new one
        ...
    await kept.close()

`condition` tells all that a test may change, as anything that can be compared. A test that puts things back
saves the next one the building; one that does not costs it nothing but that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Kept(Generic[Thing]):
    """At most one thing, built when it is asked for. All of it in one event loop."""

    def __init__(
        self,
        build: Callable[[], AbstractAsyncContextManager[Thing]],
        condition: Callable[[Thing], Awaitable[object]],
    ) -> None:
        self._build = build
        self._condition = condition
        self._stack = AsyncExitStack()
        self._there: tuple[Thing, object] | None = None
        """The thing, and its condition when it was new."""

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Thing]:
        """The thing, for as long as the block runs; taken down after it unless it is as it was."""
        if self._there is None:
            thing = await self._stack.enter_async_context(self._build())
            self._there = thing, await self._condition(thing)
        thing, before = self._there
        yield thing
        if not await self._is(thing, before):
            await self.close()

    async def close(self) -> None:
        """Take it down, if there is one."""
        self._there = None
        await self._stack.aclose()

    async def _is(self, thing: Thing, before: object) -> bool:
        try:
            return await self._condition(thing) == before
        except Exception:  # noqa: BLE001 - what cannot even be asked is not as it was
            return False
