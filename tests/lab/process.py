"""Start programs on the nodes of a test network, hear what they say, and end them.

    daemon = await start(net["lb1"], "lvsha", "--config", str(path), "--log", "json")
    await daemon.event("vrrp.role", role="master")

`start` runs a Python module, `call` a function and `spawn` any program; `run` runs a program to its end. All
go through the zygote (see `zygote`), which is started at the first use and ends with the session. A process
whose test has ended is killed. What it prints appears in the test's captured output, and lines that are JSON
objects are its `events`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lvsha.speaker.realtime import PRIORITY
from tests.lab.network import Node

Found = TypeVar("Found")
Where = Node | None
"""A node, or None: the namespace that the tests themselves run in."""

ROOT = Path(__file__).parents[2]
LINE = 1_048_576
"""Longest line of output in bytes."""
START = 60.0
"""Seconds until a process must exist; the first one waits for the zygote's imports."""
SLOWNESS = float(os.environ.get("LVSHA_LAB_SLOWNESS", "1"))
"""Set in a guest: how many times longer than natively things may take. All waits here are as much longer."""


class _Client:
    """The tests' end of the zygote."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                # An interrupt from the keyboard is for the tests; the zygote ends when its socket does.
                start_new_session=True,
            )
        atexit.register(self.close)

    def start(self, request: dict[str, Any], fds: list[int]) -> None:
        socket.send_fds(self._socket, [json.dumps({"do": "start"} | request).encode()], fds)

    def signal(self, pid: int, number: int, *, group: bool) -> None:
        # By the zygote, which has not reaped the process yet: the number cannot mean another one.
        message = {"do": "signal", "pid": pid, "signal": number, "group": group}
        self._socket.send(json.dumps(message).encode())

    def close(self) -> None:
        self._socket.close()
        self._process.wait(10)


_client: _Client | None = None
_running: set[Process] = set()
"""Event loops hold tasks weakly; a test need not hold on to a process that it only wants to run."""


def _zygote() -> _Client:
    global _client
    if _client is None:
        _client = _Client()
    return _client


def prepare() -> None:
    """Start the zygote before anything asks for it: where imports take long, they are done by then."""
    _zygote()


class Process:
    """A process on a node. Made by `start`, `call` and `spawn`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self.output: list[str] = []
        """Lines of standard output so far."""
        self.errors: list[str] = []
        """Lines of standard error so far."""
        self.said: list[str] = []
        """Lines of either, in the order in which they came."""
        self.events: list[dict[str, Any]] = []
        """The lines of either that were JSON objects."""
        self.status: int | None = None
        """The exit status (negative: the signal that ended it); None while it runs."""
        self._ended: int | None = None
        self._news = asyncio.Event()
        self._channel: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._task: asyncio.Task[None] | None = None

    def mark(self) -> int:
        """How many events there were until now, for `event(..., since=mark)`."""
        return len(self.events)

    async def event(
        self, name: str, *, since: int = 0, within: float = 20, **fields: object
    ) -> dict[str, Any]:
        """The first event of that name with these fields after the mark: already said, or waited for.

        Raises AssertionError with the output when the process ends or `within` seconds pass before.
        """
        wanted = {"event": name, **fields}

        def find() -> dict[str, Any] | None:
            return next((event for event in self.events[since:] if wanted.items() <= event.items()), None)

        return await self._until(find, within, f"event {wanted}")

    async def line(self, *texts: str, since: int = 0, within: float = 20) -> str:
        """The first line of `said` from there on that holds these texts: already said, or waited for."""

        def find() -> str | None:
            return next((line for line in self.said[since:] if all(text in line for text in texts)), None)

        return await self._until(find, within, f"line with {', '.join(map(repr, texts))}")

    async def ask(self, question: dict[str, Any], *, within: float = 10) -> dict[str, Any]:
        """Send a JSON object over the channel (see `call`) and return the answer."""
        assert self._channel is not None, f"{self.name} was started without a channel"
        reader, writer = self._channel
        writer.write(json.dumps(question).encode() + b"\n")
        async with asyncio.timeout(within * SLOWNESS):
            answer: dict[str, Any] = json.loads(await reader.readline())
        return answer

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the process, or to the whole group that it leads; too late is no error."""
        _zygote().signal(self.pid, number, group=group)

    async def wait(self, *, within: float = 20) -> int:
        """The exit status, when the process has ended and all its output is read."""
        await self._until(lambda: True if self.status is not None else None, within, "end")
        assert self.status is not None
        return self.status

    async def stop(self, *, within: float = 20) -> int:
        """Ask it to end (SIGTERM), wait, and return the exit status."""
        self.signal(signal.SIGTERM)
        return await self.wait(within=within)

    async def kill(self) -> int:
        """End it and its group without asking (SIGKILL) and return the exit status."""
        self.signal(signal.SIGKILL, group=True)
        return await self.wait()

    # --- from start to end ------------------------------------------------------------------

    async def _start(self, request: dict[str, Any], *, channel: bool) -> None:
        stdin, theirs = await self._open_stdin(channel=channel)
        pipes = [os.pipe() for _ in range(3)]
        try:
            _zygote().start(request, [theirs, *(writing for _, writing in pipes)])
        finally:
            os.close(theirs)
            for _, writing in pipes:
                os.close(writing)
        self._channel = stdin
        _running.add(self)
        readings = [reading for reading, _ in pipes]
        self._task = asyncio.create_task(self._follow(readings), name=f"follow {self.name}")
        await self._until(lambda: self.pid or None, START, "process id")

    async def _open_stdin(
        self, *, channel: bool
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, int]:
        if not channel:
            return None, os.open(os.devnull, os.O_RDONLY)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return await asyncio.open_connection(sock=ours, limit=LINE), theirs.detach()

    async def _follow(self, readings: list[int]) -> None:
        """Read until the process is gone. When the test is over before, so is the process."""
        output, errors, status = readings
        talk = [asyncio.create_task(_lines(output, self._said))]
        talk += [asyncio.create_task(_lines(errors, self._complained))]
        try:
            await _lines(status, self._reported)
            # What it left running may hold the pipes open; what it said itself is there by now.
            await asyncio.wait(talk, timeout=1)
        finally:
            for task in talk:
                task.cancel()
            if self._ended is None:
                self._abandon()
            if self._channel is not None:
                self._channel[1].close()
            self.status = self._ended
            _running.discard(self)
            self._tell()

    def _abandon(self) -> None:
        """The test is over, or the zygote is: so is the process."""
        self._ended = -signal.SIGKILL
        with contextlib.suppress(OSError):
            self.signal(signal.SIGKILL, group=True)

    def _said(self, line: str) -> None:
        self.output.append(line)
        self._heard(line)

    def _complained(self, line: str) -> None:
        self.errors.append(line)
        self._heard(line)

    def _heard(self, line: str) -> None:
        self.said.append(line)
        print(f"[{self.name}] {line}")
        with contextlib.suppress(ValueError):
            if line.startswith("{") and isinstance(event := json.loads(line), dict):
                self.events.append(event)
        self._tell()

    def _reported(self, line: str) -> None:
        match line.split():
            case ["pid", number]:
                self.pid = int(number)
            case ["exit", number]:
                self._ended = int(number)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _until(self, find: Callable[[], Found | None], within: float, what: str) -> Found:
        try:
            async with asyncio.timeout(within * SLOWNESS):
                while (found := find()) is None:
                    if self.status is not None:
                        raise AssertionError(
                            f"{self.name} ended with {self.status}: no {what}\n{self._tail()}"
                        )
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{self.name}: no {what} in {within} s\n{self._tail()}") from None
        return found

    def _tail(self) -> str:
        return "\n".join(self.said[-80:])


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended."""

    status: int
    output: str
    errors: str


async def start(
    where: Where, module: str, *argv: str, environment: dict[str, str] | None = None, directory: Path = ROOT
) -> Process:
    """Run a Python module on a node, as `python -m module argv` would."""
    return await _begin(where, module, {"module": module, "argv": argv}, environment, directory)


async def call(
    where: Where,
    function: str,
    *argv: str,
    channel: bool = False,
    environment: dict[str, str] | None = None,
    directory: Path = ROOT,
) -> Process:
    """Run `module:function` on a node: function(argv) -> exit status or None.

    With `channel`, its standard input is a stream socket over which `Process.ask` sends JSON lines and gets
    them.
    """
    request = {"call": function, "argv": argv}
    return await _begin(where, function.rpartition(":")[2], request, environment, directory, channel=channel)


async def spawn(
    where: Where,
    *argv: str,
    environment: dict[str, str] | None = None,
    directory: Path = ROOT,
    realtime: bool = False,
) -> Process:
    """Run a program on a node; `realtime`: it and its children are scheduled as a speaker is."""
    program = ("chrt", "--fifo", str(PRIORITY), *argv) if realtime else argv
    return await _begin(where, Path(argv[0]).name, {"program": program}, environment, directory)


async def run(where: Where, *argv: str, module: str | None = None, within: float = 30) -> Result:
    """Run a program (or `python -m module argv`) on a node to its end, whatever its exit status."""
    process = await (spawn(where, *argv) if module is None else start(where, module, *argv))
    status = await process.wait(within=within)
    return Result(status, "\n".join(process.output), "\n".join(process.errors))


async def _begin(
    where: Where,
    name: str,
    request: dict[str, Any],
    environment: dict[str, str] | None,
    directory: Path,
    *,
    channel: bool = False,
) -> Process:
    process = Process(f"{where} {name}" if where else name)
    request |= {
        "namespace": where.namespace if where else None,
        "environment": environment or {},
        "directory": str(directory),
    }
    await process._start(request, channel=channel)
    return process


async def _lines(fd: int, take: Callable[[str], None]) -> None:
    """Hand over the lines of a pipe until its other end is closed."""
    reader = asyncio.StreamReader(limit=LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(fd, "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    try:
        while line := await reader.readline():
            take(line.decode(errors="replace").rstrip("\n"))
    finally:
        transport.close()
