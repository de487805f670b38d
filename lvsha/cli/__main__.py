"""The entry point: runs a command and turns whatever comes of it into an exit status."""

from __future__ import annotations

import os
import sys

import click

from lvsha.cli.app import cli
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.words import safe


def main() -> None:
    """Run the command that the command line names, and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command; the exit status (see `lvsha.cli.failure`)."""
    try:
        status = cli.main(arguments, prog_name="lvsha-cli", standalone_mode=False)
        sys.stdout.flush()
    except CommandError as failure:
        return _told(failure)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return Status.INTERRUPTED
    except BrokenPipeError:
        # Whoever read has seen enough; Python must not try to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.FAILED
    return status if isinstance(status, int) else Status.DONE


def _told(failure: CommandError) -> int:
    print(f"lvsha-cli: {safe(failure)}", file=sys.stderr)
    for line in failure.lines:
        print(f"  {safe(line)}", file=sys.stderr)
    return failure.status


if __name__ == "__main__":
    main()
