"""Probing by UDP."""

from __future__ import annotations

import asyncio
import socket

import pytest

from checks import SettingsError
from checks.udp import Udp
from tests.lab.targets import Probe, Servers


async def test_answer(servers: Servers, probe: Probe) -> None:
    """What is sent arrives, and the answer is judged."""
    port = await servers.serve_udp(lambda data: [b"got " + data])
    outcome = await probe(Udp(send="ping", expect="^got ping$"), port)
    assert outcome.detail == f"UDP 127.0.0.1:{port}, sent 'ping', got 'got ping'"
    assert outcome.ok


async def test_ipv6(servers: Servers, probe: Probe) -> None:
    """IPv6 is no different."""
    port = await servers.serve_udp(lambda data: [data], address="::1")
    assert (await probe(Udp(send="x", expect="x"), port, address="::1")).ok


async def test_bytes(servers: Servers, probe: Probe) -> None:
    """Bytes that are no text can be sent and expected."""
    port = await servers.serve_udp(lambda data: [data[::-1] + b"more"])
    assert (await probe(Udp(send_hex="00 ff", expect_hex="ff00"), port)).ok
    outcome = await probe(Udp(send_hex="00ff", expect_hex="00ff"), port)
    assert not outcome.ok
    assert outcome.detail.endswith("(expected 00ff)")


async def test_wrong_answer(servers: Servers, probe: Probe) -> None:
    """Another answer than expected is a failure, and quoted."""
    port = await servers.serve_udp(lambda _: [b"no"])
    outcome = await probe(Udp(expect="yes"), port)
    assert outcome.detail == f"UDP 127.0.0.1:{port}, sent '', got 'no' (expected 'yes')"
    assert not outcome.ok


async def test_closed_port(probe: Probe) -> None:
    """A port that the target's ICMP says is closed is a failure at once, silence wanted or not."""
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for check in (Udp(send="x"), Udp(send="x", silence=20)):
        outcome = await probe(check, port, timeout=20)
        assert not outcome.ok
        assert outcome.detail.endswith("port unreachable (ICMP: nothing listens there)")


async def test_no_answer(servers: Servers, probe: Probe) -> None:
    """Silence is a failure at the deadline, unless it is what was asked for."""
    port = await servers.serve_udp(lambda _: [])
    assert (await probe(Udp(), port, timeout=0.2)).detail.endswith("no answer within 0.2 s")
    outcome = await probe(Udp(silence=0.1), port)
    assert outcome.ok
    assert outcome.detail.endswith("no ICMP error within 0.1 s")


async def test_silence_longer_than_the_deadline(servers: Servers, probe: Probe) -> None:
    """A deadline before the silence is over is a failure still."""
    port = await servers.serve_udp(lambda _: [])
    assert not (await probe(Udp(silence=5), port, timeout=0.1)).ok


async def test_stranger_is_not_heard(servers: Servers, probe: Probe) -> None:
    """Only the target's own answer counts, not one from another port."""
    with socket.socket(type=socket.SOCK_DGRAM) as stranger, socket.socket(type=socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        task = asyncio.create_task(probe(Udp(send="x"), target.getsockname()[1], timeout=0.3))
        _, client = await asyncio.to_thread(target.recvfrom, 10)
        stranger.sendto(b"forged", client)
        outcome = await task
    assert outcome.detail.endswith("no answer within 0.3 s")


async def test_largest_answer(servers: Servers, probe: Probe) -> None:
    """The largest datagram there is can be read, and is cut only in the detail."""
    port = await servers.serve_udp(lambda _: [b"x" * 65000 + b"end"])
    outcome = await probe(Udp(send="x", expect="end$"), port)
    assert outcome.ok
    assert len(outcome.detail) < 200


def test_settings() -> None:
    """Settings that contradict each other are told."""
    with pytest.raises(SettingsError) as caught:
        Udp(send="x", send_hex="0", expect="(", expect_hex="zz", silence=-1, source="x", mark=-1)
    fields = [problem.partition(":")[0] for problem in caught.value.problems]
    assert sorted(set(fields)) == ["expect", "expect_hex", "mark", "send_hex", "silence", "source"]
    with pytest.raises(SettingsError, match="silence: what is expected cannot be silence"):
        Udp(expect="x", silence=1)
