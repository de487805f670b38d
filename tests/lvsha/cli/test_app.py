"""The table of commands."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from lvsha.cli.app import COMMANDS, cli

DOCS = (Path(__file__).parents[3] / "docs/cli.md").read_text()


def command(name: str) -> click.Command:
    """The command of that name, imported."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads(name: str) -> None:
    """Each name of the table is a command that explains itself."""
    assert command(name).name == name
    assert command(name).help


def test_unknown() -> None:
    """A name that is not in the table is no command."""
    assert cli.get_command(click.Context(cli), "nonsense") is None


def test_documented() -> None:
    """docs/cli.md explains every command, in the order of the table."""
    told = re.findall(r"^### `([a-z]+)", DOCS, re.MULTILINE)
    assert list(dict.fromkeys(told)) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_documented(name: str) -> None:
    """The section of each command names each of its options."""
    section = re.search(rf"^### `{name}.*?(?=^##|\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert section is not None
    found = command(name)
    parts = list(found.commands.values()) if isinstance(found, click.Group) else [found]
    options = {o for part in parts for p in part.params if isinstance(p, click.Option) for o in p.opts}
    assert {o for o in options if o not in section[0]} <= {"--json"}
