"""Load the configuration, or say everything that is wrong with it.

The way of a file: read and merged (`sources`), turned into tables (`decode`), every name looked
up (`resolve`), the parts judged together (`rules`). Each step goes on with what the step before
could use, so one reading finds every problem.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lvsha.config.decode import Findings, Written, decode
from lvsha.config.problems import ConfigError, Finding, KeyPath, Report, Severity, warning
from lvsha.config.resolve import node_name, resolve
from lvsha.config.rules import judge
from lvsha.config.schema.machine import PeerTable
from lvsha.config.schema.vrrp import KeysTable, PasswordTable, VrrpTable
from lvsha.config.settings import Config
from lvsha.config.sources import Sources, read


def load(path: Path, node: str | None = None) -> Config:
    """The configuration of a node (by default the one that the file or the host's name says).

    Raises ConfigError with every problem of the file and all that it includes.
    """
    config, report = read_all(path, node)
    if report.errors:
        raise ConfigError(report.errors)
    return config


def check(path: Path, node: str | None = None) -> Report:
    """Everything that is wrong or odd about a configuration. Never raises for what a file holds."""
    return read_all(path, node)[1]


def read_all(path: Path, node: str | None = None) -> tuple[Config, Report]:
    """The configuration so far as it can be used, and the report about it."""
    sources = read(path)
    findings = Findings()
    written = decode(sources.table, findings)
    name = node_name(written, node, os.uname().nodename)
    resolved = resolve(written, name, tuple(source.path for source in sources.read), findings)
    findings.extend(judge(resolved))
    findings.extend(_exposed(written, sources))
    return resolved.config, _report(sources, findings.found)


def _report(sources: Sources, found: list[Finding]) -> Report:
    """By file and line; what two nodes of one file have in common is told once."""
    problems = sources.problems + [sources.problem(finding) for finding in dict.fromkeys(found)]
    order = {source.path: number for number, source in enumerate(sources.read)}
    problems.sort(key=lambda problem: (order.get(problem.file, -1), problem.line or 0))
    return Report(
        tuple(problem for problem in problems if problem.severity is Severity.ERROR),
        tuple(problem for problem in problems if problem.severity is Severity.WARNING),
    )


def _exposed(written: Written, sources: Sources) -> Iterator[Finding]:
    """Secrets in a file that everybody may read."""
    secret: list[KeyPath] = [("vrrp", name, "auth") for name, table in written.vrrp.items() if _secret(table)]
    peer = written.single.get("peer")
    if isinstance(peer, PeerTable) and not peer.key.startswith("file:"):
        secret.append(("peer", "key"))
    for path in secret:
        owner = sources.owner(path)
        if owner is not None and owner.public:
            message = f"holds a secret, and {owner.path} may be read by everybody"
            yield warning(path, message, f"chmod o-r {owner.path}")


def _secret(table: VrrpTable) -> bool:
    match table.auth:
        case PasswordTable():
            return True
        case KeysTable(keys=keys):
            return not all(text.startswith("file:") for text in keys.values())
        case _:
            return False
