"""HTTP and HTTPS: one request, and what the answer must be.

Each probe has a connection of its own, because a kept one tells whether an old connection still
works and not whether a client could open one. Redirects are answers like any other. The whole
response is read, up to its limits: a server that breaks off in the middle is not well.

Over plain sockets with llhttp, because an HTTP client made for pages spends most of its time on
what a probe must not do: pools, cookies, redirects, decompression (bench/probes.py has figures).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from checks import jsonvalue, proxy, settings
from checks.base import Outcome, endpoint, quote, trying
from checks.response import Response
from checks.stream import Stream, connect, via
from checks.tls import Tls

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_TARGET = re.compile(r"[!-~]+")
_HOST = re.compile(r"[0-9A-Za-z._~%!$&'()*+,;=:\[\]-]*")
_OWN = {"host", "connection", "content-length", "transfer-encoding"}
_DEFAULTS = (("User-Agent", "lvsha"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))


@dataclass(frozen=True, slots=True)
class Http:
    """One HTTP/1.1 request on a connection of its own."""

    method: str = "GET"
    """Request method."""
    path: str = "/"
    """Request target: path and query."""
    host: str = ""
    """Host header. Empty: the target's address and port."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further request headers, as (name, value); kept out of `repr`, because some hold a secret."""
    send: str = ""
    """Request body, in UTF-8. Empty: none."""
    status: tuple[int | str, ...] = ("200-299",)
    """Statuses that are good: numbers, or ranges such as "200-299"."""
    body: str = ""
    """Regular expression that must be found in the body (its first `max_body` bytes). Empty: any body."""
    json_path: str = ""
    """Where in a JSON body to look: keys and list indexes joined by dots, such as "status.db".
    Empty with `json_equals`: the whole body."""
    json_equals: str | None = None
    """What must be there: a string's own text, or anything else as JSON spells it ("3", "true",
    "null"). None with `json_path`: anything, so long as it is there."""
    max_body: int = 65536
    """Bytes of body read at most. A longer body is no failure, but its rest is not looked at, and
    it is no JSON. 0: stop after the headers."""
    max_head: int = 16384
    """Bytes of status line and headers at most; more is a failure."""
    tls: Tls | None = None
    """TLS settings. None: in clear."""
    proxy_protocol: int = 0
    """Version of the PROXY header sent first: 1, 2, or 0 for none."""
    source: str = ""
    """Local address to connect from. Empty: the kernel chooses."""
    mark: int = 0
    """SO_MARK of the socket, to lead the probe over the clients' path. 0: none."""

    def __post_init__(self) -> None:
        settings.require(
            _request_problems(self),
            _status_problems(self.status),
            settings.pattern("body", self.body),
            _body_problems(self),
            settings.within("max_body", self.max_body, 0, 16 << 20),
            settings.within("max_head", self.max_head, 64, 1 << 20),
            settings.within("proxy_protocol", self.proxy_protocol, 0, 2),
            settings.path(self.source, self.mark),
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        what = self._what(address, port)
        with await connect(address, port, source=self.source, mark=self.mark) as stream:
            trying(f"{what}: connected, sending the request")
            await stream.send(proxy.header(self.proxy_protocol, stream.socket))
            if self.tls:
                trying(f"{what}: connected, TLS handshake")
                await stream.secure(self.tls.context(), self._server_name(self.tls, address))
            await stream.send(self._request(address, port))
            response = await self._read(stream, what)
        return self._judge(response, what)

    def _what(self, address: str, port: int) -> str:
        scheme = "https" if self.tls else "http"
        host = f" (host {self.host})" if self.host else ""
        where = f"{scheme}://{endpoint(address, port)}{self.path}"
        return f"{self.method} {where}{host}{via(self.source, self.mark)}"

    def _server_name(self, tls: Tls, address: str) -> str:
        host = re.sub(r":\d+$", "", self.host).strip("[]")
        return tls.server_name or host or address.partition("%")[0]

    def _request(self, address: str, port: int) -> bytes:
        # RFC 6874: a zone has no meaning outside this machine.
        host = self.host or endpoint(address.partition("%")[0], port)
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        given = {name.lower() for name, _ in self.headers}
        lines += [f"{name}: {value}" for name, value in _DEFAULTS if name.lower() not in given]
        lines += [f"{name}: {value}" for name, value in self.headers]
        content = self.send.encode()
        if content or self.method in {"POST", "PUT", "PATCH"}:
            lines.append(f"Content-Length: {len(content)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + content

    async def _read(self, stream: Stream, what: str) -> Response:
        response = Response(method=self.method, max_head=self.max_head, max_body=self.max_body)
        while not response.done:
            trying(f"{what}: {response.progress}")
            if data := await stream.receive(16384):
                response.feed(data)
            else:
                trying(what)
                response.end()
        return response

    def _judge(self, response: Response, what: str) -> Outcome:
        answered = f"{what} answered {response.status}"
        if location := response.header("location"):
            answered += f" to {quote(location)}"
        if not any(response.status in good for good in _ranges(self.status)):
            wanted = ", ".join(str(some) for some in self.status)
            return Outcome(ok=False, detail=f"{answered} (expected {wanted})")
        size = f"more than {len(response.body)}" if response.cut else str(len(response.body))
        answered += f", {size} bytes"
        problem = self._body_problem(response)
        return Outcome(ok=not problem, detail=f"{answered}, {problem}" if problem else answered)

    def _body_problem(self, response: Response) -> str:
        if self.body and not re.search(self.body, response.body.decode("utf-8", "replace")):
            within = f" within the first {len(response.body)}" if response.cut else ""
            return f"no {self.body!r}{within}: {quote(bytes(response.body))}"
        if not self._wants_json:
            return ""
        if response.cut:
            return "too much for JSON"
        return jsonvalue.problem(bytes(response.body), self.json_path, self.json_equals)

    @property
    def _wants_json(self) -> bool:
        return bool(self.json_path) or self.json_equals is not None


@dataclass(frozen=True, slots=True)
class Https(Http):
    """HTTP over TLS, with the server verified unless `tls` says otherwise."""

    tls: Tls = Tls()
    """TLS settings."""


def _request_problems(check: Http) -> list[str]:
    problems = []
    if not _TOKEN.fullmatch(check.method):
        problems.append(f"method: {check.method!r} is not a method")
    if not _TARGET.fullmatch(check.path) or not check.path.startswith(("/", "*")):
        problems.append(f"path: {check.path!r} must begin with / and hold no spaces (escape them: %20)")
    if not _HOST.fullmatch(check.host):
        problems.append(f"host: {check.host!r} is not a host name with an optional port")
    for name, value in check.headers:
        if not _TOKEN.fullmatch(name):
            problems.append(f"headers: {name!r} is not a header's name")
        elif name.lower() in _OWN:
            problems.append(f"headers: {name} is set by the check itself (the field `host` sets Host)")
        if not value.isascii():
            problems.append(f"headers: {name}: only ASCII may be in it")
        problems += settings.line(f"headers: {name}", value)
    return problems


def _body_problems(check: Http) -> list[str]:
    wanted = check.body or check.json_path or check.json_equals is not None
    if wanted and check.method == "HEAD":
        return ["method: the answer to HEAD has no body to look at"]
    if wanted and not check.max_body:
        return ["max_body: 0 leaves no body to look at"]
    return []


def _status_problems(status: tuple[int | str, ...]) -> list[str]:
    try:
        ranges = _ranges(status)
    except ValueError as error:
        return [f"status: {error}"]
    return [] if ranges else ["status: no status would be good"]


@lru_cache(maxsize=1024)
def _ranges(status: tuple[int | str, ...]) -> tuple[range, ...]:
    return tuple(_range(str(some)) for some in status)


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal() and 100 <= int(first) <= int(last) <= 999):
        raise ValueError(f"{text!r} is neither a status (100 to 999) nor a range such as 200-299")
    return range(int(first), int(last) + 1)
