"""Which line each key of a TOML text stands on.

`tomllib` gives values without places, and a problem without its line is hard to mend in a long
file. This scanner reads the keys and steps over the values. It is handed only text that
`tomllib` has accepted, so it needs no errors of its own.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

from lvsha.config.problems import KeyPath

_SPACE = re.compile(r"[ \t]*")
_FILLING = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_BASIC = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
# Up to two quotes may stand before the three that close.
_LONG_BASIC = re.compile(r'"""[^"\\]*(?:(?:\\.|"{1,2}(?!"))[^"\\]*)*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''[^']*(?:'{1,2}(?!')[^']*)*'{3,5}")
# A date and a time may have a space between them.
_SCALAR = re.compile(r"[^\s,#\]}]+(?: [0-9]{2}:[^\s,#\]}]*)?")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Every key, table and list element of the text, with the number of the line it first stands on.

    Raises RecursionError for values nested hundreds deep.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._last: dict[KeyPath, int] = {}
        """Index of the newest element of each array of tables."""

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_FILLING)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_FILLING)

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`: a name in between means the newest element where it is an array of tables."""
        begin, many = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        self._skip(_SPACE)
        path: KeyPath = ()
        keys = self._keys()
        for key in keys[:-1]:
            path = self._note((*path, key), begin)
            path = self._newest(path, begin)
        path = self._note((*path, keys[-1]), begin)
        if many:
            self._last[path] = self._last.get(path, -1) + 1
        self._skip(_SPACE)
        self._at += 2 if many else 1
        return self._newest(path, begin)

    def _newest(self, path: KeyPath, at: int) -> KeyPath:
        return self._note((*path, self._last[path]), at) if path in self._last else path

    def _pair(self, path: KeyPath) -> None:
        begin = self._at
        for key in self._keys():
            path = self._note((*path, key), begin)
        self._skip(_EQUALS)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while found := _DOT.match(self._text, self._at):
            self._at = found.end()
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        match self._text[self._at]:
            case '"':
                return str(tomllib.loads(f"key = {self._take(_BASIC)}")["key"])
            case "'":
                return self._take(_LITERAL)[1:-1]
            case _:
                return self._take(_BARE_KEY)

    def _value(self, path: KeyPath) -> None:
        match self._text[self._at]:
            case "[":
                self._list(path)
            case "{":
                self._inline(path)
            case '"':
                self._take(_LONG_BASIC if self._text.startswith('"""', self._at) else _BASIC)
            case "'":
                self._take(_LONG_LITERAL if self._text.startswith("'''", self._at) else _LITERAL)
            case _:
                self._take(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_FILLING)
        index = 0
        while self._text[self._at] != "]":
            self._value(self._note((*path, index), self._at))
            index += 1
            self._comma()
        self._at += 1

    def _inline(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_FILLING)
        while self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_FILLING)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_FILLING)

    def _note(self, path: KeyPath, at: int) -> KeyPath:
        self.lines.setdefault(path, bisect_right(self._breaks, at - 1) + 1 if at else 1)
        return path

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"not TOML at character {self._at}")
        self._at = found.end()
        return found[0]
