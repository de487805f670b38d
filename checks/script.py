"""Script: a program of the operator's own tells whether the target is well.

It is started from a list, never by a shell, in a session of its own with an environment of a few
words, and may be made another user's. When the probe ends, by whatever cause, everything that it
started and that is still in its process group is killed, and the program itself is reaped; a program
that the kernel will not let die is reaped when it does, and holds nobody up.

No asyncio subprocess: those need a child watcher, which in Python 3.11 is a thread for each child.
A pidfd tells of the end as any other descriptor tells of data (pidfd_open(2), Linux 5.3).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import Any

from checks import settings
from checks.base import Outcome, ProbeError, quote, trying

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 1.0  # seconds for a killed program to be gone


@dataclass(frozen=True, slots=True)
class Script:
    """Run a program; its exit status, and optionally its output, is the verdict."""

    command: tuple[str, ...] = ()
    """The program and its arguments. `{address}` and `{port}` in an argument stand for the target's;
    the program also finds them in the variables CHECK_ADDRESS and CHECK_PORT. Required."""
    user: str = ""
    """User to run as, by name; the group is that user's own. Empty: the director's."""
    group: str = ""
    """Group to run as instead of the user's own."""
    environment: tuple[tuple[str, str], ...] = ()
    """Further variables, as (name, value). Nothing else is handed down but a plain PATH and LANG=C."""
    directory: str = "/"
    """Working directory."""
    status: tuple[int, ...] = (0,)
    """Exit statuses that are good."""
    output: str = ""
    """Regular expression that must be found in what it writes (both streams). Empty: anything."""
    max_output: int = 4096
    """Bytes of output read at most; a program that writes more has failed."""

    def __post_init__(self) -> None:
        settings.require(
            _command_problems(self),
            [f"status: {some} is not within 0 and 255" for some in self.status if not 0 <= some <= 255],
            [] if self.status else ["status: no exit status would be good"],
            settings.pattern("output", self.output),
            settings.within("max_output", self.max_output, 1, 1 << 20),
        )

    async def probe(self, address: str, port: int) -> Outcome:
        """Try the target once."""
        done = quote(" ".join(self._arguments(address, port)), 120)
        trying(done)
        program = _Program(self._start(address, port), self.max_output)
        try:
            await program.over.wait()
        except asyncio.CancelledError:
            trying(
                f"{done} runs, {len(program.output)} bytes of output so far {quote(bytes(program.output))}"
            )
            raise
        finally:
            await program.close()
        return self._judge(program, done)

    def _arguments(self, address: str, port: int) -> list[str]:
        known = {"{address}": address, "{port}": str(port)}
        return [re.sub(r"\{address\}|\{port\}", lambda found: known[found[0]], part) for part in self.command]

    def _start(self, address: str, port: int) -> subprocess.Popen[bytes]:
        plain = {"PATH": _PATH, "LANG": "C", "CHECK_ADDRESS": address, "CHECK_PORT": str(port)}
        return subprocess.Popen(
            self._arguments(address, port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=plain | dict(self.environment),
            cwd=self.directory,
            start_new_session=True,
            **self._identity(),
        )

    def _identity(self) -> dict[str, Any]:
        """Who to be. Other groups than the one are given up, for they would be the director's."""
        identity: dict[str, Any] = {}
        try:
            if self.user:
                user = pwd.getpwnam(self.user)
                identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            if self.group:
                identity |= {"group": grp.getgrnam(self.group).gr_gid, "extra_groups": []}
        except KeyError as error:
            raise ProbeError(f"cannot start: {error.args[0]}") from error
        return identity

    def _judge(self, program: _Program, done: str) -> Outcome:
        output, status = bytes(program.output), program.process.returncode
        if len(output) > self.max_output:
            return Outcome(
                ok=False, detail=f"{done} wrote more than {self.max_output} bytes: {quote(output)}"
            )
        how = f"was killed by {_signal(-status)}" if status < 0 else f"exited {status}"
        done = f"{done} {how}, wrote {quote(output)}"
        if status not in self.status:
            wanted = ", ".join(str(some) for some in self.status)
            return Outcome(ok=False, detail=f"{done} (expected exit {wanted})")
        if not re.search(self.output, output.decode("utf-8", "replace")):
            return Outcome(ok=False, detail=f"{done} (expected {self.output!r})")
        return Outcome(ok=True, detail=done)


class _Program:
    """A running program, watched by the loop: its end through a pidfd, its output through a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], most: int) -> None:
        self.process = process
        # Who starts it may precede others; this one is an ordinary one.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
        self.output = bytearray()
        self.over = asyncio.Event()
        """It has ended, or has written too much."""
        self._most = most
        self._gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._pipe = process.stdout.fileno() if process.stdout else -1
        self._pidfd = os.pidfd_open(process.pid)
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(self._pipe, self._read)

    async def close(self) -> None:
        """Have nothing of it left; what cannot be killed yet is reaped whenever it dies."""
        if not self._gone.is_set():
            self._kill()
        self.over.set()
        self._loop.remove_reader(self._pipe)
        if self.process.stdout:
            self.process.stdout.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._gone.wait()

    def _read(self) -> None:
        """Take what is in the pipe, up to one byte more than wanted."""
        try:
            data = os.read(self._pipe, self._most + 1 - len(self.output))
        except BlockingIOError:
            return
        self.output += data
        if not data or len(self.output) > self._most:
            self._loop.remove_reader(self._pipe)
        if len(self.output) > self._most:
            self.over.set()

    def _reap(self) -> None:
        """It has ended: take its status, and what it wrote last."""
        # While it is a zombie its process group cannot be another's.
        self._kill()
        self.process.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if not self.over.is_set():
            self._read()
        self.over.set()
        self._gone.set()

    def _kill(self) -> None:
        # EPERM: a program that became somebody else's, where we are not root.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _command_problems(check: Script) -> list[str]:
    problems = [] if check.command and check.command[0] else ["command: missing"]
    if any("\0" in part for part in check.command):
        problems.append("command: a NUL may not be in it")
    for name, value in check.environment:
        if not name or "=" in name or "\0" in name + value:
            problems.append(f"environment: {name!r} is no variable")
    return problems
