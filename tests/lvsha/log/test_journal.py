"""The ring of events and its subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from lvsha.log import Journal, emit, listening
from lvsha.log.record import Record


def filled(count: int, size: int = 100) -> Journal:
    """A journal that has heard so many events, their number in `seconds`."""
    journal = Journal(size)
    for number in range(1, count + 1):
        journal.append({"event": "daemon.stopped", "seconds": number})
    return journal


async def take(stream: AsyncIterator[Record], count: int) -> list[Record]:
    """The next so many records."""
    async with asyncio.timeout(5):
        return [await anext(stream) for _ in range(count)]


def numbers(records: list[Record]) -> list[int]:
    """The sequence numbers."""
    return [record["seq"] for record in records]


async def test_all_that_is_kept() -> None:
    """since=0 gives all that is kept, numbered from 1."""
    records = await take(filled(3).subscribe(0), 3)
    assert [(r["seq"], r["seconds"]) for r in records] == [(1, 1), (2, 2), (3, 3)]


async def test_after_a_number() -> None:
    """since=N goes on after N, so that a follower who comes back misses nothing."""
    assert numbers(await take(filled(5).subscribe(3), 2)) == [4, 5]


async def test_only_what_comes() -> None:
    """Without `since` only later events come, as they are emitted."""
    journal = filled(3)
    stream = journal.subscribe()
    waiting = asyncio.create_task(take(stream, 2))
    await asyncio.sleep(0)
    with listening(journal.append):
        emit("daemon.stopping", why="test")
        emit("daemon.stopped", seconds=0.1)
    assert [(r["seq"], r["event"]) for r in await waiting] == [(4, "daemon.stopping"), (5, "daemon.stopped")]


async def test_number_from_another_life() -> None:
    """A number that lies ahead was given by a process that is gone: everything kept follows."""
    assert numbers(await take(filled(2).subscribe(900), 2)) == [1, 2]


async def test_slow_subscriber_is_told() -> None:
    """One that fell behind the ring is told how many it missed, and goes on with the oldest kept."""
    journal = filled(10, size=4)
    stream = journal.subscribe(0)
    first = (await take(stream, 1))[0]
    assert (first["event"], first["count"], first["seq"]) == ("events.missed", 6, 6)
    assert numbers(await take(stream, 2)) == [7, 8]
    for number in range(20):
        journal.append({"event": "daemon.stopped", "seconds": number})
    late = (await take(stream, 1))[0]
    assert (late["event"], late["count"]) == ("events.missed", 30 - 4 - 8)
    assert numbers(await take(stream, 4)) == [27, 28, 29, 30]


async def test_ring_moves_while_the_loss_is_told() -> None:
    """Events that are lost while a subscriber holds the news of a loss are told as well."""
    journal = filled(10, size=4)
    stream = journal.subscribe(0)
    await take(stream, 1)
    for number in range(3):
        journal.append({"event": "daemon.stopped", "seconds": number})
    second = (await take(stream, 1))[0]
    assert (second["event"], second["count"]) == ("events.missed", 3)
    assert numbers(await take(stream, 1)) == [10]


async def test_two_subscribers() -> None:
    """Subscribers do not take from one another."""
    journal = filled(2)
    one, two = journal.subscribe(0), journal.subscribe(0)
    assert numbers(await take(one, 2)) == numbers(await take(two, 2)) == [1, 2]


def test_kept() -> None:
    """What is kept can be read at once."""
    assert numbers(filled(10, size=4).kept()) == [7, 8, 9, 10]
    assert numbers(filled(10, size=4).kept(since=9)) == [10]
