"""A program of the operator's, run once: without a shell, as an ordinary process, in bounded time.

It is started in a session of its own, with a small environment, as the user that was named
(`nobody` where none was): neither the priority of who starts it nor its protection from being
killed are handed down. It has `timeout` seconds, then its whole session is killed. Of what it says
the first few words are kept for the operator.

A program that others than root could change is not run as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_NOBODY = "nobody"
_WORDS = 200
"""Octets of the program's output that are kept."""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_MOMENT = 1.0
"""Seconds in which a program begins, on a file system that answers."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run, as whom and for how long."""

    command: tuple[str, ...]
    """The program, by its absolute path, and its arguments."""
    timeout: float
    """Seconds."""
    user: str | None = None
    """None: nobody."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside PATH and LANG."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one run of a program ended."""

    ok: bool
    detail: str


async def run(program: Program) -> Result:
    """Run it once; whatever goes wrong is a result. Who is cancelled meanwhile kills it."""
    name, loop = program.command[0], asyncio.get_running_loop()
    if name in _hanging:
        return Result(ok=False, detail=f"{name} is still to be started: its file system does not answer")
    starting, begun = loop.run_in_executor(None, _begin, program), loop.time()
    try:
        async with asyncio.timeout(program.timeout):
            process = await asyncio.shield(starting)
    except TimeoutError:
        _hanging.add(name)
        starting.add_done_callback(lambda _: _hanging.discard(name))
        await _abandon(starting, 0)
        return Result(ok=False, detail=f"{name} could not be started within {program.timeout:g} s")
    except asyncio.CancelledError:
        # It begins in a moment, most likely, and is not to be left behind.
        await _abandon(starting, _MOMENT)
        raise
    if isinstance(process, Result):
        return process
    return await _follow(process, begun + program.timeout - loop.time(), program.timeout)


_hanging: set[str] = set()
"""Programs that a thread has not been able to start yet: no second one is to hang there."""


def _begin(program: Program) -> subprocess.Popen[bytes] | Result:
    """The process, or why there is none. In a thread: users may be asked for in a directory far away, and
    a file system that hangs keeps who starts a program from it until that runs (execve(2)).
    """
    try:
        account = pwd.getpwnam(program.user or _NOBODY)
    except KeyError:
        return Result(ok=False, detail=f"there is no user {program.user or _NOBODY}")
    danger = unsafe(Path(program.command[0])) if account.pw_uid == 0 else ""
    if danger:
        return Result(ok=False, detail=danger)
    try:
        return _start(program, account)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Result(ok=False, detail=f"{program.command[0]} could not be started: {error}")


async def _abandon(starting: asyncio.Future[subprocess.Popen[bytes] | Result], patience: float) -> None:
    """End it, now or as soon as it has begun."""
    await asyncio.wait({starting}, timeout=patience)
    if starting.done():
        _end_begun(starting)
    else:
        starting.add_done_callback(_end_begun)


def _end_begun(starting: asyncio.Future[subprocess.Popen[bytes] | Result]) -> None:
    process = None if starting.cancelled() else starting.result()
    if isinstance(process, subprocess.Popen):
        _end(process)


def unsafe(program: Path) -> str:
    """Why root should not run a program: somebody else could put another in its place. Empty: it may."""
    for path in (program, *program.parents):
        try:
            about = path.stat()
        except (OSError, ValueError) as error:
            return f"{path}: {getattr(error, 'strerror', None) or error}"
        # In a sticky directory nobody can replace what belongs to root.
        sticky = stat.S_ISDIR(about.st_mode) and about.st_mode & stat.S_ISVTX
        if about.st_uid != 0 or (about.st_mode & _OTHERS_WRITE and not sticky):
            return f"{path} can be changed by others than root: not run as root"
    return ""


def _start(program: Program, account: pwd.struct_passwd) -> subprocess.Popen[bytes]:
    # Without the right to become somebody else, as ourselves.
    other = os.geteuid() == 0
    process = subprocess.Popen(
        program.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=_ENVIRONMENT | dict(program.environment),
        start_new_session=True,
        user=account.pw_uid if other else None,
        group=account.pw_gid if other else None,
        extra_groups=[] if other else None,
    )
    # Who starts it may be never to be killed for want of memory, and precede others; this one is ordinary.
    with contextlib.suppress(OSError):
        Path(f"/proc/{process.pid}/oom_score_adj").write_text("0")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    return process


async def _follow(process: subprocess.Popen[bytes], left: float, whole: float) -> Result:
    """Read its words and wait for its end, or end it: `left` seconds of the `whole` are left."""
    words = bytearray()
    try:
        async with asyncio.timeout(left):
            await _listen(process, words)
    except TimeoutError:
        return Result(ok=False, detail=f"did not end within {whole:g} s")
    finally:
        _end(process)
    return _result(process.returncode, words)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Its children too: they are of its session.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        # A program that hangs in the kernel takes its time even to die.
        asyncio.get_running_loop().run_in_executor(None, process.wait)
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    process.stdout.close()


async def _listen(process: subprocess.Popen[bytes], words: bytearray) -> None:
    """Until the program ends; what it says after the first words is thrown away, so that it never waits."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    pipe, ended = process.stdout.fileno(), asyncio.Event()
    os.set_blocking(pipe, False)
    loop, pidfd = asyncio.get_running_loop(), os.pidfd_open(process.pid)

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            part = os.read(pipe, 4096)
            words.extend(part[: _WORDS - len(words)])
            if not part:
                loop.remove_reader(pipe)

    loop.add_reader(pipe, read)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
        read()
    finally:
        loop.remove_reader(pipe)
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _result(status: int, words: bytearray) -> Result:
    said = words.decode(errors="replace").strip().partition("\n")[0]
    ended = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
    return Result(ok=status == 0, detail=f"{ended}: {said}" if said else ended)
