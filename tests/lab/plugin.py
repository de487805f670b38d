"""The pytest plugin that sends marked tests to a kernel which can run them.

The host's session collects as ever. For tests whose kernel is a guest it boots that guest once, at the first
of them; the guest runs a pytest of its own over the same files with exactly the selected tests, and writes
every report, as pytest serialises it, into a file on the shared directory. The host re-emits each as its own,
one test at a time, so node ids, -k, -x, captured output and the summary are those of an ordinary session.

Nothing is ever skipped: a guest that dies, hangs or does not know a test fails that test and shows its
console.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import kernel
from tests.lab.follow import Lines
from tests.lab.guest import Guest
from tests.lab.kernel import Kind, NoKernelError

SHARE = "LVSHA_LAB_SHARE"
"""Set in a guest: the shared directory. It makes this plugin report there instead of looking for a kernel."""

SUITES = ("nft", "ipvs", "net")
"""Markers, the most demanding first: a test belongs to the first that it has."""

_ORDER = {None: 0, Kind.NATIVE: 0, Kind.UML: 1, Kind.QEMU: 2}
_SLOWNESS = {Kind.UML: 2.0, Kind.QEMU: 6.0}
_BOOT = {Kind.UML: 120.0, Kind.QEMU: 600.0}
"""Seconds until a guest must have collected its tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Take the part of host or guest."""
    share = os.environ.get(SHARE)
    plugin = Reporter(config, Path(share)) if share else Dispatcher(config)
    config.pluginmanager.register(plugin, "lvsha-lab")


class Reporter:
    """In the guest: run what the host selected and write down every report."""

    def __init__(self, config: pytest.Config, share: Path) -> None:
        self._config = config
        self._share = share
        self._file = (share / "reports").open("a", buffering=1)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the selected tests, in the host's order."""
        wanted: list[str] = json.loads((self._share / "selected").read_text())
        known = {item.nodeid: item for item in items}
        items[:] = [known[nodeid] for nodeid in wanted if nodeid in known]
        self._write({"collected": [item.nodeid for item in items], "release": platform.release()})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hand one report (setup, call or teardown) to the host."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._write({"report": data})

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell the host that the test has no more to say."""
        self._write({"finished": nodeid})

    def _write(self, message: dict[str, object]) -> None:
        # What a test attached may be anything; its text will do.
        self._file.write(json.dumps(message, default=str) + "\n")


class Dispatcher:
    """On the host: find a kernel for every test, and run the guests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kinds: dict[str, Kind | NoKernelError] = {}
        self._runs: dict[Kind, GuestRun] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put each guest's tests together, at the end: a guest at work would disturb the others' timing."""
        items.sort(key=lambda item: _ORDER.get(self._guest(item), 0))
        for item in items:
            kind = self._guest(item)
            if kind is not None:
                limit = _limit(item, kind)
                # The guest has a timeout of its own; the host's would go off inside the hook that waits for
                # it.
                item.add_marker(pytest.mark.timeout(0), append=False)
                item.stash[_LIMIT] = limit

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail a test that no kernel was found for."""
        kind = self._kind(_suite(item))
        if isinstance(kind, NoKernelError):
            pytest.fail(str(kind), pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Run a guest's test by waiting for the guest's word on it."""
        kind = self._guest(item)
        if kind is None:
            return None
        run = self._run(kind, item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in run.reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self._counts[_suite(item) or "", run.title] += not run.broken
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Count a test that ran natively."""
        suite = _suite(item)
        if suite is not None and self._kind(suite) is Kind.NATIVE:
            self._counts[suite, kernel.native_title()] += 1

    def pytest_sessionfinish(self) -> None:
        """Let no guest outlive the session."""
        for run in self._runs.values():
            run.guest.stop()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which kernel each suite ran on."""
        for (suite, title), count in sorted(self._counts.items()):
            terminalreporter.write_line(f"{suite}: {count} test{'s' * (count != 1)} on {title}")

    def _kind(self, suite: str | None) -> Kind | NoKernelError | None:
        if suite is None:
            return None
        if suite not in self._kinds:
            try:
                self._kinds[suite] = kernel.choose(suite, kernel.look(), os.environ.get(kernel.CHOICE))
            except NoKernelError as error:
                self._kinds[suite] = error
        return self._kinds[suite]

    def _guest(self, item: pytest.Item) -> Kind | None:
        kind = self._kind(_suite(item))
        return kind if kind in (Kind.UML, Kind.QEMU) else None

    def _run(self, kind: Kind, item: pytest.Item) -> GuestRun:
        if kind not in self._runs:
            selected = [other for other in item.session.items if self._guest(other) is kind]
            self._runs[kind] = GuestRun(kind, self._config, selected)
        return self._runs[kind]


class GuestRun:
    """One guest with one pytest in it, seen from the host."""

    def __init__(self, kind: Kind, config: pytest.Config, selected: list[pytest.Item]) -> None:
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
            message = self._take(item.stash[_LIMIT])
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


_LIMIT = pytest.StashKey[float]()


def _suite(item: pytest.Item) -> str | None:
    return next((name for name in SUITES if item.get_closest_marker(name)), None)


def _limit(item: pytest.Item, kind: Kind) -> float:
    """Seconds of silence after which the guest must be hanging: a test's own timeout comes first."""
    marker = item.get_closest_marker("timeout")
    given = marker.args[0] if marker and marker.args else float(item.config.getini("timeout") or 120)
    return float(given) * _SLOWNESS[kind] + 60


def _pytest_argv(kind: Kind, config: pytest.Config, selected: list[pytest.Item]) -> list[str]:
    files = sorted({str(item.path) for item in selected})
    timeout = float(config.getini("timeout") or 120) * _SLOWNESS[kind]
    argv = [sys.executable, "-m", "pytest", "-c", str(config.inipath), "--rootdir", str(config.rootpath)]
    argv += ["-q", "--color=no", "--no-header", "-p", "no:cacheprovider", "-o", f"timeout={timeout:.0f}"]
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
