"""What may be asked: `ROUTES`, one line a question, and how each request is read.

A handler reads its request strictly, asks the Control once and returns the view. What it cannot
understand it refuses with InputError; an unknown key is an error, here as in the configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from lvsha.api.body import Body
from lvsha.api.control import Control
from lvsha.api.peer import asker
from lvsha.api.streams import stream, waiting
from lvsha.api.target import ServerRef, resolve
from lvsha.api.views import ReloadView, ServerView
from lvsha.errors import InputError
from lvsha.overrides import Kind

DEADLINE = 30.0
"""Seconds that an answer may take, beyond what the request itself asks to wait."""
DEADLINE_KEY: web.RequestKey[asyncio.Timeout] = web.RequestKey("deadline", asyncio.Timeout)
LONGEST_WAIT = 600.0
HEAVIEST = 65535
"""The largest weight, which is ipvsadm's as well."""
DECADE = 10 * 366 * 86400.0
_KINDS = tuple(kind.value for kind in Kind)

Ask = Callable[[web.Request, Control], Awaitable[Any]]
"""Returns a view, a collection of views, or a response."""


class RefusedConfigError(InputError):
    """A reload found problems; `view` has them."""

    def __init__(self, view: ReloadView) -> None:
        count = len(view.problems)
        super().__init__(f"the configuration has {count} problems; the one before stays in force")
        self.view = view


async def paths(request: web.Request, _: Control) -> dict[str, list[str]]:
    """What may be asked."""
    _query(request)
    return {"paths": [f"{method} {path}" for method, path, _ in ROUTES]}


async def status(request: web.Request, control: Control) -> object:
    """The director in one glance."""
    _query(request)
    return await control.status()


async def services(request: web.Request, control: Control) -> object:
    """The services."""
    _query(request)
    return await control.services()


async def servers(request: web.Request, control: Control) -> object:
    """The servers, or those that `target` means."""
    target = _query(request, "target").get("target")
    views = await control.servers()
    return views if target is None else _meant(target, views)


async def overrides(request: web.Request, control: Control) -> object:
    """What was said by hand."""
    _query(request)
    return await control.overrides()


async def override(request: web.Request, control: Control) -> object:
    """Set servers aside, or give them a weight."""
    body = await _body(request)
    target = body.text("target")
    kind = Kind(body.choice("kind", _KINDS))
    weight = body.optional_whole("weight", least=0, most=HEAVIEST)
    reason = body.text("reason", default="", longest=500)
    expires_in = body.optional_number("expires_in", least=1, most=DECADE)
    body.done()
    if (kind is Kind.WEIGHT) is (weight is None):
        raise InputError("weight: it goes with kind weight, and with no other")
    by = await asker(request)
    return await control.override(target, kind, weight=weight, reason=reason, expires_in=expires_in, by=by)


async def clear(request: web.Request, control: Control) -> object:
    """Take back what was said by hand."""
    body = await _body(request)
    target = body.text("target")
    kinds = [Kind(word) for word in body.choices("kinds", _KINDS)]
    body.done()
    return await control.clear(target, kinds, by=await asker(request))


async def plan(request: web.Request, control: Control) -> object:
    """The steps that would be applied now."""
    _query(request)
    return {"steps": await control.plan()}


async def look(request: web.Request, control: Control) -> object:
    """Compare with the kernel now."""
    (await _body(request)).done()
    return {"steps": await control.look()}


async def reload(request: web.Request, control: Control) -> object:
    """Read the configuration again."""
    (await _body(request)).done()
    # All or nothing: whoever gives up waiting, a reload that has begun is brought to its end.
    view: ReloadView = await asyncio.shield(control.reload(by=await asker(request)))
    if not view.problems:
        return view
    raise RefusedConfigError(view)


async def config(request: web.Request, control: Control) -> object:
    """The configuration in force."""
    _query(request)
    return await control.config()


async def vrrp(request: web.Request, control: Control) -> object:
    """The VRRP instances."""
    _query(request)
    return await control.vrrp()


async def failover(request: web.Request, control: Control) -> object:
    """Hand over."""
    body = await _body(request)
    instance = body.optional_text("instance")
    wait = body.optional_number("wait", least=0, most=LONGEST_WAIT)
    force = body.truth("force")
    body.done()
    longest = LONGEST_WAIT if wait is None else wait
    request[DEADLINE_KEY].reschedule(asyncio.get_running_loop().time() + longest + DEADLINE)
    return await control.failover(instance, wait=wait, force=force, by=await asker(request))


async def hold(request: web.Request, control: Control) -> object:
    """Keep an instance from being master."""
    body = await _body(request)
    instance = body.optional_text("instance")
    body.done()
    return await control.hold(instance, by=await asker(request))


async def release(request: web.Request, control: Control) -> object:
    """Let an instance be master again."""
    body = await _body(request)
    instance = body.optional_text("instance")
    body.done()
    return await control.release(instance, by=await asker(request))


async def doctor(request: web.Request, control: Control) -> object:
    """What is wrong, or about to be."""
    _query(request)
    return await control.doctor()


async def events(request: web.Request, control: Control) -> object:
    """Events after number `since`; with `follow=true` as a stream without end."""
    query = _query(request, "since", "follow")
    follow = _one_of("follow", query.get("follow", "false"), ("true", "false")) == "true"
    since = _whole("since", query["since"]) if "since" in query else None if follow else 0
    if not follow:
        return await waiting(control.events(since))
    request[DEADLINE_KEY].reschedule(None)
    return await stream(request, control.events(since))


async def metrics(request: web.Request, control: Control) -> web.Response:
    """The metrics in Prometheus' text format."""
    _query(request)
    text = await control.metrics()
    return web.Response(
        body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


ROUTES: tuple[tuple[str, str, Ask], ...] = (
    ("GET", "/v1", paths),
    ("GET", "/v1/status", status),
    ("GET", "/v1/services", services),
    ("GET", "/v1/servers", servers),
    ("GET", "/v1/overrides", overrides),
    ("POST", "/v1/overrides", override),
    ("POST", "/v1/overrides/clear", clear),
    ("GET", "/v1/plan", plan),
    ("POST", "/v1/look", look),
    ("POST", "/v1/reload", reload),
    ("GET", "/v1/config", config),
    ("GET", "/v1/vrrp", vrrp),
    ("POST", "/v1/vrrp/failover", failover),
    ("POST", "/v1/vrrp/hold", hold),
    ("POST", "/v1/vrrp/release", release),
    ("GET", "/v1/doctor", doctor),
    ("GET", "/v1/events", events),
    ("GET", "/metrics", metrics),
)


async def _body(request: web.Request) -> Body:
    _query(request)
    return Body(await request.read())


def _query(request: web.Request, *known: str) -> dict[str, str]:
    """The query's keys, each known and given once."""
    query = dict(request.query)
    if len(query) != len(request.query):
        raise InputError("a key of the query is given twice")
    for key in query:
        if key not in known:
            there_is = f"there is {', '.join(known)}" if known else "there is none here"
            raise InputError(f"{key[:64]!r} is not a key of this query; {there_is}")
    return query


def _whole(key: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise InputError(f"{key}: {digits[:40]!r} is not a whole number")
    return int(digits)


def _one_of(key: str, word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise InputError(f"{key}: one of {', '.join(words)} is expected, not {word[:40]!r}")
    return word


def _meant(target: str, views: list[ServerView]) -> list[ServerView]:
    refs = [ServerRef(v.service, v.name, ip_address(v.address), v.port) for v in views]
    meant = frozenset(resolve(target, refs))
    return [view for view, ref in zip(views, refs, strict=True) if ref in meant]
