"""A finding of each severity, and the words that all of them share."""

from __future__ import annotations

from collections.abc import Iterable

from lvsha.api.views import FindingView


def ok(subject: str, finding: str) -> FindingView:
    """What was looked at and is as it should be."""
    return FindingView("ok", subject, finding)


def info(subject: str, finding: str, command: str = "") -> FindingView:
    """Worth knowing."""
    return FindingView("info", subject, finding, command)


def warning(subject: str, finding: str, command: str = "") -> FindingView:
    """Some clients are not served, or something is about to fail."""
    return FindingView("warning", subject, finding, command)


def error(subject: str, finding: str, command: str = "") -> FindingView:
    """Clients are not served, or will not be after a failover."""
    return FindingView("error", subject, finding, command)


def listed(things: Iterable[object], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    words = [str(thing) for thing in things]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def sysctl(*pairs: tuple[str, object]) -> str:
    """The command that sets these."""
    return "sysctl -w " + " ".join(
        f"{name}='{value}'" if " " in str(value) else f"{name}={value}" for name, value in pairs
    )
