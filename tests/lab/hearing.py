"""Events of the process that a test runs in: kept, and waited for."""

from __future__ import annotations

import asyncio
from typing import Any


class Hearing(list[dict[str, Any]]):
    """The events so far, in order; a listener for `lvsha.log.listening`."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, record: dict[str, Any]) -> None:
        """Hear one event."""
        self.append(record)
        self._news.set()

    def all(self, name: str) -> list[dict[str, Any]]:
        """The events of a name so far."""
        return [e for e in self if e["event"] == name]

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first event of a name with these fields: heard already, or waited for."""
        async with asyncio.timeout(10):
            while not (found := [e for e in self.all(name) if fields.items() <= e.items()]):
                self._news.clear()
                await self._news.wait()
        return found[0]
