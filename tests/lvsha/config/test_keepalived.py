"""Tests of lvsha.config.keepalived: whoever comes from there is told the key that is meant."""

from __future__ import annotations

import re
from functools import cache

import pytest

from lvsha.config import json_schema, keepalived
from lvsha.config.schema import NAMED, SINGLE
from tests.lab.desk import Desk

INSTANCE = '[vrrp.a]\ninterface = "eth0"\nvrid = 51\naddresses = ["192.0.2.100/24"]\n'
SERVICE = '[services.web]\naddress = "192.0.2.100"\nport = 80\ncheck = "none"\n'


@cache
def _keys() -> set[str]:
    schema = json_schema()
    return {key for table in schema["$defs"].values() for key in table.get("properties", ())}


@pytest.mark.parametrize("word", sorted(keepalived.WORDS))
def test_what_is_named_is_there(word: str) -> None:
    """Every key and section that a hint names is one of lvsha's, and keepalived's word is not."""
    here = keepalived.WORDS[word]
    known, sections = _keys(), {*NAMED, *SINGLE}
    for key in re.findall(r"`([a-z_]+)(?: =.*?)?`", here):
        assert key in known, key
    for section in re.findall(r"\[+([a-z]+)[.\]]", here):
        assert section in sections, section
    assert word not in known


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        (f"{INSTANCE}virtual_router_id = 51", "vrrp.a.virtual_router_id", "`vrid`"),
        (f"{INSTANCE}nopreempt = true", "vrrp.a.nopreempt", "`preempt = false`"),
        (f'{INSTANCE}notify_master = "/x"', "vrrp.a.notify_master", "`[notify.NAME]`"),
        (f'{SERVICE}lb_algo = "rr"', "services.web.lb_algo", "`scheduler`"),
        (f"{SERVICE}real_server = []", "services.web.real_server", "[[services.NAME.servers]]"),
        ('[checks.a]\nkind = "HTTP_GET"', "checks.a.kind", '`kind = "http"`'),
        ("[virtual_server.a]\nx = 1", "virtual_server", "[services.NAME]"),
    ],
)
def test_a_key_of_keepaliveds_is_answered_by_ours(desk: Desk, text: str, path: str, hint: str) -> None:
    """In tables, among sections and as the kind of a check."""
    problem = desk.error(text)
    assert problem.path == path
    assert problem.hint.startswith("that is keepalived's word")
    assert hint in problem.hint


def test_a_file_of_keepaliveds_is_known_as_one(desk: Desk) -> None:
    """It is no TOML, and the error says what it is instead."""
    problem = desk.error("# theirs\nvrrp_instance VI_1 {\n}\n")
    assert problem.line == 2
    assert "keepalived.conf" in problem.hint


def test_other_words_have_no_hint() -> None:
    """Neither ours nor anybody's, of any length."""
    assert keepalived.hint("vrid") == keepalived.hint("x" * 100_000) == ""
