"""`lvshad`: the command that systemd starts.

The parent stays small: what a child needs is imported in the child, after the fork.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lvsha import __version__
from lvsha.daemon.parent import BAD_CONFIGURATION, Body, Parent
from lvsha.events import CATALOGUE

CONFIG = Path("/etc/lvsha/lvsha.toml")


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon, or check its configuration; the exit status.

    0: stopped when told to, or the configuration is good; 1: failed; 2: bad usage or configuration.
    """
    options = _parser().parse_args(arguments)
    if options.check:
        return _check(options.config, options.node)
    console = {"auto": None, "json": False, "console": True}[options.log]
    return Parent(
        director=_director(options.config, options.node, console), speaker=_speaker(console), log=_log
    ).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvshad", description="A high-availability director for Linux Virtual Server."
    )
    parser.add_argument(
        "--config", "-c", type=Path, default=CONFIG, metavar="FILE", help=f"configuration (default {CONFIG})"
    )
    parser.add_argument("--node", metavar="NAME", help="this node's name in [nodes] (default: the host name)")
    parser.add_argument(
        "--check", action="store_true", help="print every problem of the configuration and end"
    )
    parser.add_argument(
        "--log",
        choices=("auto", "json", "console"),
        default="auto",
        help="form of the log (auto: by terminal)",
    )
    parser.add_argument("--version", action="version", version=f"lvshad {__version__}")
    return parser


def _check(config: Path, node: str | None) -> int:
    from lvsha.config import check

    report = check(config, node)
    for problem in (*report.errors, *report.warnings):
        print(problem, file=sys.stderr)  # noqa: T201 - a person asked on a command line
    return BAD_CONFIGURATION if report.errors else 0


def _director(config: Path, node: str | None, console: bool | None) -> Body:
    def body(pipe: int) -> int:
        from lvsha.daemon.process import run
        from lvsha.daemon.supervisor import Options

        return run(Options(config, node, console), pipe)

    return body


def _speaker(console: bool | None) -> Callable[[str], Body]:
    def of(runtime: str) -> Body:
        # Before the fork, unlike everything else: a speaker that is started again has no time for imports.
        from lvsha.speaker.process import run

        def body(pipe: int) -> int:
            return run(Path(runtime), pipe=pipe, console=console)

        return body

    return of


def _log(event: str, **fields: object) -> None:
    """The parent's own words, in the form of the log but without its machinery."""
    known = CATALOGUE[event]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"timestamp": now, "severity": known.severity.value, "alert": known.alert, "event": event}
    line = (json.dumps(head | fields) + "\n").encode()
    output = sys.stdout.fileno()
    # One write a line: the children write to the same place. An output that is not read, or is gone, must not
    # keep the parent from its children; what is ready to be written to takes a page at least (pipe(7)).
    with contextlib.suppress(OSError):
        if select.select([], [output], [], 0)[1]:
            os.write(output, line)


if __name__ == "__main__":
    sys.exit(main())
