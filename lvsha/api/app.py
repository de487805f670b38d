"""HTTP over a Control: how what `lvsha.api.routes` lists is answered.

Everything is JSON. An error is `{"error": what, "hint": what to do}` under a status that says whose
fault it is. That every request ends in time, and that no traceback leaves, is the business of `answer`.
"""

from __future__ import annotations

import asyncio
import functools
import json
from difflib import get_close_matches

from aiohttp import web
from aiohttp.typedefs import Handler

from lvsha.api.control import Control
from lvsha.api.peer import asker
from lvsha.api.routes import DEADLINE, DEADLINE_KEY, ROUTES, Ask, RefusedConfigError, metrics
from lvsha.api.streams import keep_streams
from lvsha.api.target import Fault, TargetError
from lvsha.api.views import to_json
from lvsha.errors import InputError, KernelError, LvshaError, UnavailableError
from lvsha.log import emit

LARGEST = 64 * 1024
"""Bytes of a request's body."""

MANY = 200
"""Views of a list that are written as JSON beside the loop: about 20 us each."""

_CONTROL: web.AppKey[Control] = web.AppKey("control", Control)


def build(control: Control) -> web.Application:
    """The control API."""
    app = web.Application(middlewares=[answer], client_max_size=LARGEST)
    app[_CONTROL] = control
    keep_streams(app)
    for method, path, ask in ROUTES:
        app.router.add_route(method, path, functools.partial(_handle, ask))
    return app


def build_metrics(control: Control) -> web.Application:
    """Only the metrics, for a port that anybody may reach."""
    app = web.Application(middlewares=[answer], client_max_size=1024)
    app[_CONTROL] = control
    app.router.add_route("GET", "/metrics", functools.partial(_handle, metrics))
    return app


async def _handle(ask: Ask, request: web.Request) -> web.StreamResponse:
    value = await ask(request, request.app[_CONTROL])
    if isinstance(value, web.StreamResponse):
        return value
    if isinstance(value, list) and len(value) > MANY:
        # Views are frozen: another thread may read them, and the loop goes on meanwhile.
        return _response(await asyncio.to_thread(_encoded, value))
    return _response(_encoded(value))


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request ends in time, and every error as JSON."""
    try:
        async with asyncio.timeout(DEADLINE) as deadline:
            request[DEADLINE_KEY] = deadline
            return await handler(request)
    except TimeoutError as error:
        waited = str(error) or f"no answer within {DEADLINE:g} seconds"
        return _error(504, waited, "see `lvsha-cli status`, and the log")
    except TargetError as error:
        return _target_error(error)
    except RefusedConfigError as error:
        return _error(422, str(error), "mend them and reload again", **to_json(error.view))
    except InputError as error:
        return _error(422, str(error))
    except KernelError as error:
        return _error(502, str(error), "see `lvsha-cli doctor`")
    except UnavailableError as error:
        return _error(503, str(error))
    except LvshaError as error:
        return _error(500, str(error))
    except web.HTTPException as error:
        return _http_error(request, error)
    except Exception as error:  # noqa: BLE001 -- the last one who can catch it; told with its traceback
        by = await asker(request)
        emit("api.failed", method=request.method, path=request.path, by=by, error=error, exception=error)
        return _error(500, "a fault of lvsha's own", "the log has the event api.failed with the traceback")


def _target_error(error: TargetError) -> web.Response:
    status = {Fault.UNKNOWN: 404, Fault.AMBIGUOUS: 409, Fault.MALFORMED: 422}[error.fault]
    return _error(status, str(error), error.hint, candidates=list(error.candidates))


def _http_error(request: web.Request, error: web.HTTPException) -> web.Response:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            response = _error(405, f"{request.path} does not take {error.method}", f"it takes {allowed}")
            response.headers["Allow"] = allowed
            return response
        case web.HTTPNotFound():
            near = get_close_matches(request.path, [path for _, path, _ in ROUTES], n=1)
            hint = f"did you mean {near[0]}?" if near else "GET /v1 lists the paths"
            return _error(404, f"no such path: {request.path[:100]!r}", hint)
        case web.HTTPRequestEntityTooLarge():
            return _error(413, f"the body is longer than {LARGEST} bytes")
        case _:
            return _error(error.status, error.reason)


def _error(status: int, error: str, hint: str = "", **more: object) -> web.Response:
    return _response(_encoded({"error": error, "hint": hint, **more}), status)


def _encoded(value: object) -> bytes:
    return json.dumps(to_json(value), allow_nan=False).encode() + b"\n"


def _response(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")
