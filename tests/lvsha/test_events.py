"""The catalogue of events, its page, and the code that emits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvsha.events import CATALOGUE, FIELDS, reference

ROOT = Path(__file__).parents[2]
FILES = (".json", ".sock", ".toml", ".lock", ".beat")
"""What looks like an event and is none."""
SOURCES = sorted((ROOT / "lvsha").rglob("*.py"))


def emits(source: str) -> Iterator[ast.Call]:
    """The calls of `emit` in a module's source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("emit", "log.emit"):
            yield node


def names(call: ast.Call) -> Iterator[str]:
    """The event names a call may use, where they can be read from the source."""
    for node in ast.walk(call.args[0]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_page_agrees() -> None:
    """docs/events.md is the catalogue: run `python -m lvsha.events > docs/events.md` after a change."""
    assert (ROOT / "docs/events.md").read_text() == reference()


@pytest.mark.parametrize("name", CATALOGUE)
def test_shape(name: str) -> None:
    """A name is `area.what` in lower case, its text a sentence, its fields explained once and used."""
    event = CATALOGUE[name]
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
    assert event.text.endswith(".")
    assert set(event.fields) <= set(FIELDS)
    assert len(set(event.fields)) == len(event.fields)


def test_every_field_is_used() -> None:
    """No field is explained that no event has."""
    assert {field for event in CATALOGUE.values() for field in event.fields} == set(FIELDS)


def test_page_order() -> None:
    """Events of one area stand together, so that the page has each heading once."""
    headings = re.findall(r"^## (.+)$", reference(), re.MULTILINE)
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sources_use_the_catalogue(path: Path) -> None:
    """Each name and each field in an `emit(...)` of the source is in the catalogue."""
    for call in emits(path.read_text()):
        where = f"{path.relative_to(ROOT)}:{call.lineno}"
        given = {k.arg for k in call.keywords if k.arg is not None}
        for name in names(call):
            assert name in CATALOGUE, f"{where}: {name} is not catalogued"
            assert given <= {*CATALOGUE[name].fields, "exception"}, f"{where}: {name} lacks a field"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_that_travel(path: Path) -> None:
    """A text that looks like an event is one: names also go through tables and through sockets."""
    areas = {name.partition(".")[0] for name in CATALOGUE}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            looks = re.fullmatch(r"([a-z]+)\.[a-z_]+", node.value)
            if looks and looks[1] in areas and not node.value.endswith(FILES):
                assert node.value in CATALOGUE, f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"


def test_finds_a_stranger() -> None:
    """The reader of sources sees a name behind a condition, and a field."""
    [call] = emits("emit('a.b' if x else 'c.d', colour=1)")
    assert list(names(call)) == ["a.b", "c.d"]
    assert [k.arg for k in call.keywords] == ["colour"]
