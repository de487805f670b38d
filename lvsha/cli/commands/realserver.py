"""Real servers: made ready, looked at and put back, here or over SSH."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lvsha.cli import show
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Duration, Session, as_json, complete_target, session
from lvsha.cli.wanted import filed, said, wanted_options
from lvsha.cli.words import plural
from lvsha.errors import InputError, LvshaError

if TYPE_CHECKING:
    from checks.audit import Finding, Preparation
    from lvsha.realserver.setup import Account

STATE = "/var/lib/lvsha"

_STATE = click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=STATE,
    show_default=True,
    metavar="DIRECTORY",
    help="Where it is kept what was there before.",
)
_DRY = click.option("--dry-run", "dry", is_flag=True, help="Say what would be done, and do nothing.")


@click.group()
def realserver() -> None:
    """Make a real server ready for direct routing or a tunnel, on the server itself; or look at one.

    No daemon is needed. `setup` and `undo` are for root.
    """


@realserver.command()
@wanted_options
@click.option(
    "--persist/--no-persist", "keep", default=True, show_default=True, help="Also after the next boot."
)
@_DRY
@_STATE
@as_json
@session
def setup(asked: Session, /, keep: bool, dry: bool, state: Path, **options: Any) -> int:
    """Make this server ready, and remember what was there before.

    What an earlier set-up did and this one does not want is taken back: the options say the whole each time.
    """
    _root(dry=dry)
    from lvsha.realserver.setup import RefusedError, set_up

    wanted = said(options) or filed()
    try:
        account = set_up(wanted, state=state, keep=keep, dry=dry)
    except RefusedError as refusal:
        lines = [line for finding in refusal.findings for line in (_sentence(finding), *finding.commands)]
        raise CommandError(Status.FAILED, "this server cannot be set up as wanted", lines) from refusal
    except LvshaError as error:
        raise CommandError(Status.FAILED, str(error)) from error
    asked.tell(_plain_account(account), lambda _: _tell(account))
    return _status(account.findings)


@realserver.command()
@click.option("--mode", type=click.Choice(["dr", "tun"]), help="Only if it is set up for that.")
@click.option(
    "--vip",
    "vips",
    multiple=True,
    metavar="ADDRESS",
    help="Only if it is set up for that address; repeatable: all are to be named.",
)
@_DRY
@_STATE
@as_json
@session
def undo(asked: Session, mode: str | None, vips: tuple[str, ...], dry: bool, state: Path) -> None:
    """Put this server back to what it was before the first set-up."""
    _root(dry=dry)
    from lvsha.realserver.setup import undo as take_back

    try:
        account = take_back(mode=mode or "", vips=vips, state=state, dry=dry)
    except LvshaError as error:
        raise CommandError(Status.FAILED, str(error)) from error
    asked.tell(_plain_account(account), lambda _: _tell(account))


@realserver.command()
@click.argument("target", required=False, shell_complete=complete_target)
@wanted_options
@click.option("--ssh", is_flag=True, help="Look at TARGET, as the daemon's configuration knows it, over SSH.")
@click.option(
    "--user",
    metavar="NAME",
    help="User to log in as; need not be root. Default: as its check does, else root.",
)
@click.option(
    "--key", metavar="FILE", help="Private key. Default: as its check does, else ~/.ssh/id_ed25519."
)
@click.option("--known-hosts", metavar="FILE", help="Default: as its check does, else ~/.ssh/known_hosts.")
@click.option("--ssh-port", type=click.IntRange(1, 65535), default=22, show_default=True, metavar="N")
@click.option("--timeout", type=Duration(), default=15.0, show_default="15s", metavar="DURATION")
@as_json
@session
def check(asked: Session, /, target: str | None, ssh: bool, **options: Any) -> int:
    """Say of each setting what is, what is needed and what mends it; exits with 1 when one is wrong.

    Without TARGET this machine is looked at: for what the options say, else for what it was set up for.
    """
    if (target is not None) != ssh:
        raise click.UsageError("TARGET and --ssh go together: a server is looked at over SSH, or this one")
    login = {name: options.pop(name) for name in ("user", "key", "known_hosts", "ssh_port", "timeout")}
    if target is not None:
        if said(options) is not None:
            raise click.UsageError("what TARGET must be like stands in the daemon's configuration")
        found = _remote(asked, target, **login)
    else:
        found = _here(said(options) or filed())
    asked.tell([_plain(finding) for finding in found], lambda _: _findings(found))
    return _status(found)


def _here(wanted: Preparation) -> tuple[Finding, ...]:
    from checks.audit import examine
    from lvsha.realserver.look import look

    try:
        return examine(wanted, look())
    except LvshaError as error:
        raise CommandError(Status.FAILED, str(error)) from error


def _remote(
    asked: Session,
    target: str,
    *,
    user: str | None,
    key: str | None,
    known_hosts: str | None,
    ssh_port: int,
    timeout: float,
) -> tuple[Finding, ...]:
    """The findings about a server that the daemon knows."""
    config = asked.client.get("/v1/config")
    # Imported here: SSH takes the better part of a second.
    from lvsha.realserver import remote

    try:
        server = remote.known(config, target)
    except InputError as error:
        raise CommandError(Status.NO_TARGET, str(error)) from error
    given = {"user": user, "key": key, "known_hosts": known_hosts}
    try:
        return remote.findings(server, given, ssh_port, timeout)
    except InputError as error:
        raise CommandError(Status.WRONG, str(error)) from error
    except LvshaError as error:
        raise CommandError(Status.UNREACHABLE, str(error)) from error


def _root(*, dry: bool) -> None:
    if not dry and os.geteuid() != 0:
        raise CommandError(Status.FAILED, "only root can do that", ["--dry-run says what would be done"])


def _status(found: Iterable[Finding]) -> Status:
    return Status.FAILED if any(finding.severity == "error" for finding in found) else Status.DONE


def _plain(finding: Finding) -> dict[str, Any]:
    names = ("setting", "found", "needed", "severity", "why", "commands")
    return {name: getattr(finding, name) for name in names}


def _plain_account(account: Account) -> dict[str, Any]:
    from checks.audit.steps import shown

    return {
        "taken_back": [shown(step.reverse) for step in account.back],
        "done": [shown(step.command) for step in account.steps],
        "files": [f"/{file}" for file in account.files],
        "findings": [_plain(finding) for finding in account.findings],
    }


def _tell(account: Account) -> None:
    answer = _plain_account(account)
    if account.replaced:
        show.line(f"takes the place of the set-up for `{account.replaced}`: a server has one at a time")
    commands = [*answer["taken_back"], *answer["done"]]
    show.lines(commands)
    show.lines(f"file {file}" for file in answer["files"])
    if not commands and not answer["files"]:
        show.line("nothing to do")
    wrong = tuple(finding for finding in account.findings if not finding.ok)
    if account.findings:
        _findings(wrong)


def _sentence(finding: Finding) -> str:
    if finding.ok:
        return f"{finding.setting} is {finding.found}"
    return f"{finding.setting} is {finding.found}, needed is {finding.needed}: {finding.why}"


def _findings(found: Iterable[Finding]) -> None:
    found = tuple(found)
    for finding in found:
        show.line(f"{finding.severity:<8} {_sentence(finding)}")
        show.lines(f"         {command}" for command in finding.commands)
    wrong = sum(not finding.ok for finding in found)
    show.line(f"{plural(wrong, 'thing')} to look at" if wrong else "all is well")
