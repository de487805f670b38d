"""The process that systemd sees: it starts the director and the speaker and restarts either.

It knows nothing of configuration, addresses or checks, and so has little to fail by. Each
child says over a pipe that it is alive, a line at a time:

    beat                 at least every second
    ready                the director: IPVS is programmed, the API answers
    speaker DIRECTORY    the director: a speaker is wanted, with this runtime directory
    no speaker           the director: none is wanted

A child that ends is started again, at once the first time and after a growing pause when it
keeps ending. A child that is silent for too long, or does not end when it is told to, is killed:
a frozen director is cured here within its grace, a frozen speaker has lost its addresses by the
kernel's own hand. systemd's watchdog is fed only while every child beats.

The order of a stop is the point of it: the speaker first (it resigns, so the peer takes over in
one skew time), then the director. IPVS stays as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from lvsha.daemon.notify import notify, watchdog_period

PAUSES = (0.0, 0.2, 1.0, 2.0, 5.0, 10.0)
"""Seconds before a restart, by how many quick ends came before."""
QUICK = 30.0
"""A child that lived longer than this had a good life: its next restart is immediate."""
SILENCE = {"director": 20.0, "speaker": 5.0}
"""Seconds without a beat after which a child is killed."""
AWAY = 2.0
"""Seconds between two looks at the children that are ordinary; a look comes every second."""
STARTING = 60.0
"""Seconds that a child may take to its first beat: a slow machine imports slowly."""
PATIENCE = {"speaker": 5.0, "director": 10.0}
"""Seconds a child may take to stop before it is killed."""
BAD_CONFIGURATION = 2
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
UNUSED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""They mean something to other programs and nothing here, and would end who does not catch them."""

NICE = -10
"""Before ordinary programs: a director that waits for a processor judges late, and is itself missed."""

Body = Callable[[int], int]
"""What a child does with the writing end of its pipe; its result is its exit status."""


class Log(Protocol):
    """How the parent says what happened; the names are those of `lvsha.events`."""

    def __call__(self, event: str, **fields: object) -> None:
        """Say one event."""


@dataclass(slots=True)
class Child:
    """One child process over all its lives."""

    name: str
    body: Body
    place: str = ""
    """Its runtime directory, where it has one."""
    pid: int = 0
    pipe: int = -1
    buffer: bytes = b""
    started: float = 0.0
    heard: float | None = None
    quick_ends: int = 0
    due: float | None = None
    """When it is to be started; None: it runs."""
    wanted: bool = True
    told: float | None = None
    """When it was told to end."""
    killed: bool = False

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.pid > 0


@dataclass(slots=True)
class Parent:
    """The loop. `director` and `speaker` make the bodies; `run` returns the exit status."""

    director: Body
    speaker: Callable[[str], Body]
    log: Log
    children: dict[str, Child] = field(default_factory=dict)
    stopping: bool = False
    status: int = 0
    ready: bool = False
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _signals: list[int] = field(default_factory=list)
    _judged: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """Start the director and serve until told to stop."""
        _precede()
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS + UNUSED:
            signal.signal(number, self._on_signal)
        self._selector.register(reader, selectors.EVENT_READ, None)
        self.children["director"] = Child("director", self.director, due=time.monotonic())
        while not self._ended():
            self._turn(reader)
        return self.status

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.append(number)

    def _ended(self) -> bool:
        return self.stopping and not any(c.running for c in self.children.values())

    def _turn(self, wakeup: socket.socket) -> None:
        self._start_due(time.monotonic())
        for key, _ in self._selector.select(timeout=self._patience()):
            if key.data is None:
                wakeup.recv(4096)
            else:
                self._read(key.data)
        while self._signals:
            self._act(self._signals.pop(0))
        self._reap()
        self._judge(time.monotonic())

    def _patience(self) -> float:
        now = time.monotonic()
        dues = [c.due - now for c in self.children.values() if c.due is not None]
        return max(0.0, min([1.0, *dues]))

    # --- lives ------------------------------------------------------------------------------

    def _start_due(self, now: float) -> None:
        for child in self.children.values():
            if child.due is not None and child.due <= now and not self.stopping:
                self._start(child, now)

    def _start(self, child: Child, now: float) -> None:
        child.due, child.started, child.heard, child.buffer = None, now, None, b""
        child.told, child.killed = None, False
        try:
            self._fork(child)
        except OSError as error:
            # No process or descriptor is to be had: as good as an end at once.
            self._again(child, None, error.strerror or repr(error))
            return
        self._selector.register(child.pipe, selectors.EVENT_READ, child)
        self.log("process.started", process=child.name, pid=child.pid)

    def _fork(self, child: Child) -> None:
        me = os.getpid()
        child.pipe, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # What is sent to the child before it has handlers of its own would be lost in the parent's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS + UNUSED)
        try:
            child.pid = os.fork()
            if child.pid == 0:
                self._become(child, me, writing)
        except OSError:
            os.close(child.pipe)
            child.pipe = -1
            raise
        finally:
            os.close(writing)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _become(self, child: Child, parent: int, pipe: int) -> None:
        """In the new process: never returns."""
        status = 70  # EX_SOFTWARE, unless the body says otherwise
        try:
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for number in UNUSED:
                # Caught, not ignored: a program that is started would inherit that.
                signal.signal(number, lambda *_: None)
            # The director lets SIGHUP in when it can read its configuration again.
            late = [signal.SIGHUP] if child.name == "director" else []
            signal.pthread_sigmask(signal.SIG_SETMASK, late)
            os.close(child.pipe)
            self._selector.close()
            # prctl(2): a parent that is killed takes the children with it in good order.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() == parent:
                status = child.body(pipe)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - the last frame of a process: say it and end
            sys.excepthook(*sys.exc_info())
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(status)

    def _reap(self) -> None:
        for child in list(self.children.values()):
            # A burial may bury others.
            if child.running:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    self._buried(child, os.waitstatus_to_exitcode(status))

    def _buried(self, child: Child, status: int) -> None:
        self._read(child)
        self._hang_up(child)
        pid, child.pid = child.pid, 0
        if not child.wanted:
            del self.children[child.name]
        if self.stopping or not child.wanted:
            return
        if child.name == "director" and status == BAD_CONFIGURATION and not self.ready:
            self._stop(status)
            return
        self._again(child, pid, status)

    def _again(self, child: Child, pid: int | None, status: int | str) -> None:
        lived = time.monotonic() - child.started
        child.quick_ends = 0 if lived > QUICK else child.quick_ends + 1
        pause = PAUSES[min(child.quick_ends, len(PAUSES)) - 1] if child.quick_ends else 0.0
        child.due = time.monotonic() + pause
        self.log("process.exited", process=child.name, pid=pid, status=status, restart_in=pause)

    def _judge(self, now: float) -> None:
        self._forgive(now)
        hung = [c for c in self.children.values() if c.running and self._hangs(c, now)]
        for child in hung:
            if not child.killed:
                seconds = round(now - (child.told or child.heard or child.started), 1)
                self.log("process.hung", process=child.name, pid=child.pid, seconds=seconds)
                child.killed = True
            os.kill(child.pid, signal.SIGKILL)
        if not hung and not self.stopping and watchdog_period() is not None:
            notify("WATCHDOG=1")

    def _forgive(self, now: float) -> None:
        """A parent that was away itself (a paused machine) has heard nobody, and holds it against nobody."""
        if now - self._judged > AWAY:
            for child in self.children.values():
                child.started, child.heard = now, None if child.heard is None else now
                child.told = None if child.told is None else now
        self._judged = now

    def _hangs(self, child: Child, now: float) -> bool:
        if child.told is not None:
            return now - child.told > PATIENCE[child.name]
        if child.heard is None:
            return now - child.started > STARTING
        return now - child.heard > SILENCE[child.name]

    # --- what children and signals say --------------------------------------------------------

    def _read(self, child: Child) -> None:
        if child.pipe < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(child.pipe, 4096):
                child.buffer += data
            # Closed at the other end: it would be ready to be read for ever.
            self._hang_up(child)
        *lines, child.buffer = child.buffer.split(b"\n")
        for line in lines:
            child.heard = time.monotonic()
            self._hear(line.decode(errors="replace"))

    def _hang_up(self, child: Child) -> None:
        if child.pipe >= 0:
            self._selector.unregister(child.pipe)
            os.close(child.pipe)
            child.pipe = -1

    def _hear(self, line: str) -> None:
        match line.split(" ", 1):
            case ["ready"] if not self.ready:
                self.ready = True
                notify("READY=1", f"MAINPID={os.getpid()}")
            case ["speaker", runtime]:
                self._engage(runtime)
            case ["no", "speaker"] if "speaker" in self.children:
                self._dismiss(self.children["speaker"])
            case _:
                pass  # a beat, or a word of a later version

    def _engage(self, runtime: str) -> None:
        new = Child("speaker", self.speaker(runtime), runtime, due=time.monotonic())
        speaker = self.children.setdefault("speaker", new)
        speaker.wanted = True
        if speaker.place != runtime:
            # A director that was started again with another configuration looks for it elsewhere.
            speaker.place, speaker.body = new.place, new.body
            self._tell_to_end(speaker)

    def _dismiss(self, child: Child) -> None:
        child.wanted = False
        if child.running:
            self._tell_to_end(child)
        else:
            del self.children[child.name]

    def _tell_to_end(self, child: Child) -> None:
        if child.running and child.told is None:
            child.told = time.monotonic()
            os.kill(child.pid, signal.SIGTERM)

    def _act(self, number: int) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT if not self.stopping:
                notify("STOPPING=1")
                self._stop(0)
            case signal.SIGHUP if (director := self.children["director"]).running:
                os.kill(director.pid, signal.SIGHUP)
            case _ if number in UNUSED:
                self.log("process.signalled", signal=signal.Signals(number).name)

    def _stop(self, status: int) -> None:
        self.stopping, self.status = True, status
        for name in ("speaker", "director"):
            child = self.children.get(name)
            if child is not None and child.running:
                os.kill(child.pid, signal.SIGTERM)
                self._await(child)

    def _await(self, child: Child) -> None:
        """Wait for one child's end, for as long as its patience; then end it."""
        end = time.monotonic() + PATIENCE[child.name]
        descriptor = os.pidfd_open(child.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            selector.select(timeout=max(0.0, end - time.monotonic()))
        os.close(descriptor)
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            self.log("process.hung", process=child.name, pid=child.pid, seconds=PATIENCE[child.name])
            os.kill(child.pid, signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self._reap()


def _precede() -> None:
    """Take precedence, for the children too, unless whoever starts it has said otherwise (`Nice=`)."""
    with contextlib.suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, 0) == 0:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
