"""Floods of VRRP packets from a machine on the wire, and what they cost the processes that hear them."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.network import Node

GROUP, GROUP_6, PROTOCOL = "224.0.0.18", "ff02::12", 112
BURST = 100
"""Packets that are sent between two looks at the clock."""


async def flood(node: Node, payloads: Sequence[bytes], rate: int, seconds: float, family: int = 4) -> int:
    """Send packets to VRRP's group at a rate a second, by turns; how many went.

    The TTL is 255, so that nothing but what is in them speaks against them.
    """
    with node.entered():
        sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, PROTOCOL)
    with sock:
        _prepare(sock, node, family)
        return await asyncio.to_thread(_send, sock, payloads, rate, seconds, family)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, its own and the kernel's for it (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _prepare(sock: socket.socket, node: Node, family: int) -> None:
    if family == 4:
        sock.bind((str(node.address("front")), 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        return
    with node.entered():
        index = socket.if_nametoindex("front")
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)


def _send(sock: socket.socket, payloads: Sequence[bytes], rate: int, seconds: float, family: int) -> int:
    target = (GROUP if family == 4 else GROUP_6, 0)
    begin, sent = time.monotonic(), 0
    while sent < rate * seconds:
        for number in range(sent, sent + BURST):
            sock.sendto(payloads[number % len(payloads)], target)
        sent += BURST
        time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
    return sent
