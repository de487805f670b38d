"""Tests of `lvsha.config.schema.checks`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import checks.http
import checks.tcp
from checks import KINDS
from checks.tls import Tls
from lvsha.config.schema import checks as schema
from lvsha.config.schema.checks import CheckTable, build, table
from tests.lab.desk import Desk


def made(**written: Any) -> Any:
    """The check of a table."""
    return build(table(written["kind"]).model_validate(written))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_setting_has_a_key(kind: str) -> None:
    """A table has the keys that all checks have and every setting of its kind, each with its meaning."""
    settings = {field.name for field in dataclasses.fields(KINDS[kind])}
    fields = table(kind).model_fields
    assert settings | set(CheckTable.model_fields) == set(fields)
    assert [name for name, field in fields.items() if not field.description] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_setting_hides_a_common_key(kind: str) -> None:
    """`timeout` or `port` of a kind would make the common key of that name unreachable."""
    settings = {field.name for field in dataclasses.fields(KINDS[kind])}
    assert settings & set(CheckTable.model_fields) == set()


def test_what_is_left_out_keeps_the_default_of_the_kind() -> None:
    """The settings' own defaults are used, not a copy."""
    assert made(kind="tcp") == checks.tcp.Tcp()
    assert made(kind="https") == KINDS["https"]()


def test_what_is_written_reaches_the_settings() -> None:
    """Lists become tuples, tables of texts pairs, tables of settings settings; all is hashable."""
    check = made(
        kind="http",
        path="/healthz",
        headers={"Accept": "text/plain", "X-Probe": "1"},
        status=[200, "300-399"],
        tls={"server_name": "www.example.org"},
    )
    assert check == checks.http.Http(
        path="/healthz",
        headers=(("Accept", "text/plain"), ("X-Probe", "1")),
        status=(200, "300-399"),
        tls=Tls(server_name="www.example.org"),
    )
    assert isinstance(hash(check), int)


def test_headers_of_one_name_twice() -> None:
    """A list of pairs says what a table cannot."""
    check = made(kind="http", headers=[["Accept", "a/b"], ["Accept", "c/d"]])
    assert check.headers == (("Accept", "a/b"), ("Accept", "c/d"))


def test_a_lone_value_is_a_list_of_one() -> None:
    """`status = 204` needs no brackets."""
    assert made(kind="http", status=204).status == (204,)


WRONG = [
    ('{ kind = "tcp", expect = 5 }', "expect", "must be a text, not 5"),
    ('{ kind = "tcp", expect = "(" }', "expect", "is not a regular expression"),
    ('{ kind = "http", status = [true] }', "status[0]", "must be a number or a text, not true"),
    ('{ kind = "http", headers = "s3cret" }', "headers", "must be a table of texts"),
    ('{ kind = "http", headers = { a = 1 } }', "headers", "a must be a text, not a number"),
    ('{ kind = "http", tls = { verfy = false } }', "tls.verfy", "is not a known key"),
    ('{ kind = "http", tls = { key = "/k" } }', "tls.key", "of no use without a certificate"),
    ('{ kind = "http", tls = 5 }', "tls", "must be a table, not 5"),
    ('{ kind = "tcp", interval = "1ms" }', "interval", "must be within 10ms and 1d, not 1ms"),
    ('{ kind = "tcp", rise = 0 }', "rise", "must be at least 1, not 0"),
    ('{ kind = "tcp", jitter = nan }', "jitter", "must be a finite number, not nan"),
    ("{ }", "kind", "is missing"),
    ("{ kind = 5 }", "kind", "not 5"),
]


@pytest.mark.parametrize(("written", "key", "message"), WRONG)
def test_wrong_settings(desk: Desk, written: str, key: str, message: str) -> None:
    """A wrong setting is told at its key, whether the table or the check itself finds it."""
    problem = desk.error(f"[servers.a]\naddress = '10.0.0.1'\ncheck = {written}")
    assert problem.path == f"servers.a.check.{key}"
    assert message in problem.message
    assert "s3cret" not in str(problem)


def test_reference_of_the_wrong_type(desk: Desk) -> None:
    """A check is named or written out."""
    problem = desk.error("[servers.a]\naddress = '10.0.0.1'\ncheck = 5")
    assert problem.message == "must be the name of a check or a table, not 5"


def test_several_wrong_settings(desk: Desk) -> None:
    """All that a check finds wrong with itself is told."""
    problems = desk.report('[checks.a]\nkind = "tcp"\nexpect = "("\nmax_read = 0\n').errors
    assert [(problem.path, problem.line) for problem in problems] == [
        ("checks.a.expect", 3),
        ("checks.a.max_read", 4),
    ]


def test_an_unknown_kind() -> None:
    """There is no table of it."""
    with pytest.raises(KeyError):
        schema.table("htpp")
