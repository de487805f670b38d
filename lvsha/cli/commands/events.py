"""What has happened, and what happens."""

from __future__ import annotations

import json
from typing import Any

import click

from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Session, as_json, session
from lvsha.cli.words import safe

_SEVERITIES = ("info", "warning", "error", "critical")
_HEAD = ("timestamp", "severity", "alert", "event", "seq", "exception")


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many of the past to show.",
)
@click.option("--since", type=click.IntRange(0), help="All after this number instead.")
@click.option("--alerts", is_flag=True, help="Only those that a person should be told.")
@click.option("--severity", type=click.Choice(_SEVERITIES), default="info", help="The least severity shown.")
@as_json
@session
def events(asked: Session, follow: bool, last: int, since: int | None, alerts: bool, severity: str) -> None:
    """What has happened, and with -f what happens.

    With --json one object a line. The names and fields are explained in the catalogue of events.
    """

    def tell(event: dict[str, Any]) -> None:
        if alerts and not event.get("alert"):
            return
        if _SEVERITIES.index(event["severity"]) >= _SEVERITIES.index(severity):
            print(json.dumps(event, ensure_ascii=False) if asked.as_json else text(event), flush=True)

    past: list[dict[str, Any]] = asked.client.get("/v1/events", since=since)
    for event in past if since is not None else past[len(past) - last if last < len(past) else 0 :]:
        tell(event)
    if not follow:
        return
    seen = past[-1]["seq"] if past else since or 0
    for event in asked.client.stream("/v1/events", follow="true", since=seen):
        tell(event)
    raise CommandError(Status.UNREACHABLE, "lvshad ended the stream of events: it is stopping")


def text(event: dict[str, Any]) -> str:
    """An event as one line: time, severity (! for an alert), name, fields."""
    mark = "!" if event.get("alert") else " "
    fields = (f"{name}={_value(value)}" for name, value in event.items() if name not in _HEAD)
    line = f"{event['timestamp']} {event['severity'] + mark:<9} {event['event']} {' '.join(fields)}"
    return safe(line.rstrip())


def _value(value: object) -> str:
    if isinstance(value, str) and value and not any(c in value for c in ' "=') and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=False)
