"""One ping from a node, for machines without the program, and what the node knows of its neighbour."""

from __future__ import annotations

import secrets
import socket
import time
from ipaddress import ip_address

from checks.ping import echo, is_reply
from tests.lab.network import Node

_ECHO = {
    4: (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0),
    6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129),
}


def answers(node: Node, address: str, *, interface: str = "", within: float = 5.0) -> bool:
    """Whether an address answers the node within so many seconds; a link-local one is one of an interface.

    The first packet to a neighbour may take a second and more, until the kernel asks for it again.
    """
    version = ip_address(address).version
    family, protocol, request, reply = _ECHO[version]
    payload = secrets.token_bytes(16)
    with node.entered():
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
        scope = socket.if_nametoindex(interface) if interface else 0
    deadline = time.monotonic() + within
    with sock:
        sock.sendto(echo(request, payload), (address, 0) if version == 4 else (address, 0, 0, scope))
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                packet = sock.recv(2048)
            except TimeoutError:
                return False
            if is_reply(packet, reply, payload, ip_header=version == 4):
                return True
    return False


def await_neighbour(node: Node, address: str, interface: str) -> None:
    """Return once the node has had its neighbour's answer: the entry is REACHABLE."""
    deadline = time.monotonic() + 10
    while True:
        found = node.run("ip", "neighbour", "show", address, "dev", interface).split()
        if "REACHABLE" in found:
            return
        assert time.monotonic() < deadline, f"{address} does not answer {node}: {found}"
        time.sleep(0.02)
