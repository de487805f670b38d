"""Durations, ages and numbers in words, and text that came from outside made harmless.

A check's detail may hold what a server sent. On a terminal, control characters in it would be obeyed,
so they are shown as escapes.
"""

from __future__ import annotations

import re
import time

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_PLAIN = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def seconds(text: str) -> float:
    """The seconds of `90`, `90s`, `2h`, `1h30m` or `500ms`; raises ValueError."""
    if len(text) < 32 and _PLAIN.fullmatch(text):
        return float(text)
    if len(text) < 32 and _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    raise ValueError(f"{text!r} is not a duration: say 90s, 5m, 2h or 1h30m")


def span(duration: float) -> str:
    """A duration in its two largest units, such as `2h 5m`."""
    left = max(0, round(duration))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def age(since: float | None, now: float | None = None) -> str:
    """How long ago a moment was; `-` when it never was."""
    return "-" if since is None else span((time.time() if now is None else now) - since)


def count(number: float, unit: str = "") -> str:
    """A number in at most four digits with a decimal prefix, such as `2.5M`."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 1000:
            return f"{number:.3g}{prefix}{unit}"
        number /= 1000
    return f"{number:.4g}P{unit}"


def plural(number: int, noun: str) -> str:
    """`1 connection`, `2 connections`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def safe(text: object) -> str:
    """Text in which a terminal finds nothing to obey."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
