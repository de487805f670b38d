"""From the merged tables to the models of `lvsha.config.schema`, entry by entry.

Every entry is read for itself, and every server within a service, so that one that is broken
hides nothing about the others. An unknown key is reported and then left out, so that the rules
still see the rest of its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from checks import KINDS
from lvsha.config import keepalived, words
from lvsha.config.problems import Finding, KeyPath, did_you_mean, error
from lvsha.config.schema import NAMED, SINGLE
from lvsha.config.schema.checks import CheckTable, table
from lvsha.config.schema.machine import NodeEntry
from lvsha.config.schema.notify import NotifyTable
from lvsha.config.schema.services import NamedServerTable, ServerTable, ServiceTable
from lvsha.config.schema.values import Table, is_name, shown
from lvsha.config.schema.vrrp import VrrpTable

T = TypeVar("T", bound=Table)


@dataclass
class Findings:
    """What has been found so far."""

    found: list[Finding] = field(default_factory=list)

    def add(self, *findings: Finding) -> None:
        """Keep these."""
        self.found.extend(findings)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keep all that a rule yields."""
        self.found.extend(findings)


@dataclass(frozen=True, slots=True)
class WrittenService:
    """A service as it is written, with those of its servers that could be read and their index."""

    table: ServiceTable
    servers: Mapping[int, ServerTable]
    fallback: Mapping[int, ServerTable]
    complete: bool
    """Every server that is written could be read."""
    sound: bool
    """So could every key of its own; else those that could not are left out of `table`."""


@dataclass
class Written:
    """The whole configuration as it is written. What could not be read is absent from the mappings."""

    names: Mapping[str, frozenset[str]]
    """By section: every name that is written there, readable or not."""
    single: dict[str, Table] = field(default_factory=dict)
    nodes: dict[str, NodeEntry] = field(default_factory=dict)
    servers: dict[str, NamedServerTable] = field(default_factory=dict)
    checks: dict[str, CheckTable] = field(default_factory=dict)
    services: dict[str, WrittenService] = field(default_factory=dict)
    vrrp: dict[str, VrrpTable] = field(default_factory=dict)
    notify: dict[str, NotifyTable] = field(default_factory=dict)


def decode(document: Mapping[str, Any], findings: Findings) -> Written:
    """Read every table of the document."""
    tables = {section: _section(document, section, findings) for section in (*SINGLE, *NAMED)}
    findings.extend(_unknown(document))
    written = Written({section: frozenset(tables[section] or {}) for section in NAMED})
    for section, shape in SINGLE.items():
        if (given := tables[section]) is not None:
            read = read_table(shape, given, (section,), findings)
            if read is not None:
                written.single[section] = read
    for section in NAMED:
        for name, value in (tables[section] or {}).items():
            _entry(written, section, name, value, findings)
    return written


def _section(document: Mapping[str, Any], section: str, findings: Findings) -> dict[str, Any] | None:
    value = document.get(section)
    if value is None or isinstance(value, dict):
        return value
    name = f"{section}.NAME" if section in NAMED else section
    findings.add(error((section,), f"must be a table, not {shown(value)}", f"write [{name}]"))
    return None


def _unknown(document: Mapping[str, Any]) -> Iterable[Finding]:
    known = {*SINGLE, *NAMED, "include"}
    for section in document:
        if section not in known:
            near = keepalived.hint(section) or did_you_mean(section, known)
            hint = near or f"known here: {', '.join(sorted(known))}"
            yield error((section,), "is not a known table", hint)


def _entry(written: Written, section: str, name: str, value: Any, findings: Findings) -> None:
    path = (section, name)
    if (problem := _name(section, name, path)) is not None:
        findings.add(problem)
    match section:
        case "services":
            _keep(written.services, name, _service(value, path, findings))
        case "checks":
            _keep(written.checks, name, read_check(value, path, findings))
        case "servers":
            _keep(written.servers, name, read_table(NamedServerTable, value, path, findings))
        case "vrrp":
            _keep(written.vrrp, name, read_table(VrrpTable, value, path, findings))
        case "notify":
            _keep(written.notify, name, read_table(NotifyTable, value, path, findings))
        case _:
            _keep(written.nodes, name, read_table(NodeEntry, value, path, findings))


V = TypeVar("V")


def _keep(into: dict[str, V], name: str, value: V | None) -> None:
    if value is not None:
        into[name] = value


def _name(section: str, name: str, path: KeyPath) -> Finding | None:
    if section == "checks" and name == "none":
        return error(path, 'may not be called "none"', 'check = "none" means: no check')
    if is_name(name):
        return None
    hint = "use letters, digits, '.', '_' and '-', at most 64, no '.', '_' or '-' first"
    return error(path, f"{shown(name)} is not a name", hint)


def _service(value: Any, path: KeyPath, findings: Findings) -> WrittenService | None:
    """The service and each of its servers for themselves."""
    lists: dict[str, dict[int, ServerTable]] = {"servers": {}, "fallback": {}}
    own, count = value, 0
    for key, into in lists.items():
        if isinstance(value, dict) and isinstance(value.get(key), list):
            own = {name: part for name, part in own.items() if name != key}
            count += len(value[key])
            for index, entry in enumerate(value[key]):
                server = read_table(ServerTable, entry, (*path, key, index), findings)
                if server is not None:
                    into[index] = server
    read, sound = _sound(own, path, findings)
    if read is None:
        return None
    complete = sum(map(len, lists.values())) == count
    return WrittenService(read, **lists, complete=complete, sound=sound)


def _sound(own: Any, path: KeyPath, findings: Findings) -> tuple[ServiceTable | None, bool]:
    """The service's own keys; where some are wrong the others, so that the names in them are looked up."""
    before = len(findings.found)
    read = read_table(ServiceTable, own, path, findings)
    if read is not None or not isinstance(own, dict):
        return read, read is not None
    wrong = {finding.path[len(path)] for finding in findings.found[before:]}
    return read_table(ServiceTable, {k: v for k, v in own.items() if k not in wrong}, path, findings), False


def read_check(value: Any, path: KeyPath, findings: Findings) -> CheckTable | None:
    """A check's table, whose keys depend on its kind."""
    if not isinstance(value, dict):
        findings.add(error(path, f"must be a table, not {shown(value)}", 'write { kind = "tcp" }'))
        return None
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        kinds = f"one of {', '.join(sorted(KINDS))}"
        message = "is missing" if kind is None else f"must be {kinds}, not {shown(kind)}"
        near = isinstance(kind, str) and (keepalived.hint(kind) or did_you_mean(kind, KINDS))
        hint = near or ("" if isinstance(kind, str) else f"it is {kinds}")
        findings.add(error((*path, "kind"), message, hint))
        return None
    return read_table(table(kind), value, path, findings)


def read_table(shape: type[T], value: Any, path: KeyPath, findings: Findings) -> T | None:
    """The value as such a table, or None and what is wrong with it."""
    known: words.Known = {}
    try:
        return shape.model_validate(value, context=known)
    except ValidationError as problem:
        findings.extend(words.findings(problem, value, path, known))
        details = problem.errors(include_url=False, include_context=False, include_input=False)
    if all(detail["type"] == "extra_forbidden" for detail in details):
        rest = value
        for detail in details:
            rest = _without(rest, words.place(detail["loc"], value))
        return shape.model_validate(rest)
    return None


def _without(value: Any, place: KeyPath) -> Any:
    """A copy of the value with one key left out."""
    step, *rest = place
    if isinstance(value, list):
        return [_without(part, tuple(rest)) if index == step else part for index, part in enumerate(value)]
    if not rest:
        return {key: part for key, part in value.items() if key != step}
    return {key: _without(part, tuple(rest)) if key == step else part for key, part in value.items()}
