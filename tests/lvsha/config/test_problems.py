"""Tests of `lvsha.config.problems`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvsha.config.problems import (
    ConfigError,
    KeyPath,
    Problem,
    Severity,
    did_you_mean,
    error,
    printable,
    spell,
    warning,
)

FILE = Path("/etc/lvsha.toml")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("services", "web", "servers", 2, "port"), "services.web.servers[2].port"),
        (("a", 0, 1), "a[0][1]"),
        (("a b", "c.d"), '"a b"."c.d"'),
        (("x" * 70,), "x" * 70),
        (("é" * 70,), '"' + "é" * 60 + '..."'),
    ],
)
def test_spelling(path: KeyPath, text: str) -> None:
    """A path is spelt as TOML would, and is short enough to read."""
    assert spell(path) == text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(FILE, 12, "a.b", "is wrong", "mend it"), "/etc/lvsha.toml:12: a.b: is wrong; mend it"),
        (Problem(FILE, None, "", "is missing"), "/etc/lvsha.toml: is missing"),
        (Problem(FILE, 1, "", "is not TOML"), "/etc/lvsha.toml:1: is not TOML"),
    ],
)
def test_a_problem_in_words(problem: Problem, text: str) -> None:
    """File, line, key, what is wrong, what to do; what is not known leaves no hole."""
    assert str(problem) == text


def test_nothing_for_a_terminal() -> None:
    """Control characters of a hostile file are shown, not sent."""
    problem = Problem(FILE, 1, "a\x1b[2J", "b\nc", "\u202ed")
    assert (problem.path, problem.message, problem.hint) == ("a\\x1b[2J", "b\\nc", "\\u202ed")
    assert printable("ä\x07") == "ä\\x07"


def test_an_error_holds_its_problems() -> None:
    """The exception's text is one line a problem."""
    problems = (Problem(FILE, 1, "a", "is wrong"), Problem(FILE, 2, "b", "is wrong"))
    caught = ConfigError(problems)
    assert caught.problems == problems
    assert str(caught).splitlines() == [str(problem) for problem in problems]


def test_severity() -> None:
    """An error and a warning are told apart."""
    assert error(("a",), "x").severity is Severity.ERROR
    assert warning(("a",), "x").severity is Severity.WARNING


def test_did_you_mean() -> None:
    """The nearest word is offered; nothing near is nothing offered, and neither is much text compared."""
    assert did_you_mean("servces", ["servers", "services"]) == "did you mean services?"
    assert did_you_mean("NAT", ["nat", "dr"]) == "did you mean nat?"
    assert did_you_mean("xyz", ["servers"]) == ""
    assert did_you_mean("s" * 100_000, ["s" * 100_000]) == ""
