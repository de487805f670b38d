"""The speaker's end of the socket to the director.

One director at a time: a new connection takes the place of the old one, because a director that
was started again is the one to listen to. Who connects must be root or the speaker's own user
(SO_PEERCRED). What cannot be sent at once waits; a director that is too far behind is cut off
and gets everything anew when it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from pathlib import Path
from typing import Protocol

from lvsha.errors import InputError
from lvsha.speaker.messages import PART, Assembly, Command, Report, cut, decode_command, encode

BACKLOG = 4000
"""Packets that wait for the director at most."""
BATCH = 16

_CREDENTIALS = struct.Struct("@3i")


class Listener(Protocol):
    """Who is told what the director says."""

    def connected(self) -> None:
        """A director is there, and knows nothing yet."""

    def disconnected(self) -> None:
        """No director is there any more."""

    def command(self, command: Command) -> None:
        """The director says something."""

    def misunderstood(self, error: InputError) -> None:
        """The director says something that makes no sense; the connection is closed."""


class Port:
    """Listens at one path and talks to one director."""

    def __init__(self, path: Path, listener: Listener) -> None:
        self._path = path
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._listening: socket.socket | None = None
        self._director: socket.socket | None = None
        self._assembly = Assembly()
        self._waiting: deque[bytes] = deque()

    @property
    def connected(self) -> bool:
        """Whether a director is there."""
        return self._director is not None

    def open(self) -> None:
        """Listen. Raises OSError where the path cannot be used."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            sock.bind(str(self._path))
        finally:
            os.umask(before)
        sock.listen(4)
        self._listening = sock
        self._loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Listen no more, and let the director go."""
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None
            with contextlib.suppress(OSError):
                self._path.unlink()
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection to the director; it may come back."""
        if self._director is None:
            return
        director, self._director = self._director, None
        self._loop.remove_reader(director.fileno())
        self._loop.remove_writer(director.fileno())
        director.close()
        self._waiting.clear()
        self._assembly = Assembly()
        self._listener.disconnected()

    def send(self, report: Report) -> None:
        """Tell the director something; nobody hears it where there is none."""
        if self._director is None:
            return
        idle = not self._waiting
        self._waiting.extend(cut(encode(report)))
        if len(self._waiting) > BACKLOG:
            self.hang_up()
        elif idle:
            self._flush()

    def _accept(self) -> None:
        assert self._listening is not None  # noqa: S101 - a reader of a socket that is open
        try:
            sock, _ = self._listening.accept()
        except OSError:
            return
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(credentials)
        if user not in (0, os.geteuid()):
            sock.close()
            return
        self.hang_up()
        sock.setblocking(False)
        self._director = sock
        self._loop.add_reader(sock.fileno(), self._read)
        self._listener.connected()

    def _read(self) -> None:
        for _ in range(BATCH):
            if self._director is None:
                return
            try:
                packet = self._director.recv(PART + 1)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.hang_up()
                return
            self._hear(packet)

    def _hear(self, packet: bytes) -> None:
        try:
            text = self._assembly.feed(packet)
            command = None if text is None else decode_command(text)
        except InputError as error:
            self._listener.misunderstood(error)
            self.hang_up()
            return
        if command is not None:
            self._listener.command(command)

    def _flush(self) -> None:
        if self._director is None:
            return
        try:
            while self._waiting:
                self._director.send(self._waiting[0])
                self._waiting.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._director.fileno(), self._flush)
            return
        except OSError:
            self.hang_up()
            return
        self._loop.remove_writer(self._director.fileno())
