"""What may be asked, over a real socket."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lvsha.api.routes import ROUTES
from tests.lab.control import Director

DOCS = Path(__file__).parents[3] / "docs/api.md"


async def get(client: aiohttp.ClientSession, path: str, status: int = 200) -> Any:
    """The JSON that a GET answers, with the status expected."""
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def post(client: aiohttp.ClientSession, path: str, status: int = 200, **body: object) -> Any:
    """The JSON that a POST answers, with the status expected."""
    async with client.post(path, json=body) as response:
        assert response.status == status, await response.text()
        return await response.json()


def test_documented() -> None:
    """docs/api.md explains every path, and no other."""
    told = set(re.findall(r"^### `((?:GET|POST) \S+)`", DOCS.read_text(), re.MULTILINE))
    assert told == {f"{method} {path}" for method, path, _ in ROUTES}


async def test_paths(client: aiohttp.ClientSession) -> None:
    """GET /v1 tells what may be asked."""
    assert "POST /v1/overrides" in (await get(client, "/v1"))["paths"]


async def test_status(client: aiohttp.ClientSession) -> None:
    """The status is the view, field by field."""
    answer = await get(client, "/v1/status")
    assert answer["node"] == "lb1"
    assert answer["servers_down"] == 1
    assert answer["warnings"] == []


@pytest.mark.parametrize(
    "path", [path for method, path, _ in ROUTES if method == "GET" and path != "/metrics"]
)
async def test_gets_are_json(client: aiohttp.ClientSession, path: str) -> None:
    """Every question answers JSON, and refuses a query that it does not know."""
    await get(client, path)
    answer = await get(client, f"{path}?colour=red", 422)
    assert "'colour' is not a key of this query" in answer["error"]


async def test_services(client: aiohttp.ClientSession) -> None:
    """Services carry their state and the kernel's counters."""
    web = (await get(client, "/v1/services"))[0]
    assert (web["name"], web["state"], web["counters"]["connections"]) == ("web", "degraded", 1000)


async def test_servers_of_a_target(client: aiohttp.ClientSession) -> None:
    """Servers can be asked for by any form of a target."""
    answer = await get(client, "/v1/servers?target=rs1")
    assert [(s["service"], s["port"]) for s in answer] == [("web", 80), ("tls", 8443)]
    assert len(await get(client, "/v1/servers")) == 6


async def test_target_faults(client: aiohttp.ClientSession) -> None:
    """A wrong target is 404, 409 or 422, with what may have been meant."""
    unknown = await get(client, "/v1/servers?target=rs11", 404)
    assert unknown["candidates"] == ["rs1"]
    ambiguous = await get(client, "/v1/servers?target=worker", 409)
    assert ambiguous["candidates"] == ["pool-a/10.0.0.21:80", "pool-b/10.0.0.22:80"]
    assert "say which" in ambiguous["hint"]
    assert (await get(client, "/v1/servers?target=", 422))["hint"].startswith("say NAME")


async def test_override_and_back(client: aiohttp.ClientSession) -> None:
    """A drain is set with reason, end and author, shows in every view, and can be taken back."""
    begin = time.time()
    drained = await post(
        client, "/v1/overrides", target="web/rs1", kind="drain", reason="disk", expires_in=7200
    )
    assert [(s["name"], s["weight"], s["weight_now"]) for s in drained] == [("rs1", 10, 0)]
    [said] = await get(client, "/v1/overrides")
    assert said["target"] == "web/rs1"
    assert said["reason"] == "disk"
    assert 7199 < said["expires"] - begin < 7260
    assert said["by"].endswith(f", process {os.getpid()}")
    back = await post(client, "/v1/overrides/clear", target="web/rs1", kinds=["drain", "weight"])
    assert [s["override"] for s in back] == [None]
    assert await get(client, "/v1/overrides") == []


async def test_weight(client: aiohttp.ClientSession) -> None:
    """A weight by hand is the weight in the kernel."""
    answer = await post(client, "/v1/overrides", target="web/rs1", kind="weight", weight=3)
    assert answer[0]["weight_now"] == 3


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "target: is needed"),
        ({"target": "rs1"}, "kind: is needed"),
        ({"target": "rs1", "kind": "drian"}, "kind: one of disable, drain, weight is expected"),
        ({"target": "rs1", "kind": "weight"}, "weight: it goes with kind weight"),
        ({"target": "rs1", "kind": "drain", "weight": 1}, "weight: it goes with kind weight"),
        ({"target": "rs1", "kind": "weight", "weight": 1.5}, "1.5 is not a whole number"),
        ({"target": "rs1", "kind": "weight", "weight": -1}, "-1 is not within 0 and 65535"),
        ({"target": "rs1", "kind": "weight", "weight": 10**30}, "is not within"),
        ({"target": "rs1", "kind": "weight", "weight": True}, "a number is expected, not a boolean"),
        ({"target": "rs1", "kind": "drain", "expires_in": 0}, "expires_in: 0 is not within"),
        ({"target": "rs1", "kind": "drain", "expires_in": "2h"}, "expires_in: a number is expected"),
        ({"target": "rs1", "kind": "drain", "expire_in": 60}, "did you mean expires_in?"),
        ({"target": "rs1", "kind": "drain", "reason": "a\nb"}, "no control characters"),
        ({"target": "rs1", "kind": "drain", "reason": "x" * 501}, "at most 500 characters"),
        ({"target": ["rs1"], "kind": "drain"}, "target: a text is expected, not a list"),
        ({"target": "x" * 300, "kind": "drain"}, "target: at most 256 characters"),
    ],
)
async def test_override_is_strict(
    client: aiohttp.ClientSession, director: Director, body: dict[str, object], why: str
) -> None:
    """A body that is not wholly understood is refused with its key, and nothing is set."""
    answer = await post(client, "/v1/overrides", 422, **body)
    assert why in answer["error"]
    assert director.said.entries == ()


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        (None, "kinds: is needed"),
        ([], "not an empty list"),
        ("drain", "not a text"),
        (["drain", 1], "kinds[1]: one of"),
    ],
)
async def test_clear_is_strict(client: aiohttp.ClientSession, kinds: object, why: str) -> None:
    """What is to be taken back must be said."""
    body = {} if kinds is None else {"kinds": kinds}
    answer = await post(client, "/v1/overrides/clear", 422, target="rs1", **body)
    assert why in answer["error"]


async def test_plan_and_look(client: aiohttp.ClientSession) -> None:
    """The plan tells the steps, the look takes them."""
    planned = await get(client, "/v1/plan")
    assert len(planned["steps"]) == 1
    assert await post(client, "/v1/look") == planned
    assert await get(client, "/v1/plan") == {"steps": []}


async def test_reload(client: aiohttp.ClientSession, director: Director) -> None:
    """A reload tells what changed; one with problems is refused with every one of them."""
    assert (await post(client, "/v1/reload"))["changed"] == ["services.web.servers.rs3: added"]
    director.problems = ("lvsha.toml:3: services.web.prot: unknown", "lvsha.toml:9: bad port")
    answer = await post(client, "/v1/reload", 422)
    assert answer["problems"] == list(director.problems)
    assert answer["error"] == "the configuration has 2 problems; the one before stays in force"
    assert (await get(client, "/v1/status"))["config_generation"] == 2


async def test_vrrp(client: aiohttp.ClientSession) -> None:
    """Instances carry trackers and counters; they can be held, released and handed over."""
    public = (await get(client, "/v1/vrrp"))[0]
    assert public["trackers"][0] == {
        "name": "gateway 192.0.2.254",
        "ok": False,
        "weight": -50,
        "detail": "no answer",
    }
    assert [v["held"] for v in await post(client, "/v1/vrrp/hold", instance="public")] == [True, False]
    assert [v["held"] for v in await post(client, "/v1/vrrp/release")] == [False, False]
    assert {v["state"] for v in await post(client, "/v1/vrrp/failover", instance=None)} == {"backup"}
    unknown = await post(client, "/v1/vrrp/hold", 404, instance="pubic")
    assert unknown["candidates"] == ["public"]


async def test_failover_that_nobody_takes(client: aiohttp.ClientSession, director: Director) -> None:
    """When no peer takes over within the time asked for, the answer is 504 and says so."""
    director.peer_takes_over = False
    answer = await post(client, "/v1/vrrp/failover", 504, instance="public", wait=0.01)
    assert answer["error"] == "no peer took over public within 0.01 s; it is master here again"


async def test_failover_to_a_peer_that_lacks_connections(
    client: aiohttp.ClientSession, director: Director
) -> None:
    """The answer is 503 with the counts, unless it is forced; force is true or false."""
    director.peer_lacks = "lb2 knows 12 of 200 established connections"
    answer = await post(client, "/v1/vrrp/failover", 503, force=False)
    assert answer["error"] == director.peer_lacks
    assert "force: true or false" in (await post(client, "/v1/vrrp/failover", 422, force="yes"))["error"]
    assert {v["state"] for v in await post(client, "/v1/vrrp/failover", force=True)} == {"backup"}


async def test_metrics(client: aiohttp.ClientSession) -> None:
    """The metrics are served in the text format that Prometheus expects."""
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'lvsha_service_in_service{service="web"} 1.0' in await response.text()


async def test_events_that_are_kept(client: aiohttp.ClientSession) -> None:
    """Without `follow`, the events that are kept are answered at once."""
    assert await get(client, "/v1/events") == []
    await post(client, "/v1/overrides", target="rs1", kind="drain", reason="one")
    await post(client, "/v1/overrides", target="rs1", kind="disable", reason="two")
    assert [(e["seq"], e["reason"]) for e in await get(client, "/v1/events")] == [(1, "one"), (2, "two")]
    assert [e["seq"] for e in await get(client, "/v1/events?since=1")] == [2]


@pytest.mark.parametrize("query", ["since=-1", "since=x", "since=", "follow=yes", f"since={'9' * 30}"])
async def test_events_query(client: aiohttp.ClientSession, query: str) -> None:
    """A query that is not understood is refused."""
    await get(client, f"/v1/events?{query}", 422)


async def test_events_as_a_stream(client: aiohttp.ClientSession) -> None:
    """With `follow`, events come as they happen, one JSON object a line."""
    await post(client, "/v1/overrides", target="rs1", kind="drain", reason="before")
    async with (
        client.get("/v1/events?follow=true") as new,
        client.get("/v1/events?follow=true&since=0") as old,
    ):
        await post(client, "/v1/overrides", target="rs1", kind="drain", reason="after")
        assert json.loads(await new.content.readline())["reason"] == "after"
        assert [json.loads(await old.content.readline())["reason"] for _ in range(2)] == ["before", "after"]
