"""Checks: from the tables to the frozen settings that a probe runs with."""

from __future__ import annotations

from typing import Any

from checks import SettingsError
from lvsha.config.decode import Findings, Written, read_check
from lvsha.config.problems import Finding, KeyPath, did_you_mean, error, warning
from lvsha.config.schema.checks import CheckTable, build
from lvsha.config.schema.values import shown
from lvsha.config.settings.services import CheckConfig

NONE = "none"
Reference = str | dict[str, Any] | None


class Checks:
    """The named checks, and the way from a reference to one."""

    def __init__(self, written: Written, findings: Findings) -> None:
        self._findings = findings
        self._known = written.names["checks"]
        self._used: set[str] = set()
        self.named: dict[str, CheckConfig] = {}
        for name, table in written.checks.items():
            check = self._config(table, ("checks", name))
            if check is not None:
                self.named[name] = check

    def find(self, reference: Reference, path: KeyPath) -> CheckConfig | None:
        """The check that a key asks for; None for no check, and for one that is wrong."""
        match reference:
            case None | "none":
                return None
            case str():
                return self._by_name(reference, path)
            case dict():
                table = read_check(reference, path, self._findings)
                return self._config(table, path) if table is not None else None

    def unused(self) -> list[Finding]:
        """Checks that nothing refers to."""
        return [
            warning(("checks", name), "is used by no service or server", "refer to it, or take it out")
            for name in self.named
            if name not in self._used
        ]

    def _by_name(self, name: str, path: KeyPath) -> CheckConfig | None:
        if name not in self._known:
            hint = did_you_mean(name, [*self._known, NONE]) or f"define [checks.{name}]"
            self._findings.add(error(path, f"there is no check {shown(name)}", hint))
        self._used.add(name)
        return self.named.get(name)

    def _config(self, table: CheckTable, path: KeyPath) -> CheckConfig | None:
        try:
            check = build(table)
        except SettingsError as wrong:
            self._findings.extend(_split(problem, path) for problem in wrong.problems)
            return None
        config = CheckConfig(
            kind=table.kind,
            check=check,
            interval=table.interval,
            fast_interval=table.interval if table.fast_interval is None else table.fast_interval,
            timeout=table.timeout,
            rise=table.rise,
            fall=table.fall,
            jitter=table.jitter,
            # An SSH server is not where the service is.
            port=getattr(check, "usual_port", None) if table.port is None else table.port,
            address=table.address,
            through=table.through,
        )
        self._findings.extend(_timing(config, path))
        return config


def _split(problem: str, path: KeyPath) -> Finding:
    """`tls.key: of no use`, as the check says it, at the key that it is about."""
    keys, colon, message = problem.partition(": ")
    if not colon or " " in keys:
        return error(path, problem)
    return error((*path, *keys.split(".")), message)


def _timing(check: CheckConfig, path: KeyPath) -> list[Finding]:
    """What is odd about a check's times."""
    found = []
    if check.timeout > check.interval:
        found.append(
            warning(
                (*path, "timeout"),
                f"is longer than the interval: a probe may take {check.timeout:g} s and one begins every "
                f"{check.interval:g} s",
                "make the interval at least as long as the timeout",
            )
        )
    if check.fast_interval > check.interval:
        found.append(
            warning(
                (*path, "fast_interval"),
                "is longer than interval, so that a changing verdict is looked at less often",
                "make it shorter than interval, or leave it out",
            )
        )
    return found
