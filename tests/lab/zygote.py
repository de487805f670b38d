"""A process that has imported everything and forks on request, so that programs start in milliseconds.

Importing the daemon's libraries costs a second natively and several in a guest, for every process of every
test. The zygote pays once. It serves one client over a SOCK_SEQPACKET socket whose number is its only
argument; a message is one JSON object:

    {"do": "start", "namespace": NAME or null, "environment": {...}, "directory": PATH, and one of
     "program": [...]                     exec this
     "module": NAME, "argv": [...]        as `python -m NAME ...`
     "call": "module:function", "argv"    function(argv), its result is the exit status}
    {"do": "signal", "pid": PID, "signal": NUMBER, "group": BOOL}

`start` comes with four descriptors: standard input, output, error, and a pipe on which the zygote answers
`pid N` and, when the process has ended, `exit N` (negative: the signal). When the client is gone the zygote
kills what it started and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

from tests.lab import namespace

PRELOAD = ("checks.http", "checks.tcp", "tests.lab.client", "tests.lab.servers")
PRELOAD_PACKAGE = "lvsha"
"""Imported with all its modules, apart from `__main__`."""

MESSAGE = 262_144
"""Largest request in bytes."""


class Zygote:
    """The loop: requests from the client, ends of children."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, int]] = {}
        """pid -> pidfd, status pipe"""

    def serve(self) -> None:
        """Serve until the client is gone."""
        self._selector.register(self._client, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._bury(key.data)
                elif not self._request():
                    return

    def kill_all(self) -> None:
        """End every child, with the groups that they lead."""
        for pid in self._children:
            _signal(pid, signal.SIGKILL, group=True)

    def _request(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._client, MESSAGE, 4)
        if not data:
            return False
        request = json.loads(data)
        match request["do"]:
            case "start":
                self._start(request, fds)
            case "signal" if request["pid"] in self._children:
                _signal(request["pid"], request["signal"], group=request["group"])
        return True

    def _start(self, request: dict[str, Any], fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(request, fds)
        *streams, status = fds
        for fd in streams:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._children[pid] = pidfd, status
        self._selector.register(pidfd, selectors.EVENT_READ, pid)
        _tell(status, f"pid {pid}")

    def _bury(self, pid: int) -> None:
        pidfd, status = self._children.pop(pid)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, code = os.waitpid(pid, 0)
        # What it left running in its group goes with it.
        _signal(pid, signal.SIGKILL, group=True)
        _tell(status, f"exit {os.waitstatus_to_exitcode(code)}")
        os.close(status)

    def _become(self, request: dict[str, Any], fds: list[int]) -> None:
        """In the new process: never returns."""
        status = 70  # EX_SOFTWARE, unless something says otherwise
        try:
            os.setsid()
            for target, fd in enumerate(fds[:3]):
                os.dup2(fd, target)
            self._forget(fds)
            if request["namespace"] is not None:
                namespace.enter(request["namespace"])
            os.environ.update(request["environment"])
            os.chdir(request["directory"])
            status = _run(request)
        except BaseException:  # noqa: BLE001 - the last frame of a process: say it and end
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _forget(self, fds: list[int]) -> None:
        """Close what belongs to the zygote."""
        self._selector.close()
        self._client.close()
        mine = [fd for pair in self._children.values() for fd in pair]
        for fd in (*fds, *mine):
            os.close(fd)


def _run(request: dict[str, Any]) -> int:
    if "program" in request:
        program: list[str] = request["program"]
        os.execvp(program[0], program)  # noqa: S606 - a list, as it was given
    argv: list[str] = request["argv"]
    try:
        if "module" in request:
            sys.argv = [request["module"], *argv]
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
            return 0
        module, _, function = request["call"].partition(":")
        sys.argv = [request["call"], *argv]
        return getattr(importlib.import_module(module), function)(argv) or 0
    except SystemExit as end:
        # As the interpreter does: None is 0, a text is printed and is 1.
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1


def _signal(pid: int, number: int, *, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(pid, number)


def _tell(pipe: int, line: str) -> None:
    # The client may have lost interest.
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, f"{line}\n".encode())


def preload() -> None:
    """Import what programs will need. What cannot be imported fails later, in the program that needs it."""
    names = list(PRELOAD)
    path = importlib.import_module(PRELOAD_PACKAGE).__path__
    modules = pkgutil.walk_packages(path, f"{PRELOAD_PACKAGE}.", onerror=lambda _: None)
    names += [module.name for module in modules]
    for name in names:
        if not name.endswith("__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def main() -> None:
    """Import, then serve the socket named by the first argument."""
    client = socket.socket(fileno=int(sys.argv[1]))
    preload()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a TextIOWrapper
    # A collection in a child would copy every page that it touches.
    gc.collect()
    gc.freeze()
    zygote = Zygote(client)
    try:
        zygote.serve()
    finally:
        zygote.kill_all()


if __name__ == "__main__":
    main()
