"""The pytest plugin that sends marked tests to a kernel which can run them.

The host's session collects as ever. For tests whose kernel is a guest it boots guests (how many, and when:
see `guests`); a guest runs a pytest of its own over the same files with exactly the selected tests, and
writes every report, as pytest serialises it, into a file on the shared directory. The host re-emits each as
its own, one test at a time, so node ids, -k, -x, captured output and the summary are those of an ordinary
session.

Nothing is ever skipped: a guest that dies, hangs or does not know a test fails that test and shows its
console.
"""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from pathlib import Path

import pytest

from tests.lab import kernel, process
from tests.lab.guests import LIMIT, MACHINE, MACHINES, SHARE, Guests, Machine, deal, limit
from tests.lab.kernel import Kind, NoKernelError

SUITES = ("nft", "ipvs", "net")
"""Markers, the most demanding first: a test belongs to the first that it has."""

GUESTS = (Kind.UML, Kind.QEMU)
"""Kernels that are guests."""


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
        process.prepare()

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
        self._guests: Guests | None = None
        self._counts: Counter[tuple[str, str]] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put each guest's tests together, at the end: by then it has run most of them."""
        for kind in GUESTS:
            guests = deal([item for item in items if self._kind(_suite(item)) is kind], kind)
            for item, machine in guests.items():
                item.stash[MACHINE] = machine
                item.stash[LIMIT] = limit(item, kind)
                # The guest has a timeout of its own; the host's would go off inside the hook that waits for
                # it.
                item.add_marker(pytest.mark.timeout(0), append=False)
        places = (None, *MACHINES)
        items.sort(key=lambda item: places.index(_machine(item)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail a test that no kernel was found for."""
        kind = self._kind(_suite(item))
        if isinstance(kind, NoKernelError):
            pytest.fail(str(kind), pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Run a guest's test by waiting for the guest's word on it."""
        guests = self._at_work(item.session)
        machine = _machine(item)
        if machine is None:
            return None
        run = guests.run(machine)
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
        if self._guests is not None:
            self._guests.stop()

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

    def _at_work(self, session: pytest.Session) -> Guests:
        """The guests, at work beside us from the first test on."""
        if self._guests is None:
            theirs = {each: [item for item in session.items if _machine(item) == each] for each in MACHINES}
            self._guests = Guests(self._config, {each: items for each, items in theirs.items() if items})
        if not self._config.getoption("lf", default=False):
            self._guests.start()
        return self._guests


def _machine(item: pytest.Item) -> Machine | None:
    return item.stash.get(MACHINE, None)


def _suite(item: pytest.Item) -> str | None:
    return next((name for name in SUITES if item.get_closest_marker(name)), None)
