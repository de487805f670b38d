"""The control API over its Unix socket: one request a connection.

HTTP/1.0 is all it takes: the answer ends where the connection ends, a stream goes on until it does. That
is forty lines, and `http.client` alone would double the time the command takes to start.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO

from lvsha.cli.failure import CommandError, Status

LARGEST = 256 * 1024 * 1024
"""Bytes of an answer."""
LONGEST_LINE = 1024 * 1024
PATIENCE = 40.0
"""Seconds to wait for an answer: the API gives up after 30."""
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Client:
    """Asks the daemon behind a socket."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self.path = path
        self._patience = patience

    def get(self, path: str, **query: object) -> Any:
        """The answer to a question; a query value of None is left out. Raises CommandError."""
        with self._ask("GET", path + _query(query), None, self._patience) as (status, answer):
            return _checked(status, _json(answer.read(LARGEST)))

    def post(self, path: str, body: dict[str, Any] | None = None, *, wait: float = 0.0) -> Any:
        """The answer to a command that may take `wait` seconds more than others. Raises CommandError."""
        with self._ask("POST", path, json.dumps(body or {}).encode(), self._patience + wait) as (
            status,
            answer,
        ):
            return _checked(status, _json(answer.read(LARGEST)))

    def stream(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """The objects of a stream, until the daemon ends it. Raises CommandError."""
        with self._ask("GET", path + _query(query), None, self._patience) as (status, answer):
            if status != 200:
                _checked(status, _json(answer.read(LARGEST)))
            while line := answer.readline(LONGEST_LINE):
                # An empty line says that the stream lives.
                if line.strip():
                    yield _json(line)

    @contextlib.contextmanager
    def _ask(
        self, method: str, path: str, body: bytes | None, patience: float
    ) -> Iterator[tuple[int, BinaryIO]]:
        """Status and answer of one request."""
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.0\r\nHost: lvsha\r\n{length}\r\n".encode()
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.settimeout(patience)
                sock.connect(self.path)
                sock.sendall(head + (body or b""))
                with sock.makefile("rb") as answer:
                    yield _status(answer), answer
            except TimeoutError as error:
                raise CommandError(
                    Status.TIMED_OUT, f"lvshad did not answer within {patience:g} s"
                ) from error
            except OSError as error:
                raise _unreachable(self.path, error) from error


def _unreachable(path: str, error: OSError) -> CommandError:
    match error:
        case PermissionError():
            hint = "it is for root and for the group in [api] group"
        case FileNotFoundError() | ConnectionRefusedError():
            hint = "is lvshad running? see `systemctl status lvsha`, or say --socket"
        case _:
            hint = ""
    why = error.strerror or str(error)
    return CommandError(Status.UNREACHABLE, f"lvshad cannot be reached at {path}: {why}", [hint])


def _status(answer: BinaryIO) -> int:
    """The status, with the head read to its end."""
    first = answer.readline(LONGEST_LINE).split()
    while answer.readline(LONGEST_LINE).strip():
        pass
    if len(first) < 2 or not first[0].startswith(b"HTTP/") or not first[1].isdigit():
        raise _nonsense()
    return int(first[1])


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise _nonsense() from error


def _nonsense() -> CommandError:
    return CommandError(
        Status.UNREACHABLE, "what answers at the socket is not lvshad, or it was just stopped"
    )


def _checked(status: int, answer: Any) -> Any:
    """The answer, unless it tells an error."""
    if status == 200:
        return answer
    if not isinstance(answer, dict):
        raise _nonsense()
    raise RefusedError(status, answer)


class RefusedError(CommandError):
    """The daemon refused; `answer` is what it said."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        hint = str(answer.get("hint", ""))
        super().__init__(_meaning(status, answer), str(answer.get("error", f"HTTP {status}")), [hint])
        self.answer = answer


def _meaning(status: int, answer: dict[str, Any]) -> Status:
    if "candidates" in answer:
        return Status.NO_TARGET
    if status == 504:
        return Status.TIMED_OUT
    return Status.WRONG if status in (404, 405, 413, 422) else Status.FAILED


def _query(values: dict[str, object]) -> str:
    pairs = "&".join(f"{key}={_quoted(str(value))}" for key, value in values.items() if value is not None)
    return f"?{pairs}" if pairs else ""


def _quoted(text: str) -> str:
    return "".join(c if c in _UNRESERVED else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
