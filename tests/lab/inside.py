"""Run a Python module where there is IPVS: here, or in a guest, with its output as it comes.

    python -m tests.lab.inside bench.scale --services 1000

The module sees the same files, the same arguments and root; its exit status is this program's. Whether the
output is a terminal is told it by COLUMNS and FORCE_COLOR, for it writes into a file.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from pathlib import Path

from tests.lab import kernel
from tests.lab.follow import Lines
from tests.lab.guest import Guest
from tests.lab.kernel import Kind, NoKernelError

ROOT = Path(__file__).parents[2]
SILENCE = 300.0
"""Seconds without a line of output after which a guest counts as hung."""
PREFIX = "\x02"
"""The line that carries the exit status begins with it."""


def main(argv: list[str]) -> int:
    """Run the module `argv[0]` with the arguments after it."""
    try:
        kind = kernel.choose("ipvs", kernel.look(), os.environ.get(kernel.CHOICE))
    except NoKernelError as error:
        print(error, file=sys.stderr)
        return 1
    if kind is Kind.NATIVE:
        sys.argv = argv
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
        return 0
    return _in_guest(kind, argv)


def _in_guest(kind: Kind, argv: list[str]) -> int:
    guest = Guest(kind)
    output = guest.share / "output"
    output.touch()
    environment = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if sys.stdout.isatty():
        environment |= {"FORCE_COLOR": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
    script = f'"$@" >"{output}" 2>&1; echo "{PREFIX}$?" >>"{output}"'
    try:
        guest.start(
            ["sh", "-c", script, "sh", sys.executable, "-m", *argv], directory=ROOT, environment=environment
        )
        return _follow(guest, output)
    finally:
        guest.stop()


def _follow(guest: Guest, output: Path) -> int:
    with Lines(output) as lines:
        while (line := lines.take(guest.pidfd, SILENCE)) is not None:
            if line.startswith(PREFIX):
                return int(line[1:])
            print(line, flush=True)
    print(f"the guest ended before its program did:\n{guest.tail()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
