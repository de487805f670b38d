"""What moves the director."""

from __future__ import annotations

from typing import Any

import click

from lvsha.cli import show
from lvsha.cli.client import RefusedError
from lvsha.cli.commands.see import show_instances
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Duration, Session, as_json, session
from lvsha.cli.words import plural

LONGEST = 600.0
"""The longest that the daemon waits."""


@click.command()
@as_json
@session
def reload(asked: Session) -> None:
    """Read the configuration again; one with problems changes nothing (exit status 2)."""
    try:
        answer = asked.client.post("/v1/reload")
    except RefusedError as refusal:
        problems = refusal.answer.get("problems")
        if not isinstance(problems, list):
            raise
        raise CommandError(Status.WRONG, str(refusal), [str(problem) for problem in problems]) from refusal
    asked.tell(answer, _reloaded)


@click.command()
@as_json
@session
def look(asked: Session) -> None:
    """Compare with the kernel now, and repair what differs."""
    asked.tell(asked.client.post("/v1/look"), lambda a: show.lines(a["steps"] or ["nothing to change"]))


@click.command()
@click.argument("instance", required=False)
@click.option(
    "--wait",
    type=Duration(),
    metavar="DURATION",
    help="How long the other director may take; so long nobody has the addresses. Default: what it needs.",
)
@click.option("--force", is_flag=True, help="Also where the other director does not know the connections.")
@as_json
@session
def failover(asked: Session, instance: str | None, wait: float | None, force: bool) -> None:
    """Hand INSTANCE, or all that are master here, over to the other director.

    It is refused where the other one knows less than 95 % of the established connections.

    When it does not take over in time, this one takes the addresses back, and the exit status is 5. When it
    does, this one leaves them to it until it is released.
    """
    patience = LONGEST if wait is None else wait
    body = {"instance": instance, "wait": wait, "force": force}
    answer = asked.client.post("/v1/vrrp/failover", body, wait=patience)
    asked.tell(answer, show_instances)


@click.command()
@click.argument("instance", required=False)
@click.option("--force", is_flag=True, help="At once, also where nobody has the addresses then.")
@as_json
@session
def hold(asked: Session, instance: str | None, force: bool) -> None:
    """Keep this director from being master of INSTANCE, or of all, until it is released.

    Where it is master it is handed over first, as by `failover`; when that fails it is not held.
    """
    if not force:
        _hand_over(asked, instance)
    asked.tell(asked.client.post("/v1/vrrp/hold", {"instance": instance}), show_instances)


@click.command()
@click.argument("instance", required=False)
@as_json
@session
def release(asked: Session, instance: str | None) -> None:
    """Let this director be master of INSTANCE, or of all, again."""
    asked.tell(asked.client.post("/v1/vrrp/release", {"instance": instance}), show_instances)


def _hand_over(asked: Session, instance: str | None) -> None:
    """Leave what is master here to the other director.

    A backup is silent in VRRP: that there is one shows only when it takes over.
    """
    mastered = [
        v["name"]
        for v in asked.client.get("/v1/vrrp")
        if v["state"] == "master" and instance in (None, v["name"])
    ]
    if not mastered:
        return
    try:
        asked.client.post("/v1/vrrp/failover", {"instance": instance}, wait=LONGEST)
    except RefusedError as refusal:
        held = " and ".join(mastered)
        hint = f"{held} is not held; `hold --force` does it all the same: nobody has its addresses then"
        raise CommandError(refusal.status, str(refusal), [*refusal.lines, hint]) from refusal


def _reloaded(answer: dict[str, Any]) -> None:
    changed = answer["changed"]
    what = plural(len(changed), "change") if changed else "nothing changed"
    show.line(f"generation {answer['generation']}: {what}")
    show.lines(f"  {change}" for change in changed)
