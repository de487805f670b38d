"""The client before daemons that are away, slow, or not lvshad."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

import lvsha.cli.client
from lvsha.cli.client import Client, RefusedError, _query
from lvsha.cli.failure import CommandError, Status
from tests.lab.control import Director


@contextlib.contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[Client]:
    """A client of a server that gives everybody the same bytes; None: it never answers."""
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            if answer is None:
                stop.wait(10)
            else:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield Client(str(path), patience=0.2 if answer is None else 5.0)
        finally:
            stop.set()
            thread.join(10)


def failing(path: Path) -> CommandError:
    """What a question to that socket fails with."""
    with pytest.raises(CommandError) as failure:
        Client(str(path)).get("/v1/status")
    return failure.value


def test_answers(socket: Path) -> None:
    """A question is answered with what JSON has, a refusal with what it says."""
    client = Client(str(socket))
    assert client.get("/v1/status")["node"] == "lb1"
    with pytest.raises(RefusedError, match="no server 'rs9'") as refusal:
        client.get("/v1/servers", target="rs9")
    assert refusal.value.status is Status.NO_TARGET


def test_large_answer(socket: Path, director: Director) -> None:
    """An answer of many packets arrives whole."""
    director.warnings = tuple(f"warning {n} " + "x" * 1000 for n in range(2000))
    assert len(Client(str(socket)).get("/v1/status")["warnings"]) == 2000


def test_no_socket(tmp_path: Path) -> None:
    """Where there is no socket, the daemon is not running, or the path is wrong."""
    failure = failing(tmp_path / "none")
    assert failure.status is Status.UNREACHABLE
    assert failure.lines == ("is lvshad running? see `systemctl status lvsha`, or say --socket",)


def test_dead_socket(tmp_path: Path) -> None:
    """A socket that nobody serves is told in the same way."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
    assert "Connection refused" in str(failing(tmp_path / "sock"))


def test_not_allowed(tmp_path: Path) -> None:
    """Who may not connect is told who may."""
    error = lvsha.cli.client._unreachable("/sock", PermissionError(13, "Permission denied"))
    assert error.lines == ("it is for root and for the group in [api] group",)


def test_path_too_long(tmp_path: Path) -> None:
    """A path that no socket can have is told, not raised through."""
    assert "too long" in str(failing(tmp_path / ("x" * 200)))


def test_silent(tmp_path: Path) -> None:
    """A daemon that does not answer is waited for so long and no longer."""
    with answering(tmp_path / "sock", None) as client, pytest.raises(CommandError) as failure:
        client.get("/v1/status")
    assert failure.value.status is Status.TIMED_OUT


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.0\r\n\r\n",
        b"HTTP/1.0 x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n<html>",
        b'HTTP/1.0 200 OK\r\n\r\n{"node":',
        b"HTTP/1.0 500 Oops\r\n\r\n[]",
        b"\xff" * 100_000,
    ],
)
def test_not_lvshad(tmp_path: Path, answer: bytes) -> None:
    """Whatever else answers at the socket is told, not raised through."""
    with answering(tmp_path / "sock", answer) as client, pytest.raises(CommandError, match="not lvshad"):
        client.get("/v1/status")


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (404, '{"error": "no such path"}', Status.WRONG),
        (404, '{"error": "no such server", "candidates": []}', Status.NO_TARGET),
        (409, '{"error": "ambiguous", "candidates": []}', Status.NO_TARGET),
        (422, '{"error": "nonsense"}', Status.WRONG),
        (500, "{}", Status.FAILED),
        (502, '{"error": "EPERM"}', Status.FAILED),
        (503, '{"error": "no speaker"}', Status.FAILED),
        (504, '{"error": "in vain"}', Status.TIMED_OUT),
    ],
)
def test_meaning(tmp_path: Path, status: int, body: str, meaning: Status) -> None:
    """What the daemon refuses has an exit status that tells why."""
    answer = f"HTTP/1.0 {status} X\r\n\r\n{body}".encode()
    with answering(tmp_path / "sock", answer) as client, pytest.raises(RefusedError) as refusal:
        client.get("/v1/status")
    assert refusal.value.status is meaning


def test_stream(tmp_path: Path) -> None:
    """A stream gives its objects and skips the lines that show it lives."""
    answer = b'HTTP/1.0 200 OK\r\n\r\n{"seq": 1}\n\n\n{"seq": 2}\n'
    with answering(tmp_path / "sock", answer) as client:
        assert [event["seq"] for event in client.stream("/v1/events")] == [1, 2]


def test_stream_refused(tmp_path: Path) -> None:
    """A stream that is refused fails like any question."""
    answer = b'HTTP/1.0 503 X\r\n\r\n{"error": "32 streams of events are open already"}'
    with answering(tmp_path / "sock", answer) as client, pytest.raises(RefusedError, match="32 streams"):
        next(client.stream("/v1/events"))


@pytest.mark.parametrize("value", ["web/rs1", "[2001:db8::3]:80", "a&b=c#d e", "ä\n\0%"])
def test_query(value: str) -> None:
    """Any text arrives as it is."""
    assert parse_qsl(_query({"target": value, "none": None})[1:]) == [("target", value)]


def test_no_query() -> None:
    """Values of None are left out."""
    assert _query({"since": None}) == ""
    assert os.sep not in _query({"a": "x/y"})
