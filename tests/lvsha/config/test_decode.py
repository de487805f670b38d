"""Tests of `lvsha.config.decode`."""

from __future__ import annotations

from typing import Any

import pytest

from lvsha.config.decode import Findings, Written, decode, read_check, read_table
from lvsha.config.problems import Finding, spell
from lvsha.config.schema.services import ServiceTable


def decoded(document: dict[str, Any]) -> tuple[Written, list[Finding]]:
    """What is read of a document, and what is wrong with it."""
    findings = Findings()
    return decode(document, findings), findings.found


def test_what_is_right_is_read_beside_what_is_wrong() -> None:
    """Every entry stands for itself, and a name that is written is known though its entry is not readable."""
    written, found = decoded(
        {
            "servers": {"a": {"address": "10.0.0.1"}, "b": {"address": 5}, "c": 7},
            "ipvs": {"look": "x"},
            "speaker": {"grace": 5},
        }
    )
    assert list(written.servers) == ["a"]
    assert written.names["servers"] == {"a", "b", "c"}
    assert list(written.single) == ["speaker"]
    assert [spell(finding.path) for finding in found] == ["ipvs.look", "servers.b.address", "servers.c"]


def test_an_unknown_key_does_not_spoil_its_table() -> None:
    """It is told, and the rest is read, at whatever depth it stands."""
    written, found = decoded(
        {"services": {"a": {"port": 80, "prot": 1, "persistence": {"timeout": 5, "x": {"y": 1}}}}}
    )
    table = written.services["a"].table
    assert table.port == 80
    assert table.persistence is not None
    assert table.persistence.timeout == 5
    assert sorted(spell(finding.path) for finding in found) == ["services.a.persistence.x", "services.a.prot"]


def test_servers_are_read_one_by_one() -> None:
    """One that is broken leaves the others, with their own index."""
    servers = [{"address": "10.0.0.1"}, {"address": 5}, {"address": "10.0.0.3"}]
    written, found = decoded({"services": {"a": {"port": 80, "servers": servers}}})
    service = written.services["a"]
    assert (list(service.servers), service.complete, service.sound) == ([0, 2], False, True)
    assert [spell(finding.path) for finding in found] == ["services.a.servers[1].address"]


def test_a_broken_service_keeps_its_other_keys() -> None:
    """So that the names in it can be looked up; it says itself that it is not sound."""
    written, found = decoded({"services": {"a": {"port": "80", "check": "x"}}})
    service = written.services["a"]
    assert (service.table.check, service.table.port, service.sound) == ("x", None, False)
    assert len(found) == 1


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"services": 5}, "services", "must be a table, not 5"),
    ({"ipvs": []}, "ipvs", "must be a table, not an empty list"),
    ({"x": {}}, "x", "is not a known table"),
    ({"servers": {"a b": {"address": "10.0.0.1"}}}, 'servers."a b"', '"a b" is not a name'),
    ({"checks": {"a": 5}}, "checks.a", "must be a table, not 5"),
]


@pytest.mark.parametrize(("document", "path", "message"), WRONG)
def test_wrong_sections(document: dict[str, Any], path: str, message: str) -> None:
    """A section of the wrong shape, an unknown one, a name that is none."""
    _, (finding,) = decoded(document)
    assert spell(finding.path) == path
    assert message in finding.message


def test_the_nearest_section() -> None:
    """A slip in a section's name is told the name that was meant; else all of them are."""
    _, (near,) = decoded({"servcies": {}})
    assert near.hint == "did you mean services?"
    _, (far,) = decoded({"zzzz": {}})
    assert far.hint.startswith("known here: api, checks, include")


def test_kinds_of_check() -> None:
    """A kind that is missing or unknown is told what there is."""
    findings = Findings()
    assert read_check({}, ("c",), findings) is None
    assert read_check({"kind": "tcpp"}, ("c",), findings) is None
    missing, unknown = findings.found
    assert (missing.message, missing.hint.startswith("it is one of ")) == ("is missing", True)
    assert unknown.hint == "did you mean tcp?"


def test_a_table_that_is_none() -> None:
    """A value in the place of a table."""
    findings = Findings()
    assert read_table(ServiceTable, [1], ("services", "a"), findings) is None
    assert findings.found[0].message == "must be a table, not a list"
