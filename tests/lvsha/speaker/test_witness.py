"""A witness that answers, one that does not, and one that is back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lvsha.speaker.witness import TRIES, Answer, ask
from tests.lab.network import Network, topology

pytestmark = pytest.mark.net

DEAF = "net.ipv4.icmp_echo_ignore_all"


@pytest.fixture
def net() -> Iterator[Network]:
    """A director and its witness, the client."""
    with topology(directors=1, servers=0) as built:
        yield built


@pytest.fixture
def requests(net: Network) -> Iterator[socket.socket]:
    """Every echo request that reaches the witness, answered or not."""
    with net["client"].entered():
        ears = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
    with ears:
        yield ears


async def test_a_witness_answers_at_once(net: Network) -> None:
    """Where nothing is wrong the first request is answered."""
    with net["lb1"].entered():
        assert await ask(ip_address("192.0.2.10")) is Answer.AT_ONCE


async def test_a_witness_that_is_back_answers_late(net: Network, requests: socket.socket) -> None:
    """Requests were lost before the one that was answered."""
    net["client"].sysctl(DEAF, 1)
    with net["lb1"].entered():
        asking = asyncio.create_task(ask(ip_address("192.0.2.10")))
        await asyncio.get_running_loop().sock_recv(requests, 100)
        net["client"].sysctl(DEAF, 0)
        assert await asking is Answer.LATE


async def test_a_witness_that_is_away(net: Network, requests: socket.socket) -> None:
    """It is asked a few times, and the answer is never."""
    net["client"].sysctl(DEAF, 1)
    with net["lb1"].entered():
        assert await ask(ip_address("192.0.2.10")) is Answer.NEVER
    for _ in range(TRIES):
        assert requests.recv(100)
    with pytest.raises(BlockingIOError):
        requests.recv(100)
