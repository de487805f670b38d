"""Probing by a program: what it is given, what it may do, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import pwd
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import SettingsError, run
from checks.script import Script
from tests.lab.targets import Probe


def shell(text: str, **more: object) -> Script:
    """A check that runs a shell script: the shell is the operator's choice here, not ours."""
    return Script(command=("/bin/sh", "-c", text), **more)  # type: ignore[arg-type]


Children = Callable[[], set[str]]


@pytest.fixture
def children() -> Children:
    """Tells this process's children, zombies included, apart from those that were there before."""

    def all_children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = all_children()
    return lambda: all_children() - before


def runs(pid: int) -> bool:
    """Whether a process, which need not be ours, still runs."""
    try:
        return not Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z")
    except FileNotFoundError:
        return False


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_is_an_ordinary_process(probe: Probe) -> None:
    """Whoever runs the checks may precede others; a check's program does not."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -10)
    try:
        outcome = await probe(shell("sleep 0.1; nice"), 80)
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
    assert outcome.detail.endswith(r"wrote '0\n'")


async def test_exit_status(probe: Probe) -> None:
    """The exit status is the verdict."""
    outcome = await probe(shell("echo fine"), 80)
    assert outcome.detail == r"'/bin/sh -c echo fine' exited 0, wrote 'fine\n'"
    assert outcome.ok
    outcome = await probe(shell("exit 3"), 80)
    assert not outcome.ok
    assert outcome.detail.endswith("exited 3, wrote '' (expected exit 0)")
    assert (await probe(shell("exit 3", status=(2, 3)), 80)).ok


async def test_output(probe: Probe) -> None:
    """Both streams are searched."""
    assert (await probe(shell("echo up >&2", output="^up$"), 80)).ok
    outcome = await probe(shell("echo down", output="^up$"), 80)
    assert outcome.detail.endswith(r"wrote 'down\n' (expected '^up$')")


async def test_target_is_passed(probe: Probe) -> None:
    """Address and port are arguments and variables, and no shell looks at them."""
    check = Script(command=("/bin/echo", "{address}:{port}", "$CHECK_PORT", "{other}", "a b"))
    assert r"wrote '127.0.0.1:8080 $CHECK_PORT {other} a b\n'" in (await probe(check, 8080)).detail
    check = shell("echo $CHECK_ADDRESS $CHECK_PORT", output="^127.0.0.1 8080$")
    assert (await probe(check, 8080)).ok


async def test_environment_is_clean(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the director's environment is handed down, and what was asked for is."""
    monkeypatch.setenv("SECRET", "x")
    check = Script(command=("env",), environment=(("MORE", "1"),), max_output=10000, output="(?m)^MORE=1$")
    outcome = await probe(check, 80)
    assert outcome.ok
    wanted = {"PATH", "LANG", "CHECK_ADDRESS", "CHECK_PORT", "MORE"}
    check = shell(
        "env | cut -d= -f1 | grep -vE '^(PATH|LANG|CHECK_ADDRESS|CHECK_PORT|MORE|PWD|_|OLDPWD|SHLVL)$'"
    )
    outcome = await probe(check, 80)
    assert outcome.detail.endswith("exited 1, wrote '' (expected exit 0)"), wanted


async def test_descriptors_are_not_inherited(probe: Probe) -> None:
    """The program has its three streams and no descriptor of the director's."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        outcome = await probe(Script(command=("ls", "/proc/self/fd")), 80)
    finally:
        os.close(read)
        os.close(write)
    assert r"wrote '0\n1\n2\n3\n'" in outcome.detail  # 3: the directory that ls reads


async def test_other_user(probe: Probe) -> None:
    """A program can be made another user's, in that user's group or another, and in no further ones."""
    nobody = pwd.getpwnam("nobody")
    outcome = await probe(Script(command=("id",), user="nobody"), 80)
    assert f"uid={nobody.pw_uid}(nobody) gid={nobody.pw_gid}" in outcome.detail
    outcome = await probe(shell("id -G", user="nobody", group="daemon", output="^1$"), 80)
    assert outcome.ok, outcome.detail


async def test_unknown_user(probe: Probe) -> None:
    """A user that does not exist is named."""
    outcome = await probe(Script(command=("id",), user="nosuch"), 80)
    assert "cannot start: getpwnam(): name not found: 'nosuch'" in outcome.detail


async def test_cannot_start(probe: Probe, tmp_path: Path) -> None:
    """A program or directory that cannot be used is named."""
    assert "/nosuch: No such file or directory" in (await probe(Script(command=("/nosuch",)), 80)).detail
    assert f"{tmp_path}: Permission denied" in (await probe(Script(command=(str(tmp_path),)), 80)).detail
    check = Script(command=("id",), directory="/nosuch")
    assert "/nosuch: No such file or directory" in (await probe(check, 80)).detail


async def test_hanging_program(probe: Probe, children: Children) -> None:
    """A program that does not end is killed at the deadline and reaped, and its output is told."""
    outcome = await probe(shell("echo begun; exec sleep 60"), 80, timeout=0.5)
    assert r"runs, 6 bytes of output so far 'begun\n': no answer within 0.5 s" in outcome.detail
    assert children() == set()


async def test_program_that_ignores_signals(probe: Probe, children: Children) -> None:
    """Nor does one that takes no hints."""
    await probe(shell("trap '' TERM INT HUP; while :; do :; done"), 80, timeout=0.3)
    assert children() == set()


@pytest.mark.parametrize("end", ["exit 0", "exec sleep 60", "yes"])
async def test_what_it_started(probe: Probe, tmp_path: Path, end: str, children: Children) -> None:
    """What the program left running in its group is killed, whether it ended, hung or wrote too much."""
    path = tmp_path / "pid"
    await probe(shell(f"sleep 60 & echo $! > {path}; {end}"), 80, timeout=1)
    async with asyncio.timeout(5):
        while runs(int(path.read_text())):  # noqa: ASYNC110 (it is nobody's child here: no event tells)
            await asyncio.sleep(0.01)
    assert children() == set()


async def test_child_that_holds_the_output(probe: Probe) -> None:
    """A child that keeps the output open does not delay the verdict."""
    outcome = await probe(shell("setsid sleep 2 & echo done"), 80, timeout=1.5)
    assert outcome.ok
    assert r"wrote 'done\n'" in outcome.detail


async def test_endless_output(probe: Probe, children: Children) -> None:
    """A program that writes without end is cut off, in bounded memory."""
    tracemalloc.start()
    try:
        outcome = await probe(Script(command=("yes",), max_output=1000), 80, timeout=30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "wrote more than 1000 bytes: 'y" in outcome.detail
    assert peak < 1 << 20
    assert children() == set()


async def test_just_enough_output(probe: Probe) -> None:
    """Output of just the limit is whole."""
    assert (await probe(shell("printf 1234", max_output=4, output="^1234$"), 80)).ok


async def test_killed_by_signal(probe: Probe) -> None:
    """A program that dies of a signal is told from one that exits."""
    assert "was killed by SIGSEGV" in (await probe(shell("kill -SEGV $$"), 80)).detail
    assert "was killed by signal 40" in (await probe(shell("kill -40 $$"), 80)).detail


async def test_many_at_once(children: Children) -> None:
    """Programs that run at the same time have each their own end."""
    runs = [
        run(shell(f"sleep 0.0{n}; echo {n}; exit {n}", status=(n,)), "127.0.0.1", n, 10) for n in range(9)
    ]
    outcomes = await asyncio.gather(*runs)
    assert all(outcome.ok and rf"wrote '{n}\n'" in outcome.detail for n, outcome in enumerate(outcomes))
    assert children() == set()


async def test_cancelled_at_any_point(probe: Probe, children: Children) -> None:
    """Wherever the deadline cuts a program off, nothing is left."""
    before = descriptors()
    for milliseconds in range(0, 20, 2):
        await probe(shell("echo a; sleep 0.01; echo b"), 80, timeout=milliseconds / 1000)
    assert children() == set()
    assert descriptors() == before


def test_settings() -> None:
    """Every lack is told."""
    with pytest.raises(SettingsError) as caught:
        Script(command=("a\0",), environment=(("A=B", ""),), status=(256,), output="(", max_output=0)
    fields = [problem.partition(":")[0] for problem in caught.value.problems]
    assert fields == ["command", "environment", "status", "output", "max_output"]
    with pytest.raises(SettingsError, match="command: missing"):
        Script()
