"""Tests of `lvsha.config.resolve.checks`."""

from __future__ import annotations

import pytest

from checks.tcp import Tcp
from lvsha.config import CheckConfig
from tests.lab.desk import Desk

NAMED = """
[checks.web]
kind = "tcp"
interval = 5
[checks.sign]
kind = "tcp"
expect = "ok"
"""


def test_a_check_by_name_and_in_place(desk: Desk) -> None:
    """A name and a table mean the same, and equal checks are equal, so that they can be shared."""
    config = desk.load(
        NAMED
        + """
        [servers.a]
        address = "10.0.0.1"
        check = "web"
        [servers.b]
        address = "10.0.0.2"
        check = { kind = "tcp", interval = "5s" }
        [servers.c]
        address = "10.0.0.3"
        check = "none"
        """
    )
    assert config.servers["a"].check == config.servers["b"].check == config.checks["web"]
    assert config.servers["c"].check is None
    assert config.checks["sign"].check == Tcp(expect="ok")


def test_fast_interval_follows_interval(desk: Desk) -> None:
    """Where no fast interval is written a changing verdict is looked at as often as any."""
    assert desk.load(NAMED).checks["web"] == CheckConfig("tcp", Tcp(), interval=5.0, fast_interval=5.0)


def test_a_check_called_none(desk: Desk) -> None:
    """The name would be out of reach."""
    problem = desk.error('[checks.none]\nkind = "tcp"\n')
    assert (problem.path, problem.message) == ("checks.none", 'may not be called "none"')


def test_nearest_name(desk: Desk) -> None:
    """A name that is not there is told the nearest, else how to define it."""
    server = '[servers.a]\naddress = "10.0.0.1"\ncheck = "{}"\n'
    assert desk.error(NAMED + server.format("wbe")).hint == "did you mean web?"
    assert desk.error(NAMED + server.format("nine")).hint == "did you mean none?"
    assert desk.error(NAMED + server.format("xyz")).hint == "define [checks.xyz]"


def test_a_broken_check_is_told_once(desk: Desk) -> None:
    """Who refers to a check that is wrong is not wrong."""
    text = '[checks.a]\nkind = "tcp"\nrise = 0\n[servers.a]\naddress = "10.0.0.1"\ncheck = "a"\n'
    assert desk.error(text).path == "checks.a.rise"


ODD = [
    ("interval = 1\ntimeout = 2", "timeout", "a probe may take 2 s and one begins every 1 s"),
    ("fast_interval = 3", "fast_interval", "is longer than interval"),
]


@pytest.mark.parametrize(("lines", "key", "message"), ODD)
def test_odd_times(desk: Desk, lines: str, key: str, message: str) -> None:
    """Times that do not fit each other are a warning, for a named check and for one in place."""
    used = '[checks.a]\nkind = "tcp"\n' + lines + '\n[servers.a]\naddress = "10.0.0.1"\ncheck = "a"\n'
    inline = (
        '[servers.a]\naddress = "10.0.0.1"\ncheck = { kind = "tcp", ' + lines.replace("\n", ", ") + " }\n"
    )
    for text, path in ((used, "checks.a"), (inline, "servers.a.check")):
        problem = next(p for p in desk.warnings(text) if p.path == f"{path}.{key}")
        assert message in problem.message


def test_unused(desk: Desk) -> None:
    """What nothing refers to is told: it may be a reference with a slip."""
    assert [problem.path for problem in desk.warnings(NAMED)] == ["checks.web", "checks.sign"]
