"""What differs between two configurations, in words for the answer to a reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from lvsha.config import Config

AT_RESTART = {"api": "socket, group and metrics address", "state": "directories"}
"""Sections that are read at the start only: a reload says that a restart is needed."""
TABLES = ("services", "servers", "checks", "vrrp", "notify", "nodes")


def differences(old: Config, new: Config) -> list[str]:
    """One short sentence a difference; empty when nothing changed."""
    found: list[str] = []
    for table in TABLES:
        found += _table(table, getattr(old, table), getattr(new, table))
    for field in fields(Config):
        if field.name in (*TABLES, "files") or getattr(old, field.name) == getattr(new, field.name):
            continue
        later = AT_RESTART.get(field.name)
        found.append(
            f"{field.name} changed" + (f" ({later} take effect at the next restart)" if later else "")
        )
    return found


def _table(name: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    added = [f"{name}.{key} added" for key in new if key not in old]
    removed = [f"{name}.{key} removed" for key in old if key not in new]
    changed = [f"{name}.{key} changed" for key in new if key in old and old[key] != new[key]]
    return [*added, *removed, *changed]
