"""Kernel modules: in the kernel already, to be had, or not there.

The kernel loads most of what IPVS needs by itself when it is asked for, so a module that is only to be had is
no fault. What can be had stands in the indexes that depmod(8) writes for the running release.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

MODULES = Path("/lib/modules")
LOADED = Path("/sys/module")
_INDEXES = ("modules.builtin", "modules.dep")
"""What is part of the kernel, and what can be loaded."""
_LONGEST = 16 * 1024 * 1024
"""More than an index of all modules there are."""


class Presence(Enum):
    """Where a module is."""

    IN = "in"
    """In the kernel: loaded, or built in."""
    AT_HAND = "at hand"
    """On disk: it is loaded when it is needed."""
    MISSING = "missing"
    UNKNOWN = "unknown"
    """Not in the kernel, and there is no index to look it up in."""


def find(names: Iterable[str], *, modules: Path | None = None, loaded: Path = LOADED) -> dict[str, Presence]:
    """Where each of these modules is; names have underscores. It reads files, so call it in a thread."""
    directory = MODULES / platform.release() if modules is None else modules
    wanted = set(names)
    found = {name: Presence.IN for name in wanted if (loaded / name).exists()}
    left = wanted - found.keys()
    if not left:
        return found
    builtin, listed = (_names(_read(directory / index)) for index in _INDEXES)
    if not builtin | listed:
        return found | dict.fromkeys(left, Presence.UNKNOWN)
    found |= dict.fromkeys(left & builtin, Presence.IN)
    found |= dict.fromkeys(left & listed - builtin, Presence.AT_HAND)
    return found | dict.fromkeys(left - builtin - listed, Presence.MISSING)


def _names(index: str) -> set[str]:
    """Of `kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: dependencies`, the name `ip_vs_rr`."""
    files = (line.partition(":")[0].rpartition("/")[2] for line in index.splitlines())
    return {file.partition(".ko")[0].replace("-", "_") for file in files}


def _read(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(_LONGEST)
    except OSError:
        return ""
