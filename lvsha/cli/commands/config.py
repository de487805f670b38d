"""The configuration file: checked here, without the daemon; shown as the daemon has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lvsha.cli import show
from lvsha.cli.failure import Status
from lvsha.cli.session import Session, as_json, session
from lvsha.cli.words import plural

FILE = "/etc/lvsha/lvsha.toml"


@click.group()
def config() -> None:
    """Check, explain or show the configuration."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=FILE)
@click.option(
    "--node", metavar="NAME", help="Check it as this node would read it (default: this host's name)."
)
@as_json
@session
def check(asked: Session, file: Path, node: str | None) -> int:
    """Tell every problem of FILE (default: /etc/lvsha/lvsha.toml); exits with 2 when there is one.

    The daemon is not asked, so that a file can be checked anywhere.
    """
    # Imported here: half a second that no other command needs.
    from lvsha.config import check as find

    report = find(file, node)
    answer = {
        "errors": [_problem(problem) for problem in report.errors],
        "warnings": [_problem(problem) for problem in report.warnings],
    }
    asked.tell(answer, lambda a: _report(file, a))
    return Status.WRONG if report.errors else Status.DONE


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from lvsha.config import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@config.command(name="show")
@as_json
@session
def show_(asked: Session) -> None:
    """Print the configuration that the daemon has in force, as JSON, secrets left out."""
    print(json.dumps(asked.client.get("/v1/config"), indent=2, ensure_ascii=False))


def _problem(problem: Any) -> dict[str, Any]:
    return {
        "file": str(problem.file),
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
        "text": str(problem),
    }


def _report(file: Path, answer: dict[str, list[dict[str, Any]]]) -> None:
    for severity, problems in (("error", answer["errors"]), ("warning", answer["warnings"])):
        show.lines(f"{severity}: {problem['text']}" for problem in problems)
    errors, warnings = len(answer["errors"]), len(answer["warnings"])
    told = f"{plural(errors, 'error')}, {plural(warnings, 'warning')}"
    show.line(f"{file}: {told}" if errors or warnings else f"{file}: no problems")
