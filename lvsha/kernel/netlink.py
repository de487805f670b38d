"""A conversation with the kernel over netlink that never makes the event loop wait.

A netlink request is carried out inside `send`, before it returns, and it may sleep there: for
a module that modprobe has to fetch, for an RCU grace period, for a mutex that somebody else's
request holds. A non-blocking socket changes none of that. So every conversation has one worker
thread of its own, which sends, waits and collects, while the loop goes on; requests of several
tasks are served one after another, and a task that is cancelled leaves no half-read reply
behind, because the thread finishes what it began.

Many requests go out in one send. The kernel answers those that failed, each with the sequence
number of its request. Behind the last goes a message of nothing (NLMSG_NOOP) that asks to be
acknowledged: the barrier, whose answer says that everything before it is done. It is no request
of the family's, because not every one of those is answered: a request that ends in EINTR gets
no word at all (net/netlink/af_netlink.c, netlink_rcv_skb). Stopping a sync daemon that has only
just been started is one, and it does stop.

    transact    requests that change something: who was refused, and why
    dump        requests whose answer is a list
    ask         requests with one answer each

Everything is bounded: the time of a visit to the kernel, and the memory for a reply.

It is for who is in a hurry or has much to say: the speaker, IPVS, connection tracking. What is asked in
passing goes by way of pyroute2 (`lvsha.kernel.rtnetlink`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

from lvsha.errors import KernelError
from lvsha.kernel import frames
from lvsha.kernel.attributes import MalformedError
from lvsha.kernel.frames import Answer, Verdict

T = TypeVar("T")

BATCH = 128
"""Requests in one send. More gains nothing, and the errors of a whole batch must fit a receive buffer."""

_RECEIVE = 64 * 1024
"""The kernel fills a dump's datagram up to 32 KiB if it sees a reader with room for it (netlink_recvmsg)."""
_SOCKET_BUFFER = 4 * 1024 * 1024
# Not in the socket module: include/uapi/asm-generic/socket.h, include/uapi/linux/netlink.h.
_SO_RCVBUFFORCE = 33
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the kernel did not do what one request asked for."""

    errno: int
    words: str = ""
    """What it said beyond the number, often nothing."""

    def __str__(self) -> str:
        """As in `ENOENT: No such file or directory; <the kernel's own words>`."""
        name = errno.errorcode.get(self.errno, str(self.errno))
        return f"{name}: {os.strerror(self.errno)}" + (f"; {self.words}" if self.words else "")


class RefusedError(KernelError):
    """The kernel said no to a request."""

    def __init__(self, asked: str, refusal: Refusal) -> None:
        super().__init__(f"{asked}: {refusal}")
        self.refusal = refusal


class Netlink:
    """An asyncio conversation with one netlink protocol, in the network namespace where it was opened."""

    def __init__(self, connect: Callable[[], socket.socket], *, timeout: float) -> None:
        self._timeout = timeout
        self._dialogue = Dialogue(connect, timeout=timeout)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink")
        # The thread stays in the namespace that it was started in, so it has to start here: should the socket
        # have to be replaced one day, the thread does that where this one was.
        try:
            self._thread.submit(self._dialogue.open).result()
        except KernelError:
            self._thread.shutdown(wait=False)
            raise

    @classmethod
    def open(cls, protocol: int, *, timeout: float = 30.0) -> Self:
        """A conversation with a protocol, by its NETLINK_* number.

        `timeout`: seconds that one visit to the kernel may take. Raises KernelError where the kernel
        has no such protocol.
        """
        return cls(lambda: connect(protocol), timeout=timeout)

    def close(self) -> None:
        """End the conversation, once or again; what the kernel has been told stays done."""
        # After the first time the thread takes no more work.
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._dialogue.close)
        self._thread.shutdown(wait=False)

    async def transact(self, kind: int, bodies: Sequence[bytes], flags: int = 0) -> dict[int, Refusal]:
        """Carry out requests in order, `BATCH` of them a send; a refused one does not stop the others.

        `flags` are those that the family gives a meaning beyond NLM_F_REQUEST, such as NLM_F_REPLACE.
        Returns the refusals by index of the request. Raises KernelError where the outcome of some is
        not known, also because the kernel took too long.
        """
        refusals: dict[int, Refusal] = {}
        for start in range(0, len(bodies), BATCH):
            batch = bodies[start : start + BATCH]
            found = await self._visit(lambda batch=batch: self._dialogue.transact(kind, batch, flags))  # type: ignore[misc]
            refusals.update({start + index: refusal for index, refusal in found.items()})
        return refusals

    async def dump(self, kind: int, bodies: Sequence[bytes]) -> list[list[bytes]]:
        """The lists that these requests ask for, one after another: the bodies of the answers of each.

        Raises RefusedError where the kernel refuses one, MalformedError, KernelError when there is no answer.
        """
        return await self._visit(lambda: [self._dialogue.dump(kind, body) for body in bodies])

    async def ask(self, kind: int, bodies: Sequence[bytes]) -> list[bytes | Refusal]:
        """The body of the answer to each of at most `BATCH` questions, or why there is none."""
        return await self._visit(lambda: self._dialogue.ask(kind, bodies))

    async def _visit(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._thread, work)
        except TimeoutError:
            raise KernelError(f"the kernel has not answered on netlink for {self._timeout:g} s") from None


class Dialogue:
    """The same conversation, blocking: what the worker thread does."""

    def __init__(self, connect: Callable[[], socket.socket], *, timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        self._sequence = 0
        self._socket: socket.socket | None = None
        self._deadline: float | None = None
        self._buffer = bytearray(_RECEIVE)

    def open(self) -> socket.socket:
        """The socket, a new one if there is none; raises KernelError."""
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def close(self) -> None:
        """Let go of the socket; the next request would open another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def transact(self, kind: int, bodies: Sequence[bytes], flags: int = 0) -> dict[int, Refusal]:
        """Carry out at most `BATCH` requests, and tell which were refused."""
        if not bodies:
            return {}
        refusals: dict[int, Refusal] = {}
        with self._clean():
            first = self._send_all(kind, bodies, flags)
            for message in self._replies(first, len(bodies)):
                if isinstance(message, Verdict) and message.errno:
                    refusals[message.sequence - first] = Refusal(message.errno, message.words)
        return refusals

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The bodies of a list's answers."""
        sequence = self._number(1)
        answers: list[bytes] = []
        with self._clean():
            self._send([frames.frame(kind, frames.REQUEST | frames.DUMP, sequence, body)])
            for message in self._messages(sequence, sequence):
                if isinstance(message, Verdict):
                    if message.errno:
                        raise RefusedError("the kernel gives no list", Refusal(message.errno, message.words))
                    break
                answers.append(message.body)
        return answers

    def ask(self, kind: int, bodies: Sequence[bytes]) -> list[bytes | Refusal]:
        """The answer to each of at most `BATCH` questions."""
        if not bodies:
            return []
        answers: dict[int, bytes | Refusal] = {}
        with self._clean():
            first = self._send_all(kind, bodies, 0)
            for message in self._replies(first, len(bodies)):
                answers[message.sequence - first] = _answer(message)
            if len(answers) < len(bodies):
                raise MalformedError(f"netlink answered {len(answers)} of {len(bodies)} questions")
        return [answers[index] for index in range(len(bodies))]

    def _send_all(self, kind: int, bodies: Sequence[bytes], flags: int) -> int:
        """Send requests with the barrier behind them; returns the sequence number of the first."""
        first = self._number(len(bodies) + 1)
        requests = [
            frames.frame(kind, frames.REQUEST | flags, first + index, body)
            for index, body in enumerate(bodies)
        ]
        self._send(
            [*requests, frames.frame(frames.NOOP, frames.REQUEST | frames.ACK, first + len(bodies), b"")]
        )
        return first

    def _replies(self, first: int, count: int) -> Iterator[Answer | Verdict]:
        """Replies to so many requests, until the barrier's."""
        for message in self._messages(first, first + count):
            if message.sequence == first + count:
                return
            yield message

    def _number(self, count: int) -> int:
        """Reserve sequence numbers; they never repeat within what could still be under way."""
        first = self._sequence + 1
        if first + count > 0xFFFFFFFF:
            first = 1
        self._sequence = first + count - 1
        return first

    def _send(self, requests: Sequence[bytes]) -> None:
        opened = self.open()
        self._deadline = None
        try:
            opened.send(b"".join(requests))
        except OSError as error:
            raise KernelError(f"netlink request could not be sent: {Refusal(error.errno or 0)}") from error

    def _messages(self, first: int, last: int) -> Iterator[Answer | Verdict]:
        """Messages of these sequence numbers, for ever: the caller knows which is the last it needs."""
        while True:
            for message in frames.messages(self._receive()):
                if first <= message.sequence <= last:
                    yield message

    def _receive(self) -> bytes:
        """One datagram of the kernel's, which mostly is there already when a send returns."""
        opened = self.open()
        while True:
            try:
                length, _, flags, sender = opened.recvmsg_into([self._buffer])
            except BlockingIOError:
                self._wait(opened)
                continue
            except OSError as error:
                raise KernelError(_lost(error)) from error
            if flags & socket.MSG_TRUNC:
                raise MalformedError(f"netlink reply is longer than {_RECEIVE} bytes")
            # Another process may write to this socket; the kernel's own port is 0.
            if not isinstance(sender, tuple) or sender[0] == 0:
                return bytes(memoryview(self._buffer)[:length])

    def _wait(self, opened: socket.socket) -> None:
        """Until there is something to read, or what was sent last has gone unanswered for too long."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._timeout
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        if now >= self._deadline or not poll.poll((self._deadline - now) * 1000):
            raise KernelError(f"no answer on netlink within {self._timeout:g} s")

    @contextlib.contextmanager
    def _clean(self) -> Iterator[None]:
        """Drop the socket after a failure: what is still in it, or still coming, is nobody's any more."""
        try:
            yield
        except RefusedError:
            raise
        except BaseException:
            self.close()
            raise


def connect(protocol: int) -> socket.socket:
    """A netlink socket that reports errors in words and has room for those of a whole batch."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        raise KernelError(f"no netlink socket (protocol {protocol}): {Refusal(error.errno or 0)}") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _SOCKET_BUFFER)
    except PermissionError:
        # Without CAP_NET_ADMIN as much as net.core.rmem_max allows.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    opened.bind((0, 0))
    opened.setblocking(False)
    return opened


def _answer(message: Answer | Verdict) -> bytes | Refusal:
    if isinstance(message, Answer):
        return message.body
    if message.errno == 0:
        raise MalformedError("netlink acknowledged a question instead of answering it")
    return Refusal(message.errno, message.words)


def _lost(error: OSError) -> str:
    if error.errno == errno.ENOBUFS:
        return "netlink replies were lost for want of memory (ENOBUFS): what was asked may or may not be done"
    return f"netlink reply could not be read: {Refusal(error.errno or 0)}"
