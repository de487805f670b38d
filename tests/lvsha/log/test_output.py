"""The writer of standard output, before readers that read, do not, and go away."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator

import pytest

from lvsha.log.output import Output


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of the least size, so that it is full soon."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def read_lines(reader: int, until: str) -> list[str]:
    """Lines from a pipe up to the one that holds a word."""
    data = b""
    while until.encode() not in data or not data.endswith(b"\n"):
        data += os.read(reader, 65536)
    return data.decode().splitlines()


def test_writes_in_order(pipe: tuple[int, int]) -> None:
    """Lines come out whole and in order."""
    reader, writer = pipe
    output = Output(writer)
    for number in range(50):
        output.info(f"line {number}")
    assert output.flush()
    assert read_lines(reader, "line 49") == [f"line {n}" for n in range(50)]
    output.close()


def test_unread_output_stops_nobody(pipe: tuple[int, int]) -> None:
    """With nobody reading, saying something takes no time; the lines lost are counted and told."""
    reader, writer = pipe
    output = Output(writer, queue=100)
    begin = time.perf_counter()
    for number in range(5000):
        output.info(f"line {number} " + "x" * 100)
    assert time.perf_counter() - begin < 2
    assert not output.flush(timeout=0.05)
    written: list[int] = []
    dropped = 0
    while len(written) + dropped < 5000:
        for line in read_lines(reader, "\n"):
            if line.startswith("line "):
                written.append(int(line.split()[1]))
            else:
                dropped += json.loads(line)["lines"]
    assert dropped > 4000
    assert len(written) + dropped == 5000
    assert written == sorted(written)
    output.info("later")
    assert read_lines(reader, "later") == ["later"]
    output.close()


def test_nonblocking_output(pipe: tuple[int, int]) -> None:
    """An open file that somebody else made non-blocking loses nothing."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    output = Output(writer)
    for number in range(200):
        output.info(f"line {number} " + "x" * 100)
    assert len(read_lines(reader, "line 199")) == 200
    output.close()


def test_reader_gone(pipe: tuple[int, int]) -> None:
    """When the reader has gone, the writer stays silent and alive."""
    reader, writer = pipe
    os.close(reader)
    output = Output(writer)
    for _ in range(3):
        output.info("to nobody")
        assert output.flush()
    output.close()


def test_close_writes_the_rest(pipe: tuple[int, int]) -> None:
    """Closing writes what is queued."""
    reader, writer = pipe
    output = Output(writer)
    output.info("last words")
    output.close()
    os.close(writer)
    assert os.read(reader, 100) == b"last words\n"


def test_close_does_not_wait_for_ever(pipe: tuple[int, int]) -> None:
    """Closing before a reader that does not read ends after the time given."""
    _, writer = pipe
    output = Output(writer)
    output.info("x" * 100_000)
    begin = time.perf_counter()
    output.close(timeout=0.05)
    assert time.perf_counter() - begin < 1
