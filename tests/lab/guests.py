"""The guests of a session: they run their tests beside the host, which hears of them when their turn comes.

A guest takes one processor for minutes, and most of the host's tests wait for something most of the time. So
a guest boots with the session's first test, and what it has to report stands in a file by the time the host
asks for it. Guests follow one another: User-Mode Linux is one processor's work, and QEMU, which emulates two,
would leave none of two to tests which want to be woken every ten milliseconds.

What failed in company deserves to be tried without: with `--last-failed` a guest boots at its own first test,
when the host has run all of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab import kernel
from tests.lab.follow import Lines
from tests.lab.guest import Guest
from tests.lab.kernel import Kind

SHARE = "LVSHA_LAB_SHARE"
"""Set in a guest: the shared directory. It makes the plugin report there instead of looking for a kernel."""

_SLOWNESS = {Kind.UML: 2.0, Kind.QEMU: 6.0}
_BOOT = {Kind.UML: 120.0, Kind.QEMU: 600.0}
"""Seconds until a guest must have collected its tests."""


LIMIT = pytest.StashKey[float]()
"""Of a guest's test: what `limit` said before the host took its own timeout away."""


class Guests:
    """All guests of a session, in the order in which they run."""

    def __init__(self, config: pytest.Config, selected: Mapping[Kind, Sequence[pytest.Item]]) -> None:
        self._config = config
        self._waiting = dict(selected)
        self._runs: dict[Kind, GuestRun] = {}

    def advance(self) -> None:
        """Boot the next guest if none is at work."""
        if self._waiting and not any(run.guest.alive for run in self._runs.values()):
            self.run(next(iter(self._waiting)))

    def run(self, kind: Kind) -> GuestRun:
        """The run of a guest, which boots if it has not yet."""
        if kind in self._waiting:
            self._runs[kind] = GuestRun(kind, self._config, self._waiting.pop(kind))
        return self._runs[kind]

    def stop(self) -> None:
        """Let none outlive the session."""
        self._waiting.clear()
        for run in self._runs.values():
            run.guest.stop()


class GuestRun:
    """One guest with one pytest in it, seen from the host."""

    def __init__(self, kind: Kind, config: pytest.Config, selected: Sequence[pytest.Item]) -> None:
        self.guest = Guest(kind)
        self.title = kernel.title(kind, "(did not boot)")
        self._config = config
        self._collected: set[str] | None = None
        self.broken = ""
        (self.guest.share / "selected").write_text(json.dumps([item.nodeid for item in selected]))
        reports = self.guest.share / "reports"
        reports.touch()
        self._lines = Lines(reports)
        self.guest.start(
            _pytest_argv(kind, config, selected),
            directory=config.rootpath,
            environment=_environment(kind, self.guest.share),
        )

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """The guest's reports on a test as they come; a failure of the guest is a failed report."""
        try:
            yield from self._reports(item)
        except GuestError as error:
            if self.broken:
                yield _failed(item, self.broken, "")
            else:
                self.broken = str(error)
                yield _failed(item, self.broken, self.guest.tail())

    def _reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        if self._collected is None:
            greeting = self._take(_BOOT[self.guest.kind])
            self._collected = set(greeting["collected"])
            self.title = kernel.title(self.guest.kind, greeting["release"])
        if item.nodeid not in self._collected:
            yield _failed(item, f"the pytest in the guest did not collect {item.nodeid}", self.guest.tail())
            return
        while True:
            message = self._take(item.stash[LIMIT])
            if message.get("finished") == item.nodeid:
                return
            if "report" in message:
                hook = self._config.hook
                yield hook.pytest_report_from_serializable(config=self._config, data=message["report"])

    def _take(self, timeout: float) -> dict[str, Any]:
        if self.broken:
            raise GuestError(self.broken)
        try:
            line = self._lines.take(self.guest.pidfd, timeout)
        except TimeoutError:
            raise GuestError(f"the guest has said nothing for {timeout:.0f} s") from None
        if line is None:
            raise GuestError("the guest ended before its tests did")
        message: dict[str, Any] = json.loads(line)
        return message


class GuestError(Exception):
    """The guest, not a test, has failed."""


def limit(item: pytest.Item, kind: Kind) -> float:
    """Seconds of silence after which the guest must be hanging: a test's own timeout comes first."""
    marker = item.get_closest_marker("timeout")
    given = marker.args[0] if marker and marker.args else float(item.config.getini("timeout") or 120)
    return float(given) * _SLOWNESS[kind] + 60


def _pytest_argv(kind: Kind, config: pytest.Config, selected: Sequence[pytest.Item]) -> list[str]:
    files = sorted({str(item.path) for item in selected})
    timeout = float(config.getini("timeout") or 120) * _SLOWNESS[kind]
    argv = [sys.executable, "-m", "pytest", "-c", str(config.inipath), "--rootdir", str(config.rootpath)]
    argv += ["-q", "--color=no", "--no-header", "-p", "no:cacheprovider", "-o", f"timeout={timeout:.0f}"]
    # The host's own directories stand in its /tmp, which the guest sees.
    argv += ["--basetemp", "/run/tests"]
    return argv + files


def _environment(kind: Kind, share: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        SHARE: str(share),
        "LVSHA_LAB_SLOWNESS": str(_SLOWNESS[kind]),
        "PYTHONDONTWRITEBYTECODE": "1",
        # The guest's view of the source tree may be read-only.
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
    }


def _failed(item: pytest.Item, text: str, console: str) -> pytest.TestReport:
    return pytest.TestReport(
        item.nodeid,
        item.location,
        keywords={},
        outcome="failed",
        longrepr=text,
        when="call",
        sections=[("Guest's console", console)] if console else [],
    )
