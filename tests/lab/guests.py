"""The guests of a session: they run their tests beside the host, which hears of them when their turn comes.

Guests are what a session is waited for, and most tests, theirs too, wait for something most of the time. So
all guests boot with the session's first test, and what they have to report stands in files by the time the
host asks for it. User-Mode Linux is one processor's work: there are two, to which tests are dealt by modules.
QEMU, which emulates two processors, would leave none of two to tests which want to be woken every ten
milliseconds: it gives way to everything else (see `guest`) and has the machine when nobody wants it.

What failed in company deserves to be tried without: with `--last-failed` a guest boots at its own first test,
when the host has run all of its own.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab import kernel
from tests.lab.follow import Lines
from tests.lab.guest import Guest
from tests.lab.kernel import Kind

SHARE = "LVSHA_LAB_SHARE"
"""Set in a guest: the shared directory. It makes the plugin report there instead of looking for a kernel."""


class Machine(NamedTuple):
    """One guest of a session."""

    kind: Kind
    number: int = 0


MACHINES = (Machine(Kind.UML, 0), Machine(Kind.UML, 1), Machine(Kind.QEMU))
"""In the order in which they boot and report."""

_SLOW = 10
"""A test that is marked slow takes as long as so many others."""
_SLOWNESS = {Kind.UML: 2.0, Kind.QEMU: 6.0}
_BOOT = {Kind.UML: 120.0, Kind.QEMU: 600.0}
"""Seconds until a guest must have collected its tests."""


MACHINE = pytest.StashKey[Machine]()
"""Of a guest's test: the guest that it was dealt to."""
LIMIT = pytest.StashKey[float]()
"""Of a guest's test: what `limit` said before the host took its own timeout away."""


class Guests:
    """All guests of a session, in the order in which they boot."""

    def __init__(self, config: pytest.Config, selected: Mapping[Machine, Sequence[pytest.Item]]) -> None:
        self._config = config
        self._waiting = dict(selected)
        self._runs: dict[Machine, GuestRun] = {}

    def start(self) -> None:
        """Boot those that have not yet."""
        for machine in [*self._waiting]:
            self.run(machine)

    def run(self, machine: Machine) -> GuestRun:
        """The run of a guest, which boots if it has not yet."""
        if machine in self._waiting:
            self._runs[machine] = GuestRun(machine.kind, self._config, self._waiting.pop(machine))
        return self._runs[machine]

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


def deal(items: Iterable[pytest.Item], kind: Kind) -> dict[pytest.Item, Machine]:
    """The machine for each test of a kind of guest: the longest module first, to who has least to do.

    A module stays whole: its tests may share what took long to make.
    """
    modules: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        modules[item.path].append(item)
    loads = {machine: 0.0 for machine in MACHINES if machine.kind is kind}
    dealt: dict[pytest.Item, Machine] = {}
    for module in sorted(modules.values(), key=_weight, reverse=True):
        machine = min(loads, key=loads.__getitem__)
        loads[machine] += _weight(module)
        dealt |= dict.fromkeys(module, machine)
    return dealt


def _weight(module: Iterable[pytest.Item]) -> float:
    """How long a module may take, by what its tests say of themselves: nobody knows how long it will."""
    return sum(_timeout(item) * (_SLOW if item.get_closest_marker("slow") else 1) for item in module)


def limit(item: pytest.Item, kind: Kind) -> float:
    """Seconds of silence after which the guest must be hanging: a test's own timeout comes first."""
    return _timeout(item) * _SLOWNESS[kind] + 60


def _timeout(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker and marker.args else item.config.getini("timeout") or 120)


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
