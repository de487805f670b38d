"""Reading the files: the main one, what it includes, and which file a key came from.

Tables of all files merge: `[services]` may be spread over many. What has a name (a service, a
server, a check, an instance, a node) or a value of its own may stand in one place only, so the
order of the files never decides anything.

Files come from people and tools: what is read is bounded, and whatever is wrong with a file is
told like any other problem.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lvsha.config import keepalived
from lvsha.config.lines import key_lines
from lvsha.config.problems import Finding, KeyPath, Problem, spell
from lvsha.config.schema.values import short, shown

MAX_BYTES = 16 << 20
MAX_FILES = 1000
KEY = "include"

_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_REASONS = {
    errno.ENOENT: ("there is no such file", "check the path"),
    errno.EACCES: ("may not be read", "give the user that lvsha runs as the right to read it"),
    errno.EPERM: ("may not be read", "give the user that lvsha runs as the right to read it"),
    errno.ELOOP: ("is a symbolic link that leads to itself", "let it point to a file"),
    errno.ENOTDIR: ("lies below something that is no directory", "check the path"),
    errno.ENAMETOOLONG: ("is too long a path", "check the path"),
    errno.ENXIO: ("is not a regular file", "name a file of TOML text"),
}


class Unreadable(Exception):  # noqa: N818 (a reason, not the error that leaves this package)
    """A file cannot be used: why, on which line, what to do."""

    def __init__(self, message: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.line = message, hint, line


@dataclass
class Source:
    """One file that was read."""

    path: Path
    text: str
    table: dict[str, Any]
    public: bool = False
    """Everybody on this machine may read it."""

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        """The line of each key; worked out when the first problem asks."""
        try:
            return key_lines(self.text)
        except RecursionError:
            return {}

    def line(self, path: KeyPath) -> int | None:
        """The line of a key, else of the nearest table around it."""
        places = (self.lines.get(path[:end]) for end in range(len(path), 0, -1))
        return next((line for line in places if line), None)


@dataclass
class Sources:
    """All files as one table, and the places of its keys."""

    main: Path
    table: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    read: list[Source] = field(default_factory=list)
    real: set[str] = field(default_factory=set)
    """The files that were read, whatever name led to them."""
    _owners: dict[KeyPath, Source] = field(default_factory=dict)

    def problem(self, finding: Finding) -> Problem:
        """The finding with its file and line."""
        owner = self.owner(finding.path)
        return Problem(
            owner.path if owner else self.main,
            owner.line(finding.path) if owner else None,
            spell(finding.path),
            finding.message,
            finding.hint,
            finding.severity,
        )

    def owner(self, path: KeyPath) -> Source | None:
        """The file that a key came from, or would have come from."""
        for end in range(min(len(path), 2), 0, -1):
            if owner := self._owners.get(path[:end]):
                return owner
        return self.read[0] if self.read else None

    def merge(self, source: Source) -> None:
        """Add what a file says; what another file has said already is a problem at the second place."""
        for section, value in source.table.items():
            if section == KEY:
                continue
            known = self.table.get(section)
            if isinstance(value, dict) and isinstance(known, dict | None):
                self._owners.setdefault((section,), source)
                self._merge_table(section, value, source)
            elif self._first((section,), source):
                self.table[section] = value

    def _merge_table(self, section: str, values: dict[str, Any], source: Source) -> None:
        table = self.table.setdefault(section, {})
        for key, value in values.items():
            if self._first((section, key), source):
                table[key] = value

    def _first(self, path: KeyPath, source: Source) -> bool:
        first = self._owners.setdefault(path, source)
        if first is source:
            return True
        place = f"{first.path}:{first.line(path)}"
        self.problems.append(
            Problem(
                source.path,
                source.line(path),
                spell(path),
                f"is defined twice, first at {place}",
                "keep one of the two",
            )
        )
        return False


def read(path: Path) -> Sources:
    """The file and everything that it includes. Problems are collected, never raised."""
    sources = Sources(path)
    _visit(path, sources, (), None)
    return sources


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file is asked for."""

    source: Source
    path: KeyPath


def _visit(path: Path, sources: Sources, within: tuple[str, ...], place: _Place | None) -> None:
    """Read a file and then what it includes; `within` are the files that led here."""
    real = _real(path)
    if message := _unwanted(path, real, sources, within):
        sources.problems.append(_complaint(path, Unreadable(*message), place))
        return
    try:
        source = open_source(path)
    except Unreadable as reason:
        sources.problems.append(_complaint(path, reason, place))
        return
    sources.read.append(source)
    sources.real.add(real)
    sources.merge(source)
    for number, pattern in enumerate(_patterns(source, sources)):
        asked = _Place(source, (KEY, number))
        for found in _matches(pattern, asked, sources):
            _visit(found, sources, (*within, real), asked)


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a zero in it; opening it will say so
        return str(path)


def _unwanted(path: Path, real: str, sources: Sources, within: tuple[str, ...]) -> tuple[str, str] | None:
    if real in within:
        way = " -> ".join([*within[within.index(real) :], real])
        return f"includes itself: {way}", "take one of the includes out"
    if real in sources.real:
        return f"{short(str(path))} is included twice", "let one include name it"
    if len(sources.read) >= MAX_FILES:
        return f"more than {MAX_FILES} files are included", "check the patterns of include"
    return None


def _complaint(path: Path, reason: Unreadable, place: _Place | None) -> Problem:
    """About a file: at the file itself, or where it is asked for if it cannot be opened at all."""
    if place is not None and reason.line is None:
        at = place.source
        message = (
            reason.message if str(path) in reason.message else f"{short(str(path), 200)} {reason.message}"
        )
        return Problem(at.path, at.line(place.path), spell(place.path), message, reason.hint)
    return Problem(path, reason.line, "", reason.message, reason.hint)


def _patterns(source: Source, sources: Sources) -> list[str]:
    value = source.table.get(KEY, [])
    if isinstance(value, list) and all(isinstance(pattern, str) for pattern in value):
        return value
    wrong = (
        next((one for one in value if not isinstance(one, str)), value) if isinstance(value, list) else value
    )
    sources.problems.append(
        Problem(
            source.path,
            source.line((KEY,)),
            KEY,
            f"must be a list of patterns, not {shown(wrong)}",
            'write include = ["conf.d/*.toml"]',
        )
    )
    return []


def _matches(pattern: str, place: _Place, sources: Sources) -> Iterator[Path]:
    """The files of one pattern, sorted. A name without wildcards must exist, a pattern may match nothing."""
    if "**" in pattern or "\0" in pattern or not pattern:
        message = f"{shown(pattern)} is not a pattern of files"
        hint = "use * and ? within one directory"
        at = place.source
        sources.problems.append(Problem(at.path, at.line(place.path), spell(place.path), message, hint))
        return
    base = os.path.join(glob.escape(str(place.source.path.parent)), pattern)  # noqa: PTH118 (a pattern, no path)
    if not glob.has_magic(pattern):
        yield place.source.path.parent / pattern
        return
    yield from (Path(found) for found in sorted(glob.glob(base)))  # noqa: PTH207 (the pattern may be absolute)


def open_source(path: Path) -> Source:
    """One file, parsed. Raises Unreadable."""
    data, mode = read_bytes(path, MAX_BYTES)
    text = _decode(data)
    try:
        return Source(path, text, tomllib.loads(text), public=bool(mode & stat.S_IROTH))
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, text) from None
    except RecursionError:
        raise Unreadable("has values nested too deeply", "no setting needs more than a few levels") from None
    except ValueError as error:  # a number of thousands of digits, a date that does not exist
        raise Unreadable(f"is not TOML: {short(str(error), 200)}") from None


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> Unreadable:
    found = _AT.search(str(error))
    line = int(found[1]) if found and found[1] else max(1, len(text.splitlines()))
    message = short(str(error)[: found.start()] if found else str(error), 200)
    hint = _syntax_hint(message, "".join(text.split("\n")[line - 1 : line]))
    return Unreadable(f"is not TOML: {message[:1].lower()}{message[1:]}", hint, line)


def _syntax_hint(message: str, line: str) -> str:
    if keepalived.is_its_file(line):
        return "that is a line of keepalived.conf; a file of lvsha's is in TOML, see the examples in conf/"
    if "Invalid value" in message:
        return "texts, addresses and durations stand in quotes"
    if "Cannot overwrite" in message or "twice" in message:
        return "a key or table may be defined once"
    return ""


def _decode(data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise Unreadable("begins with a byte order mark", "save it as plain UTF-8", 1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"is not UTF-8: byte 0x{data[error.start]:02x}", "save it as UTF-8", line) from None


def read_bytes(path: Path, most: int) -> tuple[bytes, int]:
    """The content of a regular file of at most so many bytes, and its mode. Raises Unreadable.

    A pipe or device is refused before it can hold the reader up.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _reason(error) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "is a directory" if stat.S_ISDIR(mode) else "is not a regular file"
        raise Unreadable(what, "name a file of TOML text")
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise _reason(error) from None
    if len(data) > most:
        raise Unreadable(f"is larger than {most} bytes", "is this the right file?")
    return data, mode


def _reason(error: OSError | ValueError) -> Unreadable:
    if isinstance(error, OSError):
        if error.errno in _REASONS:
            return Unreadable(*_REASONS[error.errno])
        return Unreadable(f"cannot be read: {error.strerror}")
    return Unreadable(f"is not a path: {error}")
