"""Tests of lvsha.daemon.parent with real processes that live, die, hang and refuse to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lvsha.daemon import parent


class Family:
    """A running parent, and what it and its children said."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """Read on until an event with these fields is said."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            record: dict[str, Any] = json.loads(line)
            self.said.append(record)
            if record["event"] == event and fields.items() <= record.items():
                return record
        pytest.fail(f"the parent ended before it said {event} {fields}: {self.said}")

    def end(self) -> int:
        """Tell the parent to stop; its status."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.said += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(timeout=20)


def busy(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def family(
    director: str, speaker: str, tmp_path: Path, *, nice: int = 0, **environment: str
) -> Iterator[Family]:
    """A parent whose children behave as they are told."""
    env = os.environ | {"FAMILY_MARK": str(tmp_path / "mark")} | environment
    argv = ["nice", "-n", str(nice), sys.executable, "-m", "tests.lab.family", director, speaker]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
    # What never comes is not waited for: without the parent its output ends.
    end = threading.Timer(30, process.kill)
    end.start()
    try:
        yield Family(process)
    finally:
        end.cancel()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_stop_takes_the_speaker_first(tmp_path: Path) -> None:
    """The speaker resigns before the director ends, so the peer takes over at once."""
    with family("good", "good", tmp_path) as f:
        f.until("alive", name="speaker")
        assert f.end() == 0
        assert [e["name"] for e in f.said if e["event"] == "stopped"] == ["speaker", "director"]


@pytest.mark.parametrize("name", ["director", "speaker"])
def test_a_child_that_dies_is_started_again(tmp_path: Path, name: str) -> None:
    """One killed child is replaced; the other one is not touched."""
    other = {"director": "speaker", "speaker": "director"}[name]
    ways = {name: "once", other: "good"}
    with family(ways["director"], ways["speaker"], tmp_path) as f:
        exited = f.until("process.exited", process=name)
        assert (exited["status"], exited["restart_in"]) == (-signal.SIGKILL, 0.0)
        f.until("alive", name=name)
        assert f.end() == 0
        assert not [e for e in f.said if e["event"] == "process.exited" and e["process"] == other]


@pytest.mark.parametrize(("given", "taken"), [(0, parent.NICE), (5, 5)])
def test_the_family_precedes_others_unless_told_otherwise(tmp_path: Path, given: int, taken: int) -> None:
    """Parent and children are scheduled before ordinary programs, or as whoever starts them says."""
    with family("good", "good", tmp_path, nice=given) as f:
        child = int(f.until("alive", name="speaker")["pid"])
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (f.process.pid, child)] == [taken, taken]
        f.end()


def test_a_child_that_keeps_dying_is_started_ever_more_slowly(tmp_path: Path) -> None:
    """The first restart is immediate, the later ones wait."""
    with family("good", "crash", tmp_path) as f:
        pauses = [f.until("process.exited", process="speaker")["restart_in"] for _ in range(3)]
        assert pauses == [0.0, 0.2, 1.0]
        assert f.end() == 0


def test_a_silent_child_is_killed_and_replaced(tmp_path: Path) -> None:
    """A child that hangs is cured here: it is told, killed and started again."""
    with family("good", "silent", tmp_path) as f:
        f.until("process.hung", process="speaker")
        f.until("process.exited", process="speaker", status=-signal.SIGKILL)
        f.until("alive", name="speaker")
        assert f.end() == 0


def test_a_stopped_child_counts_as_silent(tmp_path: Path) -> None:
    """SIGSTOP is noticed as any other silence."""
    with family("good", "good", tmp_path) as f:
        pid = f.until("alive", name="speaker")["pid"]
        os.kill(pid, signal.SIGSTOP)
        f.until("process.hung", process="speaker", pid=pid)
        f.until("alive", name="speaker")
        assert f.end() == 0


def test_a_pause_of_the_whole_machine_is_held_against_no_child(tmp_path: Path) -> None:
    """Parent and children stopped together and woken together: nobody is killed for the silence."""
    with family("good", "good", tmp_path) as f:
        children = {f.until("alive", name=name)["pid"] for name in ("director", "speaker")}
        family_of_three = [f.process.pid, *children]
        for pid in family_of_three:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(parent.AWAY + 0.5)  # the pause itself
        # The parent first, and alone for a moment: the worst order.
        for pid in family_of_three:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.1)
        assert f.end() == 0
        assert not any(each["event"] == "process.hung" for each in f.said)


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """A stop ends, whatever the children think of it."""
    with family("good", "stubborn", tmp_path) as f:
        f.until("alive", name="speaker")
        assert f.end() == 0
        assert [e["process"] for e in f.said if e["event"] == "process.hung"] == ["speaker"]


def test_a_bad_configuration_at_the_start_ends_the_daemon(tmp_path: Path) -> None:
    """A file that cannot be used is no reason to try for ever: the status is 2."""
    with family("config", "good", tmp_path) as f:
        assert f.process.wait(timeout=10) == 2


def test_a_configuration_that_went_bad_before_it_was_ready_ends_the_daemon(tmp_path: Path) -> None:
    """Also where a speaker is running by then: it is stopped, and the status is 2."""
    with family("spoilt", "good", tmp_path) as f:
        assert f.process.wait(timeout=10) == 2


def test_a_child_that_closes_its_pipe_counts_as_silent(tmp_path: Path) -> None:
    """It is killed like any that is silent, and until then the parent sleeps."""
    with family("good", "closing", tmp_path) as f:
        f.until("alive", name="speaker")
        before = busy(f.process.pid)
        f.until("process.hung", process="speaker")
        assert busy(f.process.pid) - before < 0.2
        f.until("alive", name="speaker")
        assert f.end() == 0


def test_a_speaker_that_is_not_wanted_is_not_started_again(tmp_path: Path) -> None:
    """One that keeps dying is forgotten while it waits for its next start; wanted again it begins anew."""
    with family("obedient", "crash", tmp_path) as f:
        f.until("process.exited", process="speaker", restart_in=1.0)
        f.process.send_signal(signal.SIGHUP)
        f.until("turned", wanted=False)
        f.process.send_signal(signal.SIGHUP)
        f.until("turned", wanted=True)
        assert f.until("process.exited", process="speaker")["restart_in"] == 0.0
        assert f.end() == 0


def test_a_speaker_that_is_wanted_elsewhere_goes_there(tmp_path: Path) -> None:
    """Else the director, started again with another runtime directory, would look for it in vain."""
    with family("moving", "good", tmp_path) as f:
        f.until("alive", name="speaker", place="/run/nowhere")
        f.process.send_signal(signal.SIGHUP)
        f.until("stopped", name="speaker")
        f.until("alive", name="speaker", place="/run/elsewhere")
        assert f.end() == 0


def test_a_speaker_that_is_not_wanted_and_does_not_stop_is_killed(tmp_path: Path) -> None:
    """It must not hold addresses that the configuration no longer has."""
    with family("obedient", "stubborn", tmp_path) as f:
        f.until("alive", name="speaker")
        f.process.send_signal(signal.SIGHUP)
        f.until("process.hung", process="speaker")
        f.process.send_signal(signal.SIGHUP)
        f.until("alive", name="speaker")
        assert f.end() == 0


def test_a_signal_to_a_child_that_has_hardly_begun_is_not_lost(tmp_path: Path) -> None:
    """A stop in the moment of a start takes no longer than any other."""
    with family("good", "good", tmp_path, FAMILY_FORK_SLOW="0.3") as f:
        f.until("process.started", process="director")
        assert f.end() == 0
        assert not [e for e in f.said if e["event"] == "process.hung"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM])
def test_a_signal_without_a_meaning_ends_nobody(tmp_path: Path, number: signal.Signals) -> None:
    """Sent to all three, as for another program that would write its state: it is told and nothing else."""
    with family("good", "good", tmp_path) as f:
        children = [f.until("alive", name=name)["pid"] for name in ("director", "speaker")]
        for pid in (*children, f.process.pid):
            os.kill(pid, number)
        f.until("process.signalled", signal=number.name)
        assert f.end() == 0
        assert [e["name"] for e in f.said if e["event"] == "stopped"] == ["speaker", "director"]


def test_a_machine_without_processes_left_is_tried_again(tmp_path: Path) -> None:
    """A fork that fails counts as a quick end: the parent must not die of it, and take the speaker along."""
    with family("good", "good", tmp_path, FAMILY_FORK_FAILS="2") as f:
        failed = [f.until("process.exited", process="director") for _ in range(2)]
        assert [(e["status"], e["restart_in"]) for e in failed] == [
            ("no process left", 0.0),
            ("no process left", 0.2),
        ]
        f.until("alive", name="speaker")
        assert f.end() == 0


def test_a_killed_parent_takes_its_children_with_it(tmp_path: Path) -> None:
    """Nothing goes on without its parent: both get SIGTERM from the kernel and stop in good order."""
    with family("good", "good", tmp_path) as f:
        f.until("alive", name="speaker")
        f.process.kill()
        stopped = {f.until("stopped")["name"], f.until("stopped")["name"]}
        assert stopped == {"speaker", "director"}


def test_systemd_hears_ready_watchdog_and_stopping(tmp_path: Path) -> None:
    """READY=1 comes when the director is ready, WATCHDOG=1 while both beat, STOPPING=1 at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        with family("good", "good", tmp_path, **environment) as f:
            heard = set()
            while not {"READY=1", "WATCHDOG=1"} <= heard:
                heard |= set(manager.recv(4096).decode().split("\n"))
            assert f.end() == 0
            while "STOPPING=1" not in heard:
                heard |= set(manager.recv(4096).decode().split("\n"))
