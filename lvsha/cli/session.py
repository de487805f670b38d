"""What every command is given: the client, and how to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from lvsha.cli.client import Client
from lvsha.cli.failure import CommandError
from lvsha.cli.words import seconds

SOCKET = "/run/lvsha/lvsha.sock"


class Session:
    """The options that stand before the command."""

    def __init__(self, socket: str, *, as_json: bool) -> None:
        self.client = Client(socket)
        self.as_json = as_json

    def tell(self, answer: Any, show: Callable[[Any], None]) -> None:
        """Tell an answer: as it is when JSON was asked for, else by `show`."""
        if self.as_json:
            print(json.dumps(answer, indent=2, ensure_ascii=False))
        else:
            show(answer)


session = click.make_pass_decorator(Session)


def _json_here(context: click.Context, _: click.Parameter, value: bool) -> None:
    asked = context.find_object(Session)
    if value and asked is not None:
        asked.as_json = True


as_json = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_json_here,
    help="Answer with JSON.",
)
"""The option, for those who say it after the command."""


class Duration(click.ParamType[float]):
    """A duration in words, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; a usage error where it is none."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def complete_target(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The targets that the daemon knows, for the shell's completion; none when it does not answer."""
    root = context.find_root()
    try:
        servers = Client(root.params.get("socket") or SOCKET, patience=1.0).get("/v1/servers")
    except CommandError:
        return []
    words = {w for s in servers for w in (s["name"], f"{s['service']}/{s['name']}")}
    return sorted(word for word in words if word.startswith(begun))


target = click.argument("target", shell_complete=complete_target)
