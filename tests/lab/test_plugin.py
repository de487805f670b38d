"""The plugin, seen from outside: a pytest of its own whose tests run in a guest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
import os
from pathlib import Path
import pytest

pytestmark = pytest.mark.ipvs

@pytest.fixture
def broken():
    raise RuntimeError("words of the fixture")

@pytest.mark.parametrize("value", ["a b", "x::y[1]", "é"])
def test_passes(value):
    assert Path("/proc/net/ip_vs").exists()

def test_fails():
    print("words of the test")
    assert 1 == 2

def test_has_a_broken_fixture(broken):
    pass

@pytest.mark.timeout(1)
def test_hangs():
    import time
    time.sleep(1000)

def test_after():
    pass

def test_takes_the_guest_down():
    print("last words", file=open("/dev/console", "w"))
    os.system("halt -f -p")

def test_never_runs():
    pass
"""

BOOTED = """
from pathlib import Path
import pytest

pytestmark = [pytest.mark.ipvs, {marks}]

@pytest.mark.parametrize("number", [1, 2])
def test_boot(number):
    print("boot", Path(__file__).stem, Path("/proc/sys/kernel/random/boot_id").read_text())
"""

HERE = """
import tempfile
import time
from pathlib import Path

def guests():
    return [*Path(tempfile.gettempdir()).glob("lvsha-lab-*")]

def test_beside():
    (guest,) = guests()
    while "test_passes" not in (guest / "reports").read_text():
        time.sleep(0.1)

def test_beside_two():
    while sum("test_boot" in (guest / "reports").read_text() for guest in guests()) < 2:
        time.sleep(0.1)

def test_alone():
    assert not guests()

def test_stop():
    raise RuntimeError
"""


BOOTS = {
    "test_brief": "pytest.mark.timeout(40)",
    "test_long": "pytest.mark.slow, pytest.mark.timeout(30)",
    "test_short": "pytest.mark.timeout(100)",
}
"""Modules of BOOTED, and how long their tests may take."""


def run_pytest(directory: Path, tests: Sequence[str], *arguments: str, kernel: str = "uml") -> str:
    """The output of a pytest over some of TESTS and HERE with the lab's plugin, on a kernel."""
    (directory / "conftest.py").write_text('pytest_plugins = ["tests.lab.plugin"]\n')
    (directory / "test_it.py").write_text(TESTS)
    (directory / "test_here.py").write_text(HERE)
    for name, marks in BOOTS.items():
        (directory / f"{name}.py").write_text(BOOTED.format(marks=marks))
    argv = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory)]
    argv += ["-o", f"cache_dir={directory}/cache", "--color=no", "-rA", *arguments, *tests]
    environment = os.environ | {"LVSHA_LAB_KERNEL": kernel, "TMPDIR": str(directory)}
    done = subprocess.run(
        argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    return done.stdout


@pytest.mark.slow
def test_guest_tests_are_reported_as_ones_own(tmp_path: Path) -> None:
    """Passes, failures, errors and output of a guest's tests appear here; a dead guest fails the rest."""
    output = run_pytest(tmp_path, ["test_it.py"])
    assert _outcomes(output) == {
        "test_passes[a b]": "PASSED",
        "test_passes[x::y[1]]": "PASSED",
        "test_passes[\\xe9]": "PASSED",
        "test_fails": "FAILED",
        "test_has_a_broken_fixture": "ERROR",
        "test_hangs": "FAILED",
        "test_after": "PASSED",
        "test_takes_the_guest_down": "FAILED",
        "test_never_runs": "FAILED",
    }
    for words in ("words of the test", "assert 1 == 2", "words of the fixture", "Timeout (>1.0s)"):
        assert words in output
    assert re.search(r"(?s)the guest ended before its tests did.*Guest's console.*last words", output)
    assert re.search(r"(?m)^ipvs: 7 tests on User-Mode Linux \d+\.\d+", output)
    assert "4 failed, 4 passed, 1 error" in output


def test_without_a_kernel_the_tests_fail(tmp_path: Path) -> None:
    """A kernel that was asked for and is not there is a failure that says what to do, never a skip."""
    output = run_pytest(tmp_path, ["test_it.py::test_after"], kernel="xen")
    assert _outcomes(output) == {"test_after": "ERROR"}
    assert "tests/lab/setup" in output
    assert "1 error" in output


def test_a_guest_is_at_work_beside_the_host_and_ends_with_it(tmp_path: Path) -> None:
    """A guest boots and runs while the host does; where that stops early, it does not go on."""
    tests = ["test_here.py::test_beside", "test_here.py::test_stop", "test_it.py::test_passes"]
    output = run_pytest(tmp_path, [*tests, "test_it.py::test_hangs"], "-x")
    assert _outcomes(output) == {"test_beside": "PASSED", "test_stop": "FAILED"}
    assert not [*tmp_path.glob("lvsha-lab-*")]
    # The guest has its directory among its arguments.
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if b"linux.uml" in command and bytes(tmp_path) in command]


def test_modules_are_dealt_to_two_guests(tmp_path: Path) -> None:
    """Two guests are at work at once, each runs whole modules, and the longest leaves the others to one."""
    tests = ["test_here.py::test_beside_two", *(f"{name}.py" for name in BOOTS)]
    output = run_pytest(tmp_path, tests)
    assert "7 passed" in output
    told = {*re.findall(r"(?m)^boot (\w+) (\S+)$", output)}
    boots = dict(told)
    assert {*boots} == {*BOOTS}
    assert len(told) == 3
    assert boots["test_short"] == boots["test_brief"] != boots["test_long"]


def test_what_failed_is_tried_without_company(tmp_path: Path) -> None:
    """With `--last-failed` no guest is there before the host's own tests are over."""
    tests = ["test_here.py::test_alone", "test_here.py::test_stop", "test_it.py::test_after"]
    output = run_pytest(tmp_path, tests, "-x", "--last-failed")
    assert _outcomes(output) == {"test_alone": "PASSED", "test_stop": "FAILED"}


def _outcomes(output: str) -> dict[str, str]:
    found = re.findall(r"(?m)^(PASSED|FAILED|ERROR) test_(?:it|here)\.py::(.+?)(?: - .*)?$", output)
    return {name: outcome for outcome, name in found}
