"""The command, run in this process against a director behind the real API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from lvsha.cli.__main__ import run
from tests.lab.control import Director, serving


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def director() -> Director:
    """A director without a kernel."""
    return Director()


@pytest.fixture
def quiet() -> Iterator[None]:
    """The director's log does not get into the command's output: it is the same process here."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def socket(director: Director, tmp_path: Path, quiet: None) -> Iterator[Path]:
    """The socket on which it is served."""
    path = tmp_path / "sock"
    with serving(director, path):
        yield path


@pytest.fixture
def cli(socket: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command with arguments and gives what it came to."""

    def command(*arguments: str) -> Done:
        capfd.readouterr()
        status = run(["--socket", str(socket), *arguments])
        out, err = capfd.readouterr()
        return Done(int(status), out, err)

    return command
