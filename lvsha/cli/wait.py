"""Waiting until a drained server has no connection left.

The daemon is asked ten times in the first second and once a second later. A person sees a bar, a script
a line whenever the number changes. Whatever ends the waiting, the drain stays in force, and is said to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lvsha.cli import show
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.session import Session
from lvsha.cli.words import plural, span

SOONEST, LATEST = 0.1, 1.0
"""Seconds between two looks, at first and later."""

Progress = Callable[[int], None]


def wait_until_drained(asked: Session, target: str, timeout: float | None) -> list[dict[str, Any]]:
    """The servers of a target once they are idle. Raises CommandError when that takes too long."""
    begin = time.monotonic()
    pause = SOONEST
    with _progress(asked) as progress:
        while True:
            servers = _servers(asked, target)
            _check_still_drained(target, servers)
            left = sum(s["active"] + s["inactive"] + s["persistent"] for s in servers)
            progress(left)
            if not left:
                return servers
            waited = time.monotonic() - begin
            if timeout is not None and waited >= timeout:
                raise _too_long(target, left, waited)
            time.sleep(pause if timeout is None else min(pause, timeout - waited))
            pause = min(pause * 1.5, LATEST)


def is_drained(asked: Session, target: str) -> bool:
    """Whether every server of a target is drained by hand already."""
    servers = asked.client.get("/v1/servers", target=target)
    return all(s["override"] and s["override"]["kind"] == "drain" for s in servers)


def _servers(asked: Session, target: str) -> list[dict[str, Any]]:
    try:
        servers: list[dict[str, Any]] = asked.client.get("/v1/servers", target=target)
    except CommandError as error:
        raise CommandError(error.status, str(error), [*error.lines, f"{target} stays drained"]) from error
    return servers


def _check_still_drained(target: str, servers: list[dict[str, Any]]) -> None:
    for s in servers:
        if s["weight_now"]:
            name = f"{s['service']}/{s['name']}"
            raise CommandError(
                Status.FAILED,
                f"{name} takes connections again: somebody took the drain of {target} back",
            )


def _too_long(target: str, left: int, waited: float) -> CommandError:
    return CommandError(
        Status.TIMED_OUT,
        f"{target} still has {plural(left, 'connection')} after {span(waited)}; it stays drained",
        [f"wait on: lvsha-cli drain {target} --wait", f"or cut them off: lvsha-cli disable {target}"],
    )


@contextmanager
def _progress(asked: Session) -> Iterator[Progress]:
    if asked.as_json:
        yield _silence
    elif show.on_terminal():
        with _bar() as progress:
            yield progress
    else:
        yield _changes()


def _silence(_: int) -> None:
    pass


def _changes() -> Progress:
    last: int | None = None

    def progress(left: int) -> None:
        nonlocal last
        if left != last:
            print(f"{plural(left, 'connection')} left", flush=True)
        last = left

    return progress


@contextmanager
def _bar() -> Iterator[Progress]:
    # Imported here: see lvsha.cli.show.
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("draining"),
        BarColumn(),
        TextColumn("{task.fields[left]} connections left"),
        TimeElapsedColumn(),
    )
    with Bar(*columns) as bar:
        task = bar.add_task("draining", total=None, left="?")
        most = 0

        def progress(left: int) -> None:
            nonlocal most
            most = max(most, left)
            bar.update(task, total=most or 1, completed=(most - left) if most else 1, left=left)

        yield progress
