"""The log of a speaker without a director."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator

import pytest

from lvsha.speaker import voice
from lvsha.speaker.voice import log


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Reads what is logged: a pipe as small as the kernel makes them."""
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.set_blocking(writing, True)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(voice, "_OUTPUT", writing)
    yield reading
    os.close(reading)
    os.close(writing)


def test_a_line_is_the_logs(output: int) -> None:
    """Time, severity and alert of the catalogue, then the fields."""
    log("vip.lost", address="192.0.2.100/24", interface="eth0")
    line = json.loads(os.read(output, 4096))
    assert line["event"] == "vip.lost"
    assert (line["severity"], line["alert"], line["interface"]) == ("error", True, "eth0")


def test_a_reader_that_stopped_holds_nothing_up(output: int) -> None:
    """When the pipe is full, lines are lost and nobody waits."""
    for _ in range(1000):
        log("vip.added", address="192.0.2.100/24", interface="eth0")
    assert len(os.read(output, 100_000)) <= 4096


def test_a_long_line_is_cut(output: int) -> None:
    """A field from outside cannot make a line that would block."""
    log("tracker.failed", instance="x", interface="eth0", tracker="t", weight=0, detail="y" * 100_000)
    assert len(os.read(output, 100_000)) == 4096
