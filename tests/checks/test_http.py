"""Probing by HTTP and HTTPS."""

from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checks import Check, Outcome, SettingsError, run
from checks.http import Http, Https
from checks.tls import Tls
from tests.lab.targets import Conversation, Pki, Probe, Serve, outcome_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Recorder:
    """A server that answers with given bytes and keeps the requests."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
        self.requests.append(head + body)
        writer.write(self.answer)
        await writer.drain()


def answers(status: int = 200, body: bytes = b"ok", *headers: bytes) -> bytes:
    """An answer's bytes."""
    lines = [f"HTTP/1.1 {status} Reason".encode(), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


async def judge(serve: Serve, probe: Probe, check: Check, answer: bytes, **more: float) -> Outcome:
    """The outcome of a check of a server that answers so."""
    return await probe(check, await serve(Recorder(answer)), **more)


async def test_request(serve: Serve, probe: Probe) -> None:
    """The request is what was asked for, in full, and on a connection of its own."""
    server = Recorder()
    port = await serve(server)
    check = Http(
        method="PUT",
        path="/healthz?deep=1",
        host="www.example.com",
        headers=(("X-Token", "secret"), ("accept", "text/plain")),
        send="grüß\r\n",
    )
    assert (await probe(check, port)).ok
    body = "grüß\r\n".encode()
    assert server.requests == [
        b"PUT /healthz?deep=1 HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n"
        b"User-Agent: lvsha\r\nAccept-Encoding: identity\r\nX-Token: secret\r\naccept: text/plain\r\n"
        b"Content-Length: 8\r\n\r\n" + body
    ]


async def test_default_request(serve: Serve, probe: Probe) -> None:
    """Without a host, the address and port are it."""
    server = Recorder()
    port = await serve(server)
    outcome = await probe(Http(), port)
    assert outcome.ok
    assert outcome.detail == f"GET http://127.0.0.1:{port}/ answered 200, 2 bytes"
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)


async def test_ipv6(serve: Serve, probe: Probe) -> None:
    """An IPv6 target is in brackets, in the detail and in the Host header."""
    server = Recorder()
    port = await serve(server, address="::1")
    assert f"http://[::1]:{port}/" in (await probe(Http(), port, address="::1")).detail
    assert b"Host: [::1]:%d\r\n" % port in server.requests[0]


@pytest.mark.parametrize(
    ("good", "status", "ok"),
    [
        (("200-299",), 204, True),
        (("200-299",), 199, False),
        (("200-299",), 300, False),
        ((301, "500-599"), 301, True),
        ((301, "500-599"), 503, True),
        ((301, "500-599"), 200, False),
    ],
)
async def test_status(serve: Serve, probe: Probe, good: tuple[int | str, ...], status: int, ok: bool) -> None:
    """The status is judged by numbers and ranges."""
    assert (await judge(serve, probe, Http(status=good), answers(status, b""))).ok is ok


async def test_wrong_status_is_told(serve: Serve, probe: Probe) -> None:
    """The detail has the request, the status and what was expected."""
    outcome = await judge(serve, probe, Http(path="/healthz", status=("200-299", 401)), answers(500))
    assert outcome.detail.endswith("/healthz answered 500 (expected 200-299, 401)")


async def test_redirect_is_not_followed(serve: Serve, probe: Probe) -> None:
    """A redirect is an answer, and where it points is told."""
    server = Recorder(answers(302, b"", b"Location: /elsewhere"))
    outcome = await probe(Http(), await serve(server))
    assert not outcome.ok
    assert "answered 302 to '/elsewhere' (expected 200-299)" in outcome.detail
    assert len(server.requests) == 1


async def test_body(serve: Serve, probe: Probe) -> None:
    """The body is searched."""
    assert (await judge(serve, probe, Http(body="^o"), OK)).ok
    outcome = await judge(serve, probe, Http(body="^k"), OK)
    assert not outcome.ok
    assert outcome.detail.endswith("answered 200, 2 bytes, no '^k': 'ok'")


async def test_body_is_searched_within_its_limit(serve: Serve, probe: Probe) -> None:
    """What lies behind the limit is not found, and the detail says that there is a limit."""
    answer = answers(200, b"x" * 5000 + b"end")
    outcome = await judge(serve, probe, Http(body="end", max_body=100), answer)
    assert not outcome.ok
    assert "answered 200, more than 100 bytes, no 'end' within the first 100: 'xxx" in outcome.detail
    assert (await judge(serve, probe, Http(body="x", max_body=100), answer)).ok


@pytest.mark.parametrize(
    ("path", "equals", "problem"),
    [
        ("status.db", "ok", ""),
        ("status.count", "3", ""),
        ("status.ready", "true", ""),
        ("status.db", None, ""),
        ("status.db", "no", "status.db is 'ok' (expected 'no')"),
        ("status.none", None, "there is no 'status.none' (stopped at 'none') in the body's JSON"),
    ],
)
async def test_json(serve: Serve, probe: Probe, path: str, equals: str | None, problem: str) -> None:
    """A value in a JSON body is judged."""
    answer = answers(200, b'{"status": {"db": "ok", "count": 3, "ready": true}}')
    outcome = await judge(serve, probe, Http(json_path=path, json_equals=equals), answer)
    assert outcome.ok is (not problem)
    assert outcome.detail.endswith(problem)


async def test_json_over_the_limit(serve: Serve, probe: Probe) -> None:
    """A JSON body that is not whole is no JSON."""
    answer = answers(200, b'"' + b"x" * 5000 + b'"')
    outcome = await judge(serve, probe, Http(json_equals="x", max_body=100), answer)
    assert "too much for JSON" in outcome.detail


async def test_chunked_body(serve: Serve, probe: Probe) -> None:
    """A chunked body is whole for the expression."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
    assert (await judge(serve, probe, Http(body="^ok$"), answer)).ok


async def test_head(serve: Serve, probe: Probe) -> None:
    """HEAD needs no body, whatever length is announced."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    assert (await judge(serve, probe, Http(method="HEAD"), answer)).ok


async def test_no_answer(serve: Serve, probe: Probe) -> None:
    """A server that takes the request and says nothing fails at the deadline."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    port = await serve(silent)
    outcome = await probe(Http(), port, timeout=0.2)
    assert outcome.detail == (
        f"GET http://127.0.0.1:{port}/: request sent, waiting for the answer: no answer within 0.2 s"
    )


async def test_server_that_does_not_read(serve: Serve, probe: Probe) -> None:
    """A large request to a server that reads nothing ends at the deadline too."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()  # the reader's buffer fills, and then the socket's

    outcome = await probe(Http(method="POST", send="x" * 20_000_000), await serve(deaf), timeout=0.3)
    assert "sending the request: no answer within 0.3 s" in outcome.detail


async def test_slow_drip(serve: Serve, probe: Probe) -> None:
    """A byte now and then does not buy a server more time."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 10000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    outcome = await probe(Http(), await serve(slow), timeout=0.3)
    assert "in the headers after" in outcome.detail
    assert outcome.detail.endswith("no answer within 0.3 s")


def flood(head: bytes, piece: bytes) -> Conversation:
    """A server that sends a beginning and then the same for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return talk


@pytest.mark.parametrize(
    ("head", "piece", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, "more than 16384 bytes of headers"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536, "more than 16384 bytes of headers"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "more than 16384 bytes of headers"),
        (b"", b"\r\n" * 1000, "more than 16384 bytes of headers"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, "answered 200, more than 65536 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            b"x" * 65536,
            "answered 200, more than 65536 bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n" * 1000,
            "answered 200, more than 65536 bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X: y\r\n" * 1000,
            "bytes on the wire",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536, "bytes on the wire"),
        (b"garbage\r\n", b"garbage\r\n", "not HTTP ("),
    ],
)
async def test_flood(serve: Serve, probe: Probe, head: bytes, piece: bytes, detail: str) -> None:
    """A server that never stops costs bounded memory and ends long before the deadline."""
    port = await serve(flood(head, piece))
    tracemalloc.start()
    try:
        outcome = await probe(Http(), port, timeout=30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert detail in outcome.detail
    assert peak < 4 << 20


async def test_flood_does_not_hold_the_loop(serve: Serve) -> None:
    """While one server floods, another probe's deadline still comes on time."""
    port = await serve(flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536))
    flooded = asyncio.create_task(run(Http(body="never", max_body=16 << 20), "127.0.0.1", port, 30))
    rounds = 0
    while not flooded.done():
        await asyncio.sleep(0)
        rounds += 1
    assert rounds > 10


async def test_reset_midway(serve: Serve, probe: Probe) -> None:
    """A reset in the middle of the body is told with how far it came."""

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
        await writer.drain()
        await asyncio.sleep(0.1)  # RST discards what has not been read
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    outcome = await probe(Http(), await serve(breaks_off))
    assert outcome.detail.endswith("answered 200, in the body after 2 bytes: reset by the peer (RST)")


async def test_cut_off(serve: Serve, probe: Probe) -> None:
    """A body shorter than announced is a failure, though the status was good."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
    outcome = await judge(serve, probe, Http(), answer)
    assert not outcome.ok
    assert outcome.detail.endswith("answered 200, body cut off after 2 bytes of 9")


async def test_closed_at_once(serve: Serve, probe: Probe) -> None:
    """A server that closes without a word is no HTTP server."""

    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    outcome = await probe(Http(), await serve(closes))
    assert outcome.detail.endswith("/: closed without an answer")


async def test_half_closed(serve: Serve, probe: Probe) -> None:
    """A server that shuts its sending side before the end fails at once."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        writer.write_eof()
        await reader.read()
        await asyncio.Event().wait()

    outcome = await probe(Http(), await serve(half), timeout=30)
    assert "closed after 17 bytes" in outcome.detail


async def test_other_protocol(serve: Serve, probe: Probe) -> None:
    """A server of another protocol is quoted."""

    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read(1)

    outcome = await probe(Http(), await serve(ssh))
    assert "not HTTP (" in outcome.detail
    assert r"'SSH-2.0-OpenSSH_9.2\r\n'" in outcome.detail


async def test_refused(probe: Probe, closed_port: int) -> None:
    """A refused connection is told as such."""
    outcome = await probe(Http(), closed_port)
    assert outcome.detail == f"TCP connect to 127.0.0.1:{closed_port}: refused (RST: nothing listens there)"


@pytest.mark.parametrize("version", [1, 2])
async def test_proxy_protocol(serve: Serve, probe: Probe, version: int) -> None:
    """The PROXY header comes before the request."""
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"GET "))
        writer.write(OK)

    assert (await probe(Http(proxy_protocol=version), await serve(talk))).ok
    start = {1: b"PROXY TCP4 127.0.0.1 127.0.0.1 ", 2: b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"}[version]
    assert seen[0].startswith(start)


@pytest.mark.parametrize("version", [1, 2])
async def test_nginx(nginx_ports: tuple[int, int], probe: Probe, pki: Pki, version: int) -> None:
    """A real server takes the request, in clear and under TLS, and believes the PROXY header."""
    port, tls_port = nginx_ports
    body = r"^127\.0\.0\.7:\d+ GET /healthz www\.example\.com$"
    check = Http(
        path="/healthz", host="www.example.com", body=body, proxy_protocol=version, source="127.0.0.7"
    )
    outcome = await probe(check, port)
    assert outcome.ok, outcome.detail
    outcome = await probe(replace(check, tls=Tls(ca=pki.authority)), tls_port)
    assert outcome.ok, outcome.detail


async def test_nginx_answers(nginx_ports: tuple[int, int], probe: Probe) -> None:
    """Redirects, chunks, HEAD and a missing PROXY header of a real server are what they are."""
    port, _ = nginx_ports
    base = Http(proxy_protocol=1)
    assert "answered 301 to " in (await probe(replace(base, path="/old"), port)).detail
    assert (await probe(replace(base, path="/chunks/index.html", body="^127.0.0.1 chunked$"), port)).ok
    assert (await probe(replace(base, method="HEAD"), port)).ok
    assert (await probe(replace(base, method="POST", send="x" * 1000), port)).ok
    assert not (await probe(Http(), port)).ok


async def test_https(serve: Serve, probe: Probe, pki: Pki) -> None:
    """A certificate of the right authority, for the address, is good."""
    port = await serve(Recorder(), context=pki.server(pki.good))
    outcome = await probe(Https(tls=Tls(ca=pki.authority)), port)
    assert outcome.detail == f"GET https://127.0.0.1:{port}/ answered 200, 2 bytes"
    assert outcome.ok


@pytest.mark.parametrize(
    ("certificate", "host", "server_name", "verify", "problem"),
    [
        ("good", "www.example.com", "", True, ""),
        ("good", "www.example.com:8443", "", True, ""),
        ("good", "other", "www.example.com", True, ""),
        ("good", "other.example.com", "", True, "not valid for 'other.example.com'"),
        ("good", "www.example.com", "other", True, "not valid for 'other'"),
        ("elsewhere", "", "", True, "not valid for '127.0.0.1'"),
        ("expired", "", "", True, "certificate has expired"),
        ("self_signed", "", "", True, "self-signed certificate"),
        ("self_signed", "", "", False, ""),
        ("expired", "", "", False, ""),
        ("elsewhere", "", "", False, ""),
    ],
)
async def test_certificates(
    serve: Serve,
    probe: Probe,
    pki: Pki,
    certificate: str,
    host: str,
    server_name: str,
    verify: bool,
    problem: str,
) -> None:
    """The chain, the dates and the name are verified, unless told not to."""
    port = await serve(Recorder(), context=pki.server(getattr(pki, certificate)))
    tls = Tls(verify=verify, ca=pki.authority if verify else "", server_name=server_name)
    outcome = await probe(Https(host=host, tls=tls), port)
    assert outcome.ok is (not problem), outcome.detail
    if problem:
        assert "connected, TLS handshake: certificate not accepted: " in outcome.detail
        assert problem in outcome.detail


async def test_system_authorities_are_the_default(serve: Serve, probe: Probe, pki: Pki) -> None:
    """Without a CA file, an authority of our own is unknown."""
    port = await serve(Recorder(), context=pki.server(pki.good))
    outcome = await probe(Https(), port)
    assert not outcome.ok
    assert "certificate not accepted: " in outcome.detail


async def test_client_certificate(serve: Serve, probe: Probe, pki: Pki) -> None:
    """A server that demands a certificate gets it; without one, it refuses."""
    port = await serve(Recorder(), context=pki.server(pki.good, clients=pki.authority))
    assert (await probe(Https(tls=Tls(ca=pki.authority, certificate=pki.client)), port)).ok
    assert not (await probe(Https(tls=Tls(ca=pki.authority)), port)).ok


async def test_clear_server_behind_https(serve: Serve, probe: Probe, pki: Pki) -> None:
    """A server that does not speak TLS is told as such."""

    async def clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(1)

    outcome = await probe(Https(tls=Tls(ca=pki.authority)), await serve(clear))
    assert "TLS handshake: TLS failed: wrong version number" in outcome.detail


async def test_silent_server_behind_https(serve: Serve, probe: Probe, pki: Pki) -> None:
    """A server that never answers the handshake fails at the deadline."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    outcome = await probe(Https(tls=Tls(ca=pki.authority)), await serve(silent), timeout=0.2)
    assert outcome.detail.endswith("connected, TLS handshake: no answer within 0.2 s")


async def test_flood_under_tls(serve: Serve, probe: Probe, pki: Pki) -> None:
    """A flood under TLS is bounded like one in clear."""
    port = await serve(flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536), context=pki.server(pki.good))
    outcome = await probe(Https(tls=Tls(ca=pki.authority)), port, timeout=30)
    assert "answered 200, more than 65536 bytes" in outcome.detail


async def test_missing_certificate_file(serve: Serve, probe: Probe, tmp_path: Path) -> None:
    """A file that is not there is named."""
    missing = str(tmp_path / "ca.pem")
    outcome = await probe(Https(tls=Tls(ca=missing)), await serve(Recorder()))
    assert f"{missing}: No such file or directory" in outcome.detail


async def test_cancelled_at_any_point(serve: Serve, probe: Probe, pki: Pki) -> None:
    """Wherever the deadline cuts a probe off, nothing is left open."""
    port = await serve(Recorder(), context=pki.server(pki.good))
    check = Https(tls=Tls(ca=pki.authority))
    for microseconds in range(0, 8000, 250):
        await probe(check, port, timeout=microseconds / 1e6)
    assert (await probe(check, port)).ok


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"method": "GET /"}, "method"),
        ({"method": ""}, "method"),
        ({"path": "healthz"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"path": "/\r\nX: y"}, "path"),
        ({"path": "/ü"}, "path"),
        ({"host": "a\r\nX: y"}, "host"),
        ({"host": "a/b"}, "host"),
        ({"headers": (("X Y", "z"),)}, "headers"),
        ({"headers": (("X", "y\r\nZ: 1"),)}, "headers"),
        ({"headers": (("X", "ü"),)}, "headers"),
        ({"headers": (("Host", "x"),)}, "headers"),
        ({"headers": (("content-length", "1"),)}, "headers"),
        ({"status": ()}, "status"),
        ({"status": ("299-200",)}, "status"),
        ({"status": ("2xx",)}, "status"),
        ({"status": (99,)}, "status"),
        ({"status": ("200-",)}, "status"),
        ({"body": "("}, "body"),
        ({"body": "x", "method": "HEAD"}, "method"),
        ({"json_path": "x", "max_body": 0}, "max_body"),
        ({"max_body": -1}, "max_body"),
        ({"max_head": 1}, "max_head"),
        ({"proxy_protocol": 3}, "proxy_protocol"),
        ({"source": "x"}, "source"),
        ({"mark": 1 << 32}, "mark"),
    ],
)
def test_settings(settings: dict[str, Any], field: str) -> None:
    """Settings that could not work, or would smuggle something in, are refused by field."""
    with pytest.raises(SettingsError) as caught:
        Http(**settings)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [field]


def test_https_is_tls() -> None:
    """The kind https has TLS without being told; http has none."""
    assert Https().tls == Tls()
    assert Http().tls is None
    assert Https() != Http(tls=Tls())
    assert hash(Https()) == hash(Https())


@given(st.binary(max_size=200))
@hypothesis_settings(max_examples=50)
def test_any_answer(answer: bytes) -> None:
    """Whatever a server sends, the outcome is a sentence."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + answer)

    outcome = outcome_of(Http(), talk)
    assert "GET http://127.0.0.1:" in outcome.detail
    assert "no answer within" not in outcome.detail
    assert outcome.detail.isprintable()
