"""Filters, run by the kernel on sockets that are its own network."""

from __future__ import annotations

import contextlib
import socket

import pytest

from lvsha.wire import bpf


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
