"""Kernel settings under /proc/sys/net, which every network namespace has for itself.

A setting is named as sysctl(8) names it: `net.ipv4.vs.conn_reuse_mode`, or with slashes where
an interface has a dot in its name: `net/ipv4/conf/eth0.100/rp_filter`.

lvsha is not the only one who may have set these, and a value that is already right is not written again:
some settings act when they are written, whatever their value.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lvsha.errors import KernelError
from lvsha.kernel.netlink import Refusal

_ROOT = Path("/proc/sys")
_PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:@+-]{1,64}")
"""A component of a name; an interface's may hold almost anything, but lvsha goes only where it can see."""
_LONGEST = 4096
"""More than a setting of this tree ever holds."""


class SysctlError(KernelError):
    """A kernel setting could not be read or written; the message says which, why, and what to do."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that was written."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What it took to bring settings to their wanted values."""

    changes: tuple[Change, ...]
    failures: tuple[SysctlError, ...]


class Sysctl:
    """Writes settings."""

    def settle(self, wanted: Mapping[str, str | int]) -> Settled:
        """Bring settings to these values. One that fails does not stop the others."""
        changes: list[Change] = []
        failures: list[SysctlError] = []
        for name, value in wanted.items():
            try:
                change = self._settle(name, _plain(str(value)))
            except SysctlError as error:
                failures.append(error)
            else:
                changes += [change] if change else []
        return Settled(tuple(changes), tuple(failures))

    def _settle(self, name: str, value: str) -> Change | None:
        before = read(name)
        if before == value:
            return None
        write(name, value)
        after = read(name)
        if after != value:
            raise SysctlError(name, f"sysctl {name}: wrote {value!r}, and the kernel made {after!r} of it")
        return Change(name, before, after)


def read(name: str) -> str:
    """A setting's value, several numbers separated by one space. Raises SysctlError."""
    try:
        with _path(name).open() as file:
            return _plain(file.read(_LONGEST))
    except OSError as error:
        raise _told(name, "read", error) from error


def write(name: str, value: str) -> None:
    """Write a setting, even if it has this value. Raises SysctlError."""
    try:
        with _path(name).open("w") as file:
            file.write(f"{value}\n")
    except OSError as error:
        raise _told(name, f"write {value!r} to", error) from error


def interfaces(protocol: str) -> list[str]:
    """What has settings of its own under net.PROTOCOL.conf: every interface, `all` and `default`."""
    with contextlib.suppress(OSError):
        return sorted(entry.name for entry in _ROOT.joinpath("net", protocol, "conf").iterdir())
    return []


def _path(name: str) -> Path:
    """Where the setting is; a name that leads out of /proc/sys/net is refused."""
    # As sysctl(8): whichever separator comes first is the separator.
    dot, slash = name.find("."), name.find("/")
    parts = name.split("/" if dot < 0 or 0 <= slash < dot else ".")
    if parts[0] != "net" or len(parts) < 2 or not all(_PART.fullmatch(part) for part in parts):
        raise SysctlError(name, f"{name!r} is not the name of a setting under net")
    return _ROOT.joinpath(*parts)


def _plain(value: str) -> str:
    return " ".join(value.split())


def _told(name: str, what: str, error: OSError) -> SysctlError:
    hint = ""
    if isinstance(error, FileNotFoundError):
        hint = "the kernel has no such setting"
        if name.startswith(("net.ipv4.vs.", "net/ipv4/vs/")):
            hint += ", or the module is not loaded: `modprobe ip_vs`"
        hint += " "
    return SysctlError(name, f"{what} sysctl {name}: {hint}({Refusal(error.errno or 0)})")
