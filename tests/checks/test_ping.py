"""Probing by ICMP echo, on loopback and in a namespace of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks import SettingsError
from checks.ping import Ping, checksum, echo, is_reply
from tests.lab.targets import Probe


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_answer(probe: Probe, address: str) -> None:
    """A machine that is there answers, whatever the size."""
    for size in (8, 16, 1400, 20000):
        outcome = await probe(Ping(size=size), 0, address=address)
        assert outcome.ok, outcome.detail
        assert outcome.detail.startswith(f"ping {address} answered in ")


async def test_source(probe: Probe) -> None:
    """The request leaves from the address it was told to."""
    outcome = await probe(Ping(source="127.0.0.9"), 0)
    assert outcome.ok
    assert "ping 127.0.0.1 from 127.0.0.9 answered" in outcome.detail


ALONE = """
set -e
ip link set lo up
ip link add near type veth peer name far
ip address add 192.0.2.1/24 dev near
ip address add 2001:db8::1/64 dev near nodad
ip link set near up
ip link set far up
{setup}
exec {python} -m checks ping {target} --timeout 0.3 {options}
"""


def alone(
    target: str, setup: str = "", options: str = "", user: str = ""
) -> subprocess.CompletedProcess[str]:
    """Ping in a network namespace with an interface behind which nobody is."""
    python = (
        sys.executable
        if not user
        else f"setpriv --reuid={user} --regid={user} --clear-groups {sys.executable}"
    )
    script = ALONE.format(setup=setup, python=python, target=target, options=options)
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )


@pytest.mark.net
@pytest.mark.parametrize("target", ["192.0.2.9", "2001:db8::9"])
def test_nobody_there(target: str) -> None:
    """A machine that is not there fails at the deadline."""
    ran = alone(target)
    assert f"ping {target}: no answer within 0.3 s" in ran.stdout, ran.stderr
    assert ran.returncode == 1


@pytest.mark.net
def test_no_route() -> None:
    """A target without a route is told as such."""
    ran = alone("203.0.113.1")
    assert "network unreachable (no route)" in ran.stdout, ran.stderr


@pytest.mark.net
@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("group_range", ["1 0", "0 4294967294"])
def test_both_sockets(target: str, group_range: str) -> None:
    """Raw and datagram sockets do the same."""
    ran = alone(target, setup=f"echo {group_range} > /proc/sys/net/ipv4/ping_group_range")
    assert f"ping {target} answered in " in ran.stdout, ran.stderr


@pytest.mark.net
def test_not_allowed() -> None:
    """Who may open neither socket is told what it takes."""
    ran = alone("127.0.0.1", setup="echo 1 0 > /proc/sys/net/ipv4/ping_group_range", user="65534")
    assert "needs CAP_NET_RAW, or this process's group within net.ipv4.ping_group_range" in ran.stdout, (
        ran.stderr
    )


@given(st.binary(max_size=64))
def test_checksum(data: bytes) -> None:
    """RFC 1071: with its checksum in place, a message sums to nothing."""
    even = data + bytes(len(data) % 2)
    assert checksum(even + checksum(even).to_bytes(2, "big")) == 0


def test_is_reply() -> None:
    """Only the reply that carries our payload is ours."""
    payload = b"12345678"
    reply = b"\x00" + echo(8, payload)[1:]
    header = b"\x46" + bytes(23)  # six words
    assert is_reply(reply, 0, payload, ip_header=False)
    assert is_reply(header + reply, 0, payload, ip_header=True)
    assert not is_reply(echo(8, payload), 0, payload, ip_header=False)
    assert not is_reply(reply, 0, b"87654321", ip_header=False)
    for length in range(len(header)):
        assert not is_reply(header[:length], 0, payload, ip_header=True)


def test_settings() -> None:
    """A payload that could not hold our mark is refused."""
    with pytest.raises(SettingsError) as caught:
        Ping(size=7, source="x", mark=-1)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["size", "source", "mark"]
