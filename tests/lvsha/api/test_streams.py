"""Streams of events before clients that read, stop reading, and go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

import lvsha.api.streams
from lvsha.api.streams import waiting
from lvsha.log import Journal
from tests.lab.control import Director


def say(director: Director, number: int, text: str = "") -> None:
    """An event with a number in it."""
    director.journal.append({"event": "daemon.stopped", "seconds": number, "why": text})


async def test_heartbeat(client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing happens, empty lines tell that the stream lives."""
    monkeypatch.setattr(lvsha.api.streams, "HEARTBEAT", 0.01)
    async with client.get("/v1/events?follow=true") as response, asyncio.timeout(10):
        assert [await response.content.readline() for _ in range(3)] == [b"\n"] * 3


async def test_too_many(
    client: aiohttp.ClientSession, director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stream too many is refused, and a place is free again when a client has gone."""
    monkeypatch.setattr(lvsha.api.streams, "STREAMS", 2)
    monkeypatch.setattr(lvsha.api.streams, "HEARTBEAT", 0.01)
    one, two = [await client.get("/v1/events?follow=true") for _ in range(2)]
    async with client.get("/v1/events?follow=true") as refused:
        assert refused.status == 503
        assert "2 streams of events are open already" in (await refused.json())["error"]
    one.close()
    async with asyncio.timeout(10):
        await director.left.wait()
        again = await client.get("/v1/events?follow=true")
    assert again.status == 200
    again.close()
    two.close()


async def test_client_that_does_not_read(
    director: Director, client: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that stops reading is cut off; the director is never held up meanwhile."""
    monkeypatch.setattr(lvsha.api.streams, "PATIENCE", 0.1)
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "sock", limit=1024)
        writer.write(b"GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(500):
            say(director, number, "x" * 4000)
        async with client.get("/v1/status") as response:
            assert response.status == 200
        await director.left.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        rest = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
    assert rest.count(b"\n") < 1500


async def test_waiting_does_not_wait() -> None:
    """What is there is taken; what is not is not waited for."""
    journal = Journal()
    assert await waiting(journal.subscribe(0)) == []
    journal.append({"event": "daemon.stopped", "seconds": 1})
    journal.append({"event": "daemon.stopped", "seconds": 2})
    assert [record["seq"] for record in await waiting(journal.subscribe(0))] == [1, 2]


async def test_stream_tells_what_was_missed(client: aiohttp.ClientSession, director: Director) -> None:
    """A follower who comes back with an old number is told how many events are gone."""
    director.journal = Journal(size=2)
    for number in range(5):
        say(director, number)
    async with client.get("/v1/events?follow=true&since=1") as response:
        first = json.loads(await response.content.readline())
        second = json.loads(await response.content.readline())
    assert (first["event"], first["count"]) == ("events.missed", 2)
    assert second["seq"] == 4
