"""Conversations over netlink: with the running kernel, and with one that the test plays."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lvsha.errors import KernelError
from lvsha.kernel import frames, genl
from lvsha.kernel.attributes import MalformedError, pack, pack_text
from lvsha.kernel.netlink import BATCH, Netlink, Refusal, RefusedError, connect
from tests.lab import namespace
from tests.lab.played import Ends, acknowledge, refuse, sequence

CONTROLLER = 16
KNOWN = genl.message(3, 1, pack_text(2, "nlctrl"))
UNKNOWN_COMMAND = genl.message(99, 1)
UNKNOWN_FAMILY = genl.message(3, 1, pack_text(2, "no-such-family"))
FAMILIES = genl.message(3, 1)


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    """A conversation with the running kernel's generic netlink; its controller is always there."""
    conversation = Netlink.open(genl.PROTOCOL, timeout=10)
    yield conversation
    conversation.close()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The name of a network namespace of the test's own."""
    name = f"lvsha-netlink-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Sockets to a kernel that the test plays."""
    made = Ends()
    yield made
    for far in made.far:
        far.close()


def current_namespace() -> int:
    """The number of the calling thread's network namespace."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


async def test_errors_find_their_requests(netlink: Netlink) -> None:
    """In a batch larger than a send, each refused request is known by its index, and the rest is done."""
    bodies = [KNOWN] * (2 * BATCH + 10)
    bad = {0: UNKNOWN_COMMAND, 100: UNKNOWN_FAMILY, BATCH: UNKNOWN_COMMAND, 2 * BATCH + 9: UNKNOWN_FAMILY}
    for index, body in bad.items():
        bodies[index] = body
    refusals = await netlink.transact(CONTROLLER, bodies)
    assert {index: refusal.errno for index, refusal in refusals.items()} == {
        index: errno.EOPNOTSUPP if body is UNKNOWN_COMMAND else errno.ENOENT for index, body in bad.items()
    }


async def test_nothing_to_do_is_done(netlink: Netlink) -> None:
    """Empty batches are no requests at all."""
    assert await netlink.transact(CONTROLLER, []) == {}
    assert await netlink.ask(CONTROLLER, []) == []
    assert await netlink.dump(CONTROLLER, []) == []


async def test_lists_come_whole_and_apart(netlink: Netlink) -> None:
    """Two dumps in one visit are two equal lists, and the controller is in each."""
    one, other = await netlink.dump(CONTROLLER, [FAMILIES, FAMILIES])
    assert one == other
    assert any(b"nlctrl\0" in body for body in one)


async def test_answers_come_in_the_order_of_the_questions(netlink: Netlink) -> None:
    """Each question has its answer or its refusal in its place."""
    known, refused, again = await netlink.ask(CONTROLLER, [KNOWN, UNKNOWN_FAMILY, KNOWN])
    assert isinstance(known, bytes)
    assert known == again
    assert refused == Refusal(errno.ENOENT, "")


async def test_a_refused_list_is_an_error(netlink: Netlink) -> None:
    """A dump of what cannot be listed raises, with the number."""
    with pytest.raises(RefusedError, match="ENOTSUP") as caught:
        await netlink.dump(CONTROLLER, [UNKNOWN_COMMAND])
    assert caught.value.refusal.errno == errno.EOPNOTSUPP
    assert await netlink.dump(CONTROLLER, [FAMILIES])


async def test_tasks_share_a_conversation(netlink: Netlink) -> None:
    """Many tasks at once get each their own answers."""

    async def family(name: str) -> bytes | Refusal:
        return (await netlink.ask(CONTROLLER, [genl.message(3, 1, pack_text(2, name))]))[0]

    answers = await asyncio.gather(*(family(name) for name in ("nlctrl", "no-such-family") * 20))
    assert len(set(answers[0::2])) == 1
    assert set(answers[1::2]) == {Refusal(errno.ENOENT)}


async def test_a_cancelled_task_leaves_nothing_behind(netlink: Netlink) -> None:
    """After a dump whose task was cancelled, the next question gets its own answer."""
    task = asyncio.create_task(netlink.dump(CONTROLLER, [FAMILIES] * 50))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await netlink.ask(CONTROLLER, [UNKNOWN_FAMILY]) == [Refusal(errno.ENOENT)]


@pytest.mark.net
async def test_the_kernels_own_words_are_handed_on() -> None:
    """Where the kernel says more than a number, so does the refusal."""
    conversation = Netlink.open(socket.NETLINK_ROUTE)
    kind = pack(18, pack_text(1, "no-such-kind"))  # IFLA_LINKINFO, IFLA_INFO_KIND
    # RTM_NEWLINK with NLM_F_CREATE and NLM_F_EXCL
    refusals = await conversation.transact(16, [bytes(16) + kind], 0x600)
    conversation.close()
    assert refusals[0] == Refusal(errno.EOPNOTSUPP, "Unknown device type")
    assert "ENOTSUP: Operation not supported; Unknown device type" in str(refusals[0])


@pytest.mark.net
async def test_only_the_kernel_is_believed() -> None:
    """An acknowledgement that another process sends to the socket does not end a request."""
    sockets: list[socket.socket] = []

    def connected() -> socket.socket:
        sockets.append(connect(genl.PROTOCOL))
        return sockets[-1]

    conversation = Netlink(connected, timeout=10)
    with connect(genl.PROTOCOL) as stranger:
        forged = b"".join(acknowledge(frames.frame(CONTROLLER, 5, number, b"")) for number in (1, 2))
        stranger.sendto(forged, (sockets[0].getsockname()[0], 0))
    assert await conversation.transact(CONTROLLER, [UNKNOWN_COMMAND]) == {0: Refusal(errno.EOPNOTSUPP)}
    conversation.close()


@pytest.mark.net
async def test_a_conversation_stays_in_its_namespace(elsewhere: str) -> None:
    """The socket, and the one that replaces it after a failure, speak of the namespace of the opening."""
    namespaces: list[int] = []

    def connected() -> socket.socket:
        namespaces.append(current_namespace())
        return connect(genl.PROTOCOL)

    with namespace.entered(elsewhere):
        there = current_namespace()
        conversation = Netlink(connected, timeout=10)
    with pytest.raises(KernelError, match="EMSGSIZE"):
        await conversation.ask(CONTROLLER, [bytes(1 << 24)])
    await conversation.ask(CONTROLLER, [KNOWN])
    conversation.close()
    assert namespaces == [there, there]


@pytest.mark.net
async def test_lost_replies_are_told(elsewhere: str) -> None:
    """After a receive buffer ran over the outcome is unknown, and the next request has a fresh socket."""
    sockets: list[socket.socket] = []

    def cramped() -> socket.socket:
        sockets.append(connect(socket.NETLINK_ROUTE))
        if len(sockets) == 1:
            sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sockets[0].setsockopt(270, 1, 1)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK
        return sockets[-1]

    with namespace.entered(elsewhere):
        conversation = Netlink(cramped, timeout=10)
    news = "link set lo up\nlink set lo down\n" * 30
    argv = ["ip", "-n", elsewhere, "-batch", "-"]
    await asyncio.to_thread(subprocess.run, argv, input=news.encode(), check=True)
    links = bytes(16)
    with pytest.raises(KernelError, match="ENOBUFS"):
        await conversation.dump(18, [links])  # RTM_GETLINK
    assert await conversation.dump(18, [links])
    assert len(sockets) == 2
    conversation.close()


async def test_a_conversation_is_closed_once_or_again() -> None:
    """Closing is no error, however often."""
    conversation = Netlink.open(genl.PROTOCOL)
    assert await conversation.ask(CONTROLLER, [KNOWN])
    conversation.close()
    conversation.close()


def test_a_missing_protocol_is_told_at_once() -> None:
    """Opening a protocol that the kernel lacks names it."""
    with pytest.raises(KernelError, match=r"protocol 31.*EPROTONOSUPPORT"):
        Netlink.open(31)


async def test_a_silent_kernel_is_waited_for_only_so_long(ends: Ends) -> None:
    """No answer is an error after the given time, and the event loop runs on meanwhile."""
    conversation = Netlink(ends.connect, timeout=0.2)
    asking = asyncio.create_task(conversation.ask(CONTROLLER, [KNOWN]))
    for _ in range(10):
        await asyncio.sleep(0.001)
    assert not asking.done()
    with pytest.raises(KernelError, match=r"0\.2 s"):
        await asking
    conversation.close()


async def test_a_late_answer_is_not_taken_for_the_next(ends: Ends) -> None:
    """After an answer that did not come in time the next question goes out by a new socket."""
    conversation = Netlink(ends.connect, timeout=1)
    ends.far[0].close()
    with pytest.raises(KernelError):
        await conversation.ask(CONTROLLER, [KNOWN])
    transacted = asyncio.create_task(conversation.transact(CONTROLLER, [KNOWN]))
    await asyncio.to_thread(ends.opened.acquire, timeout=10)
    await asyncio.to_thread(ends.answer, acknowledge)
    assert await transacted == {}
    conversation.close()


def longer(request: bytes) -> bytes:
    """A message that claims to be longer than its datagram."""
    return struct.pack("=IHHII", 4000, CONTROLLER, 0, sequence(request), 0)


def cut(request: bytes) -> bytes:
    """An error without the request that it is about."""
    return frames.frame(2, 0, sequence(request), bytes(4))


def overrun(_request: bytes) -> bytes:
    """NLMSG_OVERRUN."""
    return frames.frame(4, 0, 0, b"")


def consent(request: bytes) -> bytes:
    """An acknowledgement of the question itself."""
    return refuse(request, 0)


def huge(request: bytes) -> bytes:
    """More than the kernel ever sends at once."""
    return frames.frame(CONTROLLER, 0, sequence(request), bytes(100_000))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (longer, "claims 4000 bytes"),
        (cut, "holds 4 bytes, too few"),
        (overrun, "data was lost"),
        (huge, "longer than 65536 bytes"),
        (consent, "acknowledged a question"),
    ],
)
async def test_a_broken_answer_is_told(ends: Ends, reply: Callable[[bytes], bytes], said: str) -> None:
    """What makes no sense is an error in words, not a wrong answer and no endless wait."""
    conversation = Netlink(ends.connect, timeout=10)
    asking = asyncio.create_task(conversation.ask(CONTROLLER, [KNOWN]))
    await asyncio.to_thread(ends.answer, reply)
    with pytest.raises(MalformedError, match=said):
        await asking
    conversation.close()


async def test_a_question_without_an_answer_is_told(ends: Ends) -> None:
    """The kernel passes over a request that ends in EINTR; the barrier behind it shows that."""
    conversation = Netlink(ends.connect, timeout=10)
    asking = asyncio.create_task(conversation.ask(CONTROLLER, [KNOWN, KNOWN]))
    await asyncio.to_thread(ends.answer, acknowledge)
    with pytest.raises(MalformedError, match="answered 0 of 2 questions"):
        await asking
    conversation.close()


async def test_sequence_numbers_go_round(netlink: Netlink) -> None:
    """A conversation that has used up the 32-bit sequence numbers goes on from the first."""
    netlink._dialogue._sequence = 0xFFFFFFFF - 3
    for _ in range(3):
        assert await netlink.transact(CONTROLLER, [UNKNOWN_COMMAND, KNOWN, KNOWN]) == {
            0: Refusal(errno.EOPNOTSUPP)
        }
