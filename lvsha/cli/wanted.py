"""What a real server must be ready for, as options of the command line or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lvsha.cli.failure import CommandError, Status
from lvsha.errors import InputError

if TYPE_CHECKING:
    from checks.audit import Preparation

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = Path("/etc/lvsha/realserver.toml")

_WANTED = (
    click.option("--mode", type=click.Choice(["dr", "tun"]), help="Direct routing, or a tunnel."),
    click.option("--vip", "vips", multiple=True, metavar="ADDRESS", help="A service's address; repeatable."),
    click.option(
        "--interface",
        "interfaces",
        multiple=True,
        metavar="NAME",
        help="Keep still on this interface only; repeatable. Default: on all, also future ones.",
    ),
    click.option("--tunnel", type=click.Choice(["ipip", "gue", "gre"]), help="How packets are wrapped."),
    click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="UDP port of gue."),
    click.option(
        "--checksum",
        type=click.Choice(["none", "checksum", "remote"]),
        help="As the director has it; it matters for gre.",
    ),
    click.option("--local", metavar="ADDRESS", help="The server's address that the director sends to."),
    click.option("--device", metavar="NAME", help="Use this tunnel device, such as tunl0."),
    click.option(
        "--director",
        "directors",
        multiple=True,
        metavar="ADDRESS",
        help="A director's address; repeatable.",
    ),
    click.option(
        "--from",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read all that from a file as `setup` writes it.",
    ),
)


def wanted_options(command: Command) -> Command:
    """The options."""
    for option in reversed(_WANTED):
        command = option(command)
    return command


def said(options: dict[str, Any]) -> Preparation | None:
    """What the options say; None where they say nothing."""
    file = options.pop("file")
    given = {name: value for name, value in options.items() if value}
    if file is not None:
        if given:
            raise click.UsageError("--from says it all: no other option goes with it")
        return filed(file)
    if not given:
        return None
    from checks import SettingsError
    from checks.audit import Encapsulation, Preparation

    tunnel = {"kind": given.pop("tunnel", "ipip")} | {
        name: given.pop(name) for name in ("port", "checksum") if name in given
    }
    try:
        return Preparation(
            given.pop("mode", ""), given.pop("vips", ()), tunnel=Encapsulation(**tunnel), **given
        )
    except SettingsError as wrong:
        raise CommandError(Status.WRONG, "this makes no sense", wrong.problems) from wrong


def filed(path: Path = FILE) -> Preparation:
    """What the file says. Raises CommandError."""
    from lvsha.realserver.file import read

    try:
        return read(path)
    except InputError as error:
        hint = "say --mode and --vip" if path == FILE else ""
        raise CommandError(Status.WRONG, str(error), [hint]) from error
