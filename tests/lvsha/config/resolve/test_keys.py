"""Tests of `lvsha.config.resolve.keys`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvsha.config.problems import Severity
from lvsha.config.resolve.keys import key

PATH = ("vrrp", "a", "auth", "keys", "1")
PLAIN = "0123456789abcdef0123456789abcdef"
HEX = "hex:" + "ab" * 40


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (PLAIN, PLAIN.encode()),
        (PLAIN * 2, PLAIN.encode() * 2),
        (HEX, b"\xab" * 40),
        ("ü" * 16, "ü".encode() * 16),
    ],
)
def test_spellings(text: str, data: bytes) -> None:
    """Plain text and hexadecimal, of 32 to 64 bytes."""
    assert key(text, PATH) == (data, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3cret", "is 6 bytes long, not 32 to 64"),
        (PLAIN * 2 + "x", "is 65 bytes long, not 32 to 64"),
        ("hex:s3cret", "is not hexadecimal after hex:"),
        ("file:s3cret", "is not an absolute path"),
    ],
)
def test_what_is_no_key(text: str, message: str) -> None:
    """The length is told, the key is not."""
    _, (problem,) = key(text, PATH)
    assert problem.path == PATH
    assert message in problem.message
    assert "s3cret" not in problem.message.replace("file:s3cret", "")


@pytest.mark.parametrize(("text", "data"), [(PLAIN + "\n", PLAIN.encode()), (f" {HEX} \n", b"\xab" * 40)])
def test_key_in_a_file(tmp_path: Path, text: str, data: bytes) -> None:
    """A file holds what would stand in the configuration; space around it is not part of the key."""
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    assert key(f"file:{file}", PATH) == (data, [])


def test_key_that_everybody_may_read(tmp_path: Path) -> None:
    """Such a key is used, and told of."""
    file = tmp_path / "key"
    file.write_text(PLAIN)
    file.chmod(0o644)
    data, (problem,) = key(f"file:{file}", PATH)
    assert data == PLAIN.encode()
    assert problem.severity is Severity.WARNING
    assert problem.hint == f"chmod o-r {file}"


def test_what_is_no_file_of_a_key(tmp_path: Path) -> None:
    """A file that is missing, endless, a pipe or no text is told, and reading it ends at once."""
    binary, pipe = tmp_path / "binary", tmp_path / "pipe"
    binary.write_bytes(b"\xff" * 32)
    os.mkfifo(pipe)
    for file, message in (
        (tmp_path / "none", "there is no such file"),
        (Path("/dev/zero"), "is not a regular file"),
        (pipe, "is not a regular file"),
        (binary, "is not text"),
    ):
        _, (problem,) = key(f"file:{file}", PATH)
        assert problem.message == f"{file} {message}"


def test_key_file_that_is_too_large(tmp_path: Path) -> None:
    """Nobody's key is a megabyte."""
    file = tmp_path / "key"
    file.write_text("x" * 5000)
    _, (problem,) = key(f"file:{file}", PATH)
    assert "is larger than 4096 bytes" in problem.message
