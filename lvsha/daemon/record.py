"""What lvsha made of the kernel's settings, and what they were: one entry a setting, as a document.

A record is good for one boot of one network namespace: in another the values are not lvsha's doing.
"""

from __future__ import annotations

import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvsha.errors import InputError

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/net")
_SO_NETNS_COOKIE = 71
"""include/uapi/asm-generic/socket.h, Linux 5.14: a number that no other namespace of this boot has had."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting, by its name for sysctl(8)."""

    name: str
    before: str
    """What it would be without lvsha."""
    after: str
    """What lvsha wrote, or another setting's write has made of it."""
    need: str
    """For what: the name of the setting that is wanted, mostly this one itself."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was changed, and where."""

    place: str = ""
    entries: tuple[Entry, ...] = ()


def here() -> str:
    """Which boot and which network namespace it is."""
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = str(
            uuid.uuid4()
        )  # not to be told in some containers: then no other run's record is of this place
    return f"{boot} {_namespace()}"


def _namespace() -> int:
    try:
        with socket.socket(socket.AF_UNIX) as any_socket:
            return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")
    except OSError:
        return _NAMESPACE.stat().st_ino  # an older kernel; a later namespace may have the number again


def to_document(record: Record) -> dict[str, Any]:
    """The record in plain values."""
    settings = [
        {"name": e.name, "before": e.before, "after": e.after, "need": e.need} for e in record.entries
    ]
    return {"place": record.place, "settings": settings}


def from_document(document: dict[str, Any]) -> Record:
    """The record out of a document; InputError names the entry that is wrong."""
    place, entries = document.get("place"), document.get("settings")
    if not isinstance(place, str) or not isinstance(entries, list):
        raise InputError("place and settings: a text and a list are expected")
    return Record(place, tuple(_entry(index, entry) for index, entry in enumerate(entries)))


def _entry(index: int, entry: Any) -> Entry:
    match entry:
        case {"name": str(name), "before": str(before), "after": str(after), "need": str(need)}:
            return Entry(name, before, after, need)
    raise InputError(f"settings[{index}]: name, before, after and need are expected, each a text")
