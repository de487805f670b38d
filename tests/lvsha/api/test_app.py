"""How requests are answered when something is wrong with them, or with lvsha."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import lvsha.api.app
from lvsha.api.app import LARGEST, build_metrics
from lvsha.api.listen import serve
from lvsha.errors import InputError, KernelError, StateError, UnavailableError
from lvsha.log import Record, listening
from tests.lab.control import Director


async def raw(path: Path, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """What a request, sent as it is, is answered with: status, headers, body."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["content-length"]))
        writer.close()
        await writer.wait_closed()
    return int(first.split()[1]), headers, body


def told(body: bytes) -> dict[str, Any]:
    """An error, which is always JSON with these keys."""
    answer = json.loads(body)
    assert {"error", "hint"} <= set(answer)
    return dict(answer)


async def test_unknown_path(client: aiohttp.ClientSession) -> None:
    """An unknown path is 404 with the nearest that there is."""
    async with client.get("/v1/sevrices") as response:
        assert response.status == 404
        assert (await response.json())["hint"] == "did you mean /v1/services?"
    async with client.get("/zzz") as response:
        assert (await response.json())["hint"] == "GET /v1 lists the paths"


async def test_wrong_method(client: aiohttp.ClientSession) -> None:
    """A wrong method is 405 with those that are right."""
    async with client.delete("/v1/overrides") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, POST"
        assert (await response.json())["hint"] == "it takes GET, POST"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not good JSON"),
        (b"\xff\xfe", "not good JSON"),
        (b"[" * 50_000, "not good JSON"),
        (b'{"target": "rs1", "target": "rs2", "kind": "drain"}', "a key is given twice"),
        (b'{"target": "rs1", "kind": "drain", "expires_in": NaN}', "NaN is not a number"),
        (b'{"target": "rs1", "kind": "drain", "expires_in": 1e999}', "a number is too large"),
        (b'{"target": "rs1", "kind": "weight", "weight": ' + b"9" * 5000 + b"}", "not good JSON"),
        (b"[]", "the body is an empty list, not an object"),
        (b"null", "the body is null, not an object"),
        (b'"rs1"', "the body is a text, not an object"),
        (b"", "target: is needed"),
    ],
)
async def test_bad_bodies(client: aiohttp.ClientSession, director: Director, body: bytes, why: str) -> None:
    """A body that is not one good JSON object is refused, and nothing is done."""
    async with client.post("/v1/overrides", data=body) as response:
        assert response.status == 422
        assert why in (await response.json())["error"]
    assert director.said.entries == ()


async def test_large_body(client: aiohttp.ClientSession) -> None:
    """A body that is too long is refused by its length."""
    async with client.post("/v1/overrides", data=b" " * (LARGEST + 1)) as response:
        assert response.status == 413
        assert (await response.json())["error"] == f"the body is longer than {LARGEST} bytes"


async def test_body_without_end(client: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A chunked body that does not end is cut off at the same length."""
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    head = b"POST /v1/look HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    status, _, _ = await raw(tmp_path / "sock", head + chunk * 8)
    assert status == 413


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/status HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /v1/look HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/look HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_not_http(
    client: aiohttp.ClientSession, tmp_path: Path, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not HTTP is refused, the next who asks is served, and nobody can fill the log with it."""
    status, _, _ = await raw(tmp_path / "sock", request_)
    assert status == 400
    assert caplog.records == []
    async with client.get("/v1/status") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (InputError("no"), 422),
        (KernelError("the kernel said no"), 502),
        (UnavailableError("the speaker is away"), 503),
        (StateError("the disk is full"), 500),
        (TimeoutError("waited in vain"), 504),
    ],
)
async def test_errors_by_fault(
    client: aiohttp.ClientSession, director: Director, failure: Exception, status: int
) -> None:
    """Whose fault an error is decides the status; its sentence is told as it is."""
    director.failure = failure
    async with client.get("/v1/status") as response:
        assert response.status == status
        assert told(await response.read())["error"] == str(failure)


async def test_own_fault(client: aiohttp.ClientSession, director: Director) -> None:
    """A fault of lvsha's own is 500 without its words, which are in the log with the traceback."""
    director.failure = ZeroDivisionError("secret")
    heard: list[Record] = []
    with listening(heard.append):
        async with client.get("/v1/status") as response:
            assert response.status == 500
            body = await response.text()
    assert "secret" not in body
    assert "Traceback" not in body
    [said] = heard
    assert (said["event"], said["path"], said["error"]) == ("api.failed", "/v1/status", "secret")
    assert "ZeroDivisionError" in said["exception"]


async def test_deadline(
    client: aiohttp.ClientSession, director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that is not answered in time is answered with 504."""
    monkeypatch.setattr(lvsha.api.app, "DEADLINE", 0.05)
    director.slowness = asyncio.Event()
    async with client.get("/v1/status") as response:
        assert response.status == 504
        assert told(await response.read())["error"] == "no answer within 0.05 seconds"


async def test_long_list(client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list, which is written beside the loop, is the same."""
    async with client.get("/v1/servers") as response:
        short = await response.json()
    monkeypatch.setattr(lvsha.api.app, "MANY", 2)
    async with client.get("/v1/servers") as response:
        assert await response.json() == short


async def test_metrics_alone(director: Director, tmp_path: Path) -> None:
    """The application for a public port serves the metrics and nothing else."""
    path = tmp_path / "metrics"
    async with serve(build_metrics(director), path):
        assert (await raw(path, b"GET /metrics HTTP/1.0\r\n\r\n"))[0] == 200
        for line in (b"GET /v1/status", b"GET /v1/config", b"POST /v1/overrides", b"GET /"):
            assert (await raw(path, line + b" HTTP/1.0\r\n\r\n"))[0] == 404
        assert (await raw(path, b"POST /metrics HTTP/1.0\r\n\r\n"))[0] == 405


async def test_a_reload_outlives_the_deadline(
    client: aiohttp.ClientSession, director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration is in force as a whole, although nobody waits for the answer any more."""
    monkeypatch.setattr(lvsha.api.app, "DEADLINE", 0.05)
    ended, reload, answered = asyncio.Event(), director.reload, asyncio.Event()

    async def slow(*, by: str) -> Any:
        await answered.wait()
        view = await reload(by=by)
        ended.set()
        return view

    monkeypatch.setattr(director, "reload", slow)
    async with client.post("/v1/reload") as response:
        assert response.status == 504
    answered.set()
    async with asyncio.timeout(5):
        await ended.wait()
