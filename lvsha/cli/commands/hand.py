"""What an operator says by hand about servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lvsha.cli import show
from lvsha.cli.commands.see import show_servers
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Duration, Session, as_json, session, target
from lvsha.cli.wait import is_drained, wait_until_drained

F = TypeVar("F", bound=Callable[..., Any])


def _why_and_how_long(command: F) -> F:
    """The options of whatever is set by hand."""
    for_ = click.option(
        "--for",
        "expires_in",
        type=Duration(),
        metavar="DURATION",
        help="Take it back by itself after so long.",
    )
    reason = click.option("--reason", default="", metavar="TEXT", help="Why; it is shown and logged.")
    return for_(reason(command))


@click.command()
@target
@_why_and_how_long
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until its last connection has ended; of one drained already, only wait.",
)
@click.option(
    "--timeout",
    type=Duration(),
    metavar="DURATION",
    help="With --wait: give up (exit status 5) after so long.",
)
@as_json
@session
def drain(
    asked: Session, target: str, expires_in: float | None, reason: str, wait: bool, timeout: float | None
) -> None:
    """Let TARGET finish its connections and give it no new ones.

    Its weight in the kernel becomes 0: established connections go on, new ones go elsewhere. It stays
    drained, over restarts too, until it is undrained or the time of --for is over.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait")
    # Said again without an end or a reason, a drain would lose those that it was given first.
    again = wait and expires_in is None and not reason and is_drained(asked, target)
    answer = None if again else _override(asked, target, "drain", expires_in, reason)
    if wait:
        answer = wait_until_drained(asked, target, timeout)
    asked.tell(answer, lambda a: show.line(f"{target} has no connections") if wait else show_servers(a))


@click.command()
@target
@as_json
@session
def undrain(asked: Session, target: str) -> None:
    """Give TARGET connections again."""
    _clear(asked, target, "drain")


@click.command()
@target
@_why_and_how_long
@as_json
@session
def disable(asked: Session, target: str, expires_in: float | None, reason: str) -> None:
    """Take TARGET out at once; its connections break."""
    asked.tell(_override(asked, target, "disable", expires_in, reason), show_servers)


@click.command()
@target
@as_json
@session
def enable(asked: Session, target: str) -> None:
    """Take a disable of TARGET back."""
    _clear(asked, target, "disable")


@click.command()
@target
@click.argument("weight", metavar="N|reset")
@_why_and_how_long
@as_json
@session
def weight(asked: Session, target: str, weight: str, expires_in: float | None, reason: str) -> None:
    """Set the weight of TARGET by hand to N (0 to 65535), or back to the configured one with `reset`."""
    if weight == "reset":
        _clear(asked, target, "weight")
        return
    if not (weight.isascii() and weight.isdigit() and int(weight[:6]) <= 65535):
        raise click.BadParameter(f"{weight!r} is neither `reset` nor a number from 0 to 65535")
    answer = _override(asked, target, "weight", expires_in, reason, weight=int(weight))
    asked.tell(answer, show_servers)


def _override(
    asked: Session, target: str, kind: str, expires_in: float | None, reason: str, **more: object
) -> Any:
    said = {"target": target, "kind": kind, "expires_in": expires_in, "reason": reason, **more}
    return asked.client.post("/v1/overrides", said)


def _clear(asked: Session, target: str, kind: str) -> None:
    answer = asked.client.post("/v1/overrides/clear", {"target": target, "kinds": [kind]})
    asked.tell(answer, show_servers)
    _check_free(target, answer)


def _check_free(target: str, servers: list[dict[str, Any]]) -> None:
    """A server on which something else was set by hand as well is not back yet: that must not pass unseen."""
    undo = {"drain": "undrain {}", "disable": "enable {}", "weight": "weight {} reset"}
    left = {s["override"]["kind"]: s["override"]["target"] for s in servers if s["override"]}
    for kind, said in left.items():
        command = undo[kind].format(said)
        raise CommandError(
            Status.FAILED, f"{target}: {kind} is still in force", [f"take it back: lvsha-cli {command}"]
        )
