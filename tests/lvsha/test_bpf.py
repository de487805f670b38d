"""Filters, run by the kernel on sockets that are its own network."""

from __future__ import annotations

import contextlib
import socket

import pytest

from lvsha import bpf
from lvsha.kernel.attributes import pack, pack_be16


def test_the_kernel_takes_every_filter() -> None:
    """The kernel's own checker accepts each program, at its longest use."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, two:
        for program in (
            bpf.vrids(4, range(1, 256)),
            bpf.vrids(6, range(1, 256)),
            bpf.arp_senders(bytes([10, 0, i, j]) for i in range(4) for j in range(250)),
            bpf.neighbour_advertisements(bytes([0x20, 1] + [0] * 13 + [i]) for i in range(250)),
            bpf.echo_replies(4, 65535),
            bpf.echo_replies(6, 0),
            bpf.ports_changed(20, (1, 2, 2), (2, 2, 3)),
            bpf.nothing(),
        ):
            bpf.attach(one, program)


@pytest.mark.parametrize("wanted", [[2], [1, 2, 3], list(range(256))])
def test_only_what_is_wanted_passes(wanted: list[int]) -> None:
    """A packet passes exactly when its octet is one of those asked for."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, two:
        one.setblocking(False)
        bpf.attach(one, bpf.vrids(6, wanted))
        for vrid in (2, 200):
            # A Unix socket whose peer filters the packet away tells the sender that it was refused.
            with contextlib.suppress(PermissionError):
                two.send(bytes([0x31, vrid]))
        received = []
        while True:
            try:
                received.append(one.recv(10)[1])
            except BlockingIOError:
                break
        assert received == [vrid for vrid in (2, 200) if vrid in wanted]


def tracked(*, source: int | None, target: int | None) -> bytes:
    """A message of connection tracking: CTA_TUPLE_ORIG and _REPLY, with the ports that are given."""
    from_client = pack(1, pack(1, b"addresses ...") + pack(2, _port(2, source) + pack_be16(3, 80)))
    to_client = pack(2, pack(1, b"addresses") + pack(2, pack_be16(2, 8080) + _port(3, target)))
    return bytes(20) + from_client + to_client + pack(3, bytes(4))


def _port(kind: int, port: int | None) -> bytes:
    return b"" if port is None else pack_be16(kind, port)


@pytest.mark.parametrize(
    ("source", "target", "passes"),
    [
        (40000, 16638, True),
        (40000, 40000, False),
        (40000, None, False),
        (None, 40000, False),
        (80, 8080, True),
    ],
)
def test_only_a_changed_port_passes(source: int | None, target: int | None, *, passes: bool) -> None:
    """The client's port, and the one that its replies go to: equal, different, or not there (ICMP)."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, two:
        one.setblocking(False)
        bpf.attach(one, bpf.ports_changed(20, (1, 2, 2), (2, 2, 3)))
        message = tracked(source=source, target=target)
        with contextlib.suppress(PermissionError):
            two.send(message)
        with contextlib.nullcontext() if passes else pytest.raises(BlockingIOError):
            assert one.recv(1000) == message
