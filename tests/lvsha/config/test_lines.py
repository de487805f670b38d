"""Tests of `lvsha.config.lines`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsha.config.lines import key_lines
from lvsha.config.problems import KeyPath

TEXT = '''\
# a comment with [brackets] and = signs
top = 1
[a.b]   # [not.this]
c.d = "x # no comment"
"q.\\u0041" = 'lit'
list = [
    1, # one ]
    [2, 3],
    { k = "}", n.m = 2 },
]
long = """
[fake]
fake = 1 \\""" still ""
"""""
later = 1979-05-27 07:32:00
raw = \'\'\'
x = ']' \'\'\'\'
[[a.t]]
n = 1
[[a.t]]
n = 2
[a.t.sub]
s = true
[[a.t.u]]
v = 1
'''


def leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Paths of everything below that holds nothing further."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    empty = True
    for key, inner in items:
        empty = False
        yield from leaves(inner, (*path, key))
    if empty and path:
        yield path


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 3),
        (("a", "b"), 3),
        (("a", "b", "c", "d"), 4),
        (("a", "b", "q.A"), 5),
        (("a", "b", "list"), 6),
        (("a", "b", "list", 0), 7),
        (("a", "b", "list", 1, 1), 8),
        (("a", "b", "list", 2, "n", "m"), 9),
        (("a", "b", "long"), 11),
        (("a", "b", "later"), 15),
        (("a", "b", "raw"), 16),
        (("a", "t", 0, "n"), 19),
        (("a", "t", 1), 20),
        (("a", "t", 1, "n"), 21),
        (("a", "t", 1, "sub", "s"), 23),
        (("a", "t", 1, "u", 0, "v"), 25),
    ],
)
def test_places(path: KeyPath, line: int) -> None:
    """Keys of every spelling are found on their line, and nothing inside a string or comment is a key."""
    lines = key_lines(TEXT)
    assert lines[path] == line
    assert {path for path in lines if "fake" in path} == set()


def test_line_ends_of_windows() -> None:
    """A line ends at CR LF too."""
    assert key_lines("a = 1\r\n\r\nb = 2\r\n") == {("a",): 1, ("b",): 3}


def test_first_character() -> None:
    """A header at the very beginning stands on line 1."""
    assert key_lines("[a]")[("a",)] == 1


class Writer:
    """Writes documents in which no two keys are alike, so that a line tells which key stands on it."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.count = 0

    def key(self) -> str:
        """A key nobody has used, in one of TOML's spellings."""
        self.count += 1
        name = f"k{self.count}k"
        return self.draw(
            st.sampled_from([name, f'"{name}"', f"'{name}'", f'"{name}\\u0020\\""', f"'{name}]#='"])
        )

    def keys(self) -> str:
        """A dotted key."""
        dot = self.draw(st.sampled_from([".", " . ", "\t."]))
        return dot.join(self.key() for _ in range(self.draw(st.integers(1, 3))))

    def gap(self, *, lines: bool) -> str:
        """What may stand between two tokens."""
        gaps = ["", " ", "\t "]
        return self.draw(st.sampled_from([*gaps, "\n", " # x = [1]\n  ", "\n\n"] if lines else gaps))

    def value(self, depth: int, *, lines: bool = True) -> str:
        """Any value, nested at most so deep."""
        kinds = ["scalar"] * 3 + (["list", "inline"] if depth else [])
        match self.draw(st.sampled_from(kinds)):
            case "scalar":
                return self.scalar(lines=lines)
            case "list":
                parts = [
                    f"{self.gap(lines=lines)}{self.value(depth - 1, lines=lines)}{self.gap(lines=lines)}"
                    for _ in range(self.draw(st.integers(0, 3)))
                ]
                return "[" + ",".join(parts) + self.gap(lines=lines) + "]"
            case _:
                pairs = [self.pair(depth - 1, lines=False) for _ in range(self.draw(st.integers(0, 3)))]
                return "{ " + ", ".join(pairs) + " }"

    def scalar(self, *, lines: bool) -> str:
        """A value that holds no other."""
        plain = [
            "1",
            "-0.5",
            "true",
            "inf",
            "0x1F",
            "1979-05-27T07:32:00Z",
            "1979-05-27 07:32:00",
            "07:32:00",
        ]
        quoted = ['""', '"a\\"b # ] } = k"', "''", "'\\'", '"""x"""', "'''x'''", '"""a"" """', '"""a"""""']
        long = ['"""\n[x]\ny = 1 \\\\\n"""', "'''\n[[x]]\n''y'''''", '"""\\\n   "" \\""""']
        return self.draw(st.sampled_from(plain + quoted + (long if lines else [])))

    def pair(self, depth: int, *, lines: bool = True) -> str:
        """A key and its value."""
        return f"{self.keys()}{self.gap(lines=False)}={self.gap(lines=False)}{self.value(depth, lines=lines)}"

    def document(self) -> str:
        """A whole text."""
        text, arrays = "", [self.keys()]
        for _ in range(self.draw(st.integers(0, 8))):
            text += self.gap(lines=True)
            match self.draw(st.sampled_from(["pair", "pair", "table", "array", "element", "below"])):
                case "pair":
                    text += self.pair(2)
                case "table":
                    text += f"[ {self.keys()} ]"
                case "array":
                    arrays.append(self.keys())
                    text += f"[[{arrays[-1]}]]"
                case "element":
                    text += f"[[{self.draw(st.sampled_from(arrays))}]]"
                case _:
                    text += f"[{self.draw(st.sampled_from(arrays))}.{self.keys()}]"
            text += self.draw(st.sampled_from(["\n", " # k = 1\n", "\r\n"]))
        return text


@settings(deadline=None)
@given(data=st.data())
def test_every_leaf_has_the_line_its_key_stands_on(data: st.DataObject) -> None:
    """Whatever tomllib finds in a text has a line, and the nearest key above it stands on that line."""
    text = Writer(data).document()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # `[[a]]` after `[a.b]`: not TOML, and never handed to the scanner
    lines, written = key_lines(text), text.replace("\r\n", "\n").split("\n")
    found = list(leaves(document))
    assert {path for path in lines if not any(path == other[: len(path)] for other in found)} == set()
    for path in found:
        for end in range(1, len(path) + 1):
            name = path[end - 1]
            if isinstance(name, str):
                assert name.split()[0].strip('"]#=') in written[lines[path[:end]] - 1]
            else:
                assert path[:end] in lines
