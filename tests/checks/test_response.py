"""Reading an HTTP response within bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks import ProbeError
from checks.response import Response


def read(
    *pieces: bytes, method: str = "GET", max_head: int = 4096, max_body: int = 1000, end: bool = True
) -> Response:
    """A response made of these pieces."""
    response = Response(method=method, max_head=max_head, max_body=max_body)
    for piece in pieces:
        if not response.done:
            response.feed(piece)
    if end:
        response.end()
    return response


def fails(*pieces: bytes) -> str:
    """The complaint about these pieces."""
    with pytest.raises(ProbeError) as caught:
        read(*pieces)
    return str(caught.value)


def test_length() -> None:
    """A body of a given length ends there, and nothing behind it matters."""
    response = read(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nokHTTP/1.1 500 No\r\n\r\n", end=False
    )
    assert (response.done, response.status, bytes(response.body)) == (True, 200, b"ok")
    assert response.header("x") == "y"
    assert response.header("none") == ""


def test_chunks() -> None:
    """A chunked body is put together, and trailers are not headers."""
    wire = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nStatus: 9\r\n\r\n"
    )
    response = read(wire, end=False)
    assert (response.done, bytes(response.body), response.header("status")) == (True, b"ok", "")


def test_until_close() -> None:
    """Without a length the body ends where the server closes."""
    assert bytes(read(b"HTTP/1.0 200 OK\r\n\r\no", b"k").body) == b"ok"


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(status: int) -> None:
    """RFC 9112 section 6.3: these have none, whatever their headers say."""
    assert read(f"HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n".encode(), end=False).done


def test_head() -> None:
    """The answer to HEAD ends with its headers."""
    response = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method="HEAD", end=False)
    assert (response.done, response.status) == (True, 200)


def test_interim() -> None:
    """Interim responses are passed over, also before the answer to HEAD."""
    wire = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for method in ("GET", "HEAD"):
        response = read(wire, method=method, end=False)
        assert (response.done, response.status, response.header("link")) == (True, 200, "")


def test_switching_protocols() -> None:
    """101 is a final answer."""
    wire = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"
    response = read(wire, end=False)
    assert (response.done, response.status) == (True, 101)


def test_longer_than_wanted() -> None:
    """A body over the limit is cut, and reading stops."""
    response = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x" * 2000, end=False)
    assert (response.done, response.cut, len(response.body)) == (True, True, 1000)


def test_exactly_as_long_as_wanted() -> None:
    """A body of just the limit is whole."""
    response = read(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000, end=False)
    assert (response.done, response.cut, len(response.body)) == (True, False, 1000)


def test_no_body_wanted() -> None:
    """With no room for a body, the headers are the end."""
    assert read(b"HTTP/1.1 200 OK\r\n\r\nx", max_body=0, end=False).done


def test_endless_headers() -> None:
    """Headers without end are a failure after their limit."""
    pieces = [b"HTTP/1.1 200 OK\r\n"] + [b"X: " + b"y" * 90 + b"\r\n"] * 100
    assert fails(*pieces) == "more than 4096 bytes of headers"


def test_endless_header_line() -> None:
    """So is one endless header."""
    assert fails(b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * 1000] * 10) == "more than 4096 bytes of headers"


def test_endless_interim() -> None:
    """So are interim responses without a final one."""
    assert fails(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000) == "more than 4096 bytes of headers"


def test_endless_trailers() -> None:
    """Trailers without end are a failure."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert "bytes on the wire for 0 bytes of body" in fails(head, *[b"X: y\r\n"] * 5000)


def test_endless_chunk_extension() -> None:
    """So is a chunk's extension."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    assert "bytes on the wire for 0 bytes of body" in fails(head, *[b"x" * 1000] * 20)


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20000 OK\r\n\r\n",
        b"\x16\x03\x01\x00\x05",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ],
)
def test_not_http(wire: bytes) -> None:
    """What is no HTTP is quoted."""
    complaint = fails(wire)
    assert complaint.startswith("not HTTP (")


@pytest.mark.parametrize(
    ("wire", "complaint"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nX", r"closed after 18 bytes 'HTTP/1.1 200 OK\r\nX'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "answered 200, body cut off after 2 bytes of 5"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "answered 200, body cut off after 2 bytes, before the last chunk",
        ),
    ],
)
def test_cut_off(wire: bytes, complaint: str) -> None:
    """A response that ends too early says where."""
    assert fails(*([wire] if wire else [])) == complaint


def test_progress() -> None:
    """How far a response has come can be told at any time."""
    response = Response(method="GET", max_head=4096, max_body=10)
    assert response.progress == "request sent, waiting for the answer"
    response.feed(b"HTTP/1.1 200")
    assert response.progress == "in the headers after 12 bytes 'HTTP/1.1 200'"
    response.feed(b" OK\r\n\r\nok")
    assert response.progress == "answered 200, in the body after 2 bytes"


def result(pieces: list[bytes]) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool] | None:
    """All that can be known of a response made of these pieces."""
    response = Response(method="GET", max_head=100_000, max_body=64)
    try:
        for piece in pieces:
            if not response.done:
                response.feed(piece)
        response.end()
    except ProbeError:
        return None
    return response.status, tuple(response.headers), bytes(response.body), response.cut


PIECES = st.sampled_from(
    [
        b"HTTP/1.1 ",
        b"HTTP/1.0 ",
        b"200 OK",
        b"100 ",
        b"204 ",
        b"101 ",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"X: y\r\n",
        b"Content-Length: ",
        b"3\r\n",
        b"0\r\n",
        b"2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"abc",
        b"\x00",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"fffffffffffffffff\r\n",
        b"\xff",
        b" ",
        b";",
        b":",
    ]
)
WIRE = st.lists(PIECES | st.binary(max_size=8), max_size=30).map(b"".join)


@given(WIRE, st.data())
def test_any_bytes(wire: bytes, data: st.DataObject) -> None:
    """Any bytes give a response or a ProbeError, in bounded memory, however they are cut into pieces."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    edges = [0, *cuts, len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(edges) if a < b]
    whole = result([wire] if wire else [])
    assert whole == result(pieces)
    if whole:
        status, _, body, _ = whole
        assert 100 <= status <= 999
        assert len(body) <= 64
