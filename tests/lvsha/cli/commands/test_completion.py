"""The shell's completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lvsha.cli.conftest import Command

ENTRY = "from lvsha.cli.__main__ import main; import sys; sys.argv[0] = 'lvsha-cli'; main()"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(cli: Command, shell: str) -> None:
    """The script of each shell calls the command with the variable that it listens to."""
    assert "_LVSHA_CLI_COMPLETE" in cli("completion", shell).out


def test_bash_takes_it(cli: Command) -> None:
    """Bash reads its script without complaint."""
    script = cli("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=30)


def completed(words: str, socket: Path) -> list[str]:
    """What the words on a command line are completed to."""
    environment = os.environ | {
        "_LVSHA_CLI_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "LVSHA_SOCKET": str(socket),
    }
    done = subprocess.run(
        [sys.executable, "-c", ENTRY], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_targets(socket: Path) -> None:
    """Targets are completed from what the daemon has."""
    assert completed("lvsha-cli drain we", socket) == ["web/rs1", "web/rs2"]
    assert completed("lvsha-cli servers rs", socket) == ["rs1", "rs2", "rs6"]


def test_commands(socket: Path) -> None:
    """Commands are completed without the daemon."""
    assert completed("lvsha-cli dr", socket.with_name("none")) == ["drain"]


def test_no_daemon(tmp_path: Path) -> None:
    """Without the daemon there is nothing to complete, and no noise."""
    assert completed("lvsha-cli drain we", tmp_path / "none") == []
