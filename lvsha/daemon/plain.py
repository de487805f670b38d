"""A configuration as plain values, for `config show` and the API, secrets left out.

A field that its dataclass keeps out of `repr` is a secret: one rule for logs and for answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any

HIDDEN = "(hidden)"


def plain(value: object) -> Any:
    """The value as JSON has it: tables, lists, text, numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) if f.repr else HIDDEN for f in fields(value)}
    match value:
        case Enum():
            return value.name.lower()
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case set() | frozenset():
            return sorted((plain(v) for v in value), key=str)
        case None | bool() | int() | float() | str():
            return value
        case IPv4Address() | IPv6Address() | IPv4Interface() | IPv6Interface() | Path():
            return str(value)
        case _:
            return str(value)
