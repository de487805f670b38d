"""Echo requests to a neighbour."""

from __future__ import annotations

import select
import socket
from ipaddress import ip_address

import pytest

from lvsha.wire.echo import EchoSocket, Reply, checksum
from tests.lab.network import Network

pytestmark = pytest.mark.net


@pytest.mark.parametrize("family", [4, 6])
def test_a_neighbour_answers(net: Network, family: int) -> None:
    """The reply names who answered, and which request."""
    target = net["client"].address("front", family)
    with net["lb1"].entered():
        echo, bystander = EchoSocket(family, "front"), EchoSocket(family)
    echo.send(target, 7)
    assert select.select([echo], [], [], 1.0)[0]
    assert echo.receive() == Reply(target, 7)
    assert echo.receive() is None
    assert bystander.receive() is None
    echo.close()
    bystander.close()


def test_a_reply_without_the_drawn_octets_does_not_count(net: Network) -> None:
    """Somebody who guesses the identifier but has not seen the request cannot answer it."""
    with net["lb1"].entered():
        echo = EchoSocket(4)
    with net["lb2"].entered():
        forger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    forged = bytes([0, 0, 0, 0]) + echo._number.to_bytes(2) + b"\0\x07" + bytes(16)
    forged = forged[:2] + checksum(forged).to_bytes(2) + forged[4:]
    forger.sendto(forged, (str(net["lb1"].address("front")), 0))
    assert select.select([echo], [], [], 1.0)[0], "the forged reply passes the kernel's filter"
    assert echo.receive() is None
    echo.close()
    forger.close()


def test_no_way_to_the_target_is_an_error(net: Network) -> None:
    """The sender is told when there is no route."""
    with net["lb1"].entered():
        echo = EchoSocket(4)
    with pytest.raises(OSError, match="unreachable"):
        echo.send(ip_address("203.0.113.1"), 1)
    echo.close()
