"""`emit` and what it makes of its fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv4Address

import pytest
import structlog

from lvsha.log.record import TEXT, Record, UnknownEventError, emit, emit_calmly, listening, plain


class Colour(Enum):
    """A value with a value."""

    RED = "red"


def test_calmly() -> None:
    """What is ordinary this time is for nobody to look at, and is otherwise the same."""
    said = emit_calmly("vrrp.state", instance="public", state="backup")
    assert (said["severity"], said["alert"], said["state"]) == ("info", False, "backup")


def test_record() -> None:
    """A record has the name, the catalogue's severity and alert, the time in UTC and the fields."""
    before = datetime.now(UTC)
    said = emit("server.down", service="web", port=80)
    assert {k: said[k] for k in said if k != "timestamp"} == {
        "severity": "error",
        "alert": True,
        "event": "server.down",
        "service": "web",
        "port": 80,
    }
    assert said["timestamp"].endswith("Z")
    assert abs((datetime.fromisoformat(said["timestamp"]) - before).total_seconds()) < 5


def test_unknown_name() -> None:
    """A name that is not catalogued is refused and nobody hears of it."""
    heard: list[Record] = []
    with listening(heard.append), pytest.raises(UnknownEventError, match=r"server\.upp"):
        emit("server.upp")
    assert heard == []


def test_listening_ends() -> None:
    """A listener hears what is said within, and no more."""
    heard: list[Record] = []
    with listening(heard.append):
        emit("daemon.stopping", why="SIGTERM")
    emit("daemon.stopped", seconds=1.0)
    assert [said["event"] for said in heard] == ["daemon.stopping"]


def test_goes_through_structlog() -> None:
    """Each event is one call of structlog, at the event's severity."""
    with structlog.testing.capture_logs() as logs:
        emit("service.down", service="web")
    assert [(e["event"], e["log_level"], e["service"]) for e in logs] == [("service.down", "critical", "web")]


def test_exception_becomes_text() -> None:
    """An exception is written as its traceback."""
    try:
        int("x")
    except ValueError as error:
        said = emit("reconcile.failed", exception=error, error=error)
    assert said["error"].startswith("invalid literal")
    assert said["exception"].startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        ("text", "text"),
        (Colour.RED, "red"),
        (IPv4Address("192.0.2.1"), "192.0.2.1"),
        ((1, Colour.RED), [1, "red"]),
        ({IPv4Address("192.0.2.1"): {1}}, {"192.0.2.1": [1]}),
        (ValueError("what"), "what"),
    ],
)
def test_plain(value: object, expected: object) -> None:
    """Any value becomes one that JSON has."""
    assert plain(value) == expected
    json.dumps(plain(value))


def test_long_text_is_cut() -> None:
    """Text from outside cannot fill the log."""
    cut = plain("x" * 1_000_000)
    assert isinstance(cut, str)
    assert len(cut) < TEXT + 100
    assert cut.endswith("(1000000 characters)")


def test_fields_cannot_replace_the_head() -> None:
    """No event can be said under a false name or time, whatever fields another process sends."""
    relayed = {"event": "server.up", "timestamp": "1970", "alert": False, "service": "web"}
    said = emit("server.down", **relayed)
    assert (said["event"], said["alert"], said["service"]) == ("server.down", True, "web")
    assert said["timestamp"] > "2000"
