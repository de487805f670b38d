"""Probes of one target: whether a server does what it is there for.

A package of its own that knows nothing of the director. One kind a file; a kind is a frozen value,
its settings, with one coroutine `probe(address, port)` (`base.py` tells the contract). `KINDS` maps
the name of a kind to its class and imports it when it is first asked for, so that a director which
checks by TCP never loads an SSH library. `python -m checks` runs one by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from checks.base import Check, Outcome, ProbeError, run
from checks.lag import lag
from checks.settings import SettingsError

_WHERE = {
    "tcp": ("checks.tcp", "Tcp"),
    "http": ("checks.http", "Http"),
    "https": ("checks.http", "Https"),
    "ssh": ("checks.ssh", "Ssh"),
    "dns": ("checks.dns", "Dns"),
    "smtp": ("checks.smtp", "Smtp"),
    "udp": ("checks.udp", "Udp"),
    "ping": ("checks.ping", "Ping"),
    "script": ("checks.script", "Script"),
    "realserver": ("checks.realserver", "Realserver"),
}


class _Kinds(Mapping[str, type[Any]]):
    """Kind to dataclass, imported at the first look."""

    def __getitem__(self, kind: str) -> type[Any]:
        module, name = _WHERE[kind]
        return getattr(import_module(module), name)  # type: ignore[no-any-return]  # by its name: mypy cannot know

    def __iter__(self) -> Iterator[str]:
        return iter(_WHERE)

    def __len__(self) -> int:
        return len(_WHERE)


KINDS: Mapping[str, type[Any]] = _Kinds()
"""The kinds of check by name. Each is a frozen, hashable dataclass that satisfies `Check`."""

__all__ = ["KINDS", "Check", "Outcome", "ProbeError", "SettingsError", "lag", "run"]
