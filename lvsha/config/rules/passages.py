"""Rules of checks that go the clients' way: what can be led there, and whose the marks are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from lvsha.config.problems import Finding, KeyPath, error
from lvsha.config.resolve import Resolved
from lvsha.config.resolve.passages import MARKS
from lvsha.config.resolve.services import Draft, Place
from lvsha.config.settings.services import CheckConfig
from lvsha.model import Mode

_STRAIGHT = 'use through = "server"'
_UNDIRECTED = {
    # ip_vs_in_icmp() takes up only what is about a connection.
    "ping": "IPVS directs no echo requests",
    "realserver": "it logs in to the server itself, and asks it about the service's address",
}


def judge(draft: Draft) -> Iterator[Finding]:
    """Everything that is wrong with such checks of one service."""
    for place in draft.places:
        check = place.config.check
        if check is not None and check.through == "vip":
            yield from _check(draft, place, check)


def marks(resolved: Resolved) -> Iterator[Finding]:
    """A firewall-mark service must not be one of the checks'."""
    base = resolved.config.ipvs.mark_base
    for draft in resolved.services.values():
        mark = draft.config.fwmark
        if mark is not None and base <= mark < base + MARKS:
            message = f"{mark} is one of the marks {base} to {base + MARKS - 1} that belong to checks"
            yield error((*draft.path, "fwmark"), message, "use another one, or move [ipvs] mark_base")


def _check(draft: Draft, place: Place, check: CheckConfig) -> Iterator[Finding]:
    path: KeyPath = (*place.path, "check")
    if place.config.mode is Mode.FULLNAT:
        message = 'through = "vip" leads nowhere with mode fullnat: the answer goes to a local address'
        yield error(path, message, f"{_STRAIGHT}: from a director it is the clients' way already")
    elif check.kind in _UNDIRECTED or not _markable(check):
        why = _UNDIRECTED.get(check.kind, "its packets cannot be marked")
        yield error(path, f'through = "vip" is not for a {check.kind} check: {why}', _STRAIGHT)
    elif getattr(check.check, "mark", 0):
        yield error((*path, "mark"), 'is chosen by lvsha with through = "vip"', "leave it out")
    yield from _target(draft, check, path)


def _markable(check: CheckConfig) -> bool:
    return {"mark", "source"} <= {field.name for field in dataclasses.fields(check.check)}  # type: ignore[arg-type]  # a kind is a dataclass


def _target(draft: Draft, check: CheckConfig, path: KeyPath) -> Iterator[Finding]:
    if check.address is None and draft.config.address is None:
        yield error(
            path, 'through = "vip" has no address to ask: a mark has none', "give the check an address"
        )
    if check.port is None and not draft.config.port:
        yield error(path, 'through = "vip" has no port to ask: the service has none', "give the check a port")
