"""Tests of `lvsha.config.document`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lvsha.config import check, json_schema

EXAMPLES = sorted((Path(__file__).parents[3] / "conf").glob("*.toml"))
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_it_is_a_schema() -> None:
    """It is valid draft 2020-12, and every reference in it leads somewhere."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    references = {value for key, value in walk(schema) if key == "$ref"}
    assert references <= {f"#/$defs/{name}" for name in schema["$defs"]}


def walk(value: Any) -> list[tuple[str, Any]]:
    """Every key of every object, with its value."""
    match value:
        case dict():
            return [*value.items(), *(pair for part in value.values() for pair in walk(part))]
        case list():
            return [pair for part in value for pair in walk(part)]
        case _:
            return []


def test_nothing_that_toml_does_not_have() -> None:
    """TOML has no null, so no value and no default is one."""
    assert [pair for pair in walk(json_schema()) if pair in (("type", "null"), ("default", None))] == []


def test_every_key_has_its_meaning() -> None:
    """An editor can show what each key is for."""
    tables = [json_schema(), *json_schema()["$defs"].values()]
    bare = [
        key
        for table in tables
        for key, value in table.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert bare == []


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_examples(path: Path) -> None:
    """Every example is valid by the schema, has no error, and warns of nothing it does not mean to."""
    assert list(VALIDATOR.iter_errors(tomllib.loads(path.read_text()))) == []
    report = check(path, "lb1")
    assert report.errors == ()
    meant = (
        "is used by no service or server",
        "is sent in clear text",
        "holds a secret",
        "there is no [peer]",
    )
    assert [str(w) for w in report.warnings if not any(text in w.message for text in meant)] == []


WRONG = [
    "unknown = 1",
    "[ipvs]\nlook = 'x'",
    "[ipvs]\nlook = -1",
    "[services.a]\nport = '80'",
    "[services.a]\nport = 65536",
    "[services.'a b']",
    "[services.a]\nmode = 'masq'",
    "[services.a]\nserver = []",
    "[[services.a.servers]]\nweight = -1",
    "[services.a]\ncheck = 5",
    "[services.a]\ncheck = { kind = 'tcpp' }",
    "[checks.a]\nkind = 'tcp'\nstatus = 200",
    "[checks.a]\nkind = 'http'\nstatus = [true]",
    "[checks.a]\nkind = 'http'\nheaders = { a = 1 }",
    "[vrrp.a]\nvrid = 1",
    "[vrrp.a]\nvrid = 0\naddresses = ['192.0.2.1/24']",
    "[vrrp.a]\nvrid = 1\naddresses = []",
    "[vrrp.a]\nvrid = 1\naddresses = ['192.0.2.1/24']\ntrack = [{ weight = 1 }]",
    "[vrrp.a]\nvrid = 1\naddresses = ['192.0.2.1/24']\nlease = 'never'",
    "[vrrp.a]\nvrid = 1\naddresses = ['192.0.2.1/24']\nauth = { password = 'x', keys = {} }",
]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_files(text: str) -> None:
    """What a value may not be by itself is wrong by the schema as well."""
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) != []


RIGHT = [
    "[ipvs]\nlook = '30s'\nsysctl = { conntrack = 1, sync_threshold = '3 50' }",
    "[servers.a]\naddress = '2001:db8::1'\ncheck = 'none'",
    "[servers.a]\naddress = '192.0.2.1'\ncheck = { kind = 'tcp', interval = 0.5 }",
    "[checks.a]\nkind = 'http'\nstatus = 200\nheaders = [['a', 'b']]",
    "[vrrp.a]\nvrid = 1\naddresses = ['192.0.2.1', { address = '192.0.2.2/24' }]\nlease = 30",
    "[services.a]\npersistence = { netmask = '255.255.255.0', timeout = '5m' }",
]


@pytest.mark.parametrize("text", RIGHT)
def test_every_spelling(text: str) -> None:
    """A value that has several spellings may have any of them."""
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
