"""Announcements, against frames that keepalived was seen to send and a real neighbour table."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from lvsha.wire.announce import Announcer, announcement, gratuitous_arp, neighbour_advertisement
from lvsha.wire.echo import checksum
from tests.lab.network import Network

MAC = bytes.fromhex("020000000011")


def test_gratuitous_arp_is_keepaliveds() -> None:
    """The frame is the one captured from keepalived 2.2.7, octet for octet."""
    frame = gratuitous_arp(IPv4Address("192.0.2.100"), MAC)
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert frame[14:].hex() == "0001080006040001" + "020000000011c0000264" + "ffffffffffffc0000264"


def test_neighbour_advertisement_is_keepaliveds() -> None:
    """From the address to all nodes, hop limit 255, override set, sound checksum."""
    vip = IPv6Address("2001:db8::100")
    frame = neighbour_advertisement(vip, MAC)
    assert frame[:14] == bytes.fromhex("333300000001") + MAC + b"\x86\xdd"
    header, body = frame[14:54], frame[54:]
    assert header[4:8] == b"\x00\x20\x3a\xff"
    assert (header[8:24], header[24:40]) == (vip.packed, IPv6Address("ff02::1").packed)
    assert (body[0], body[4:8]) == (136, bytes.fromhex("20000000"))
    assert body[24:] == b"\x02\x01" + MAC
    pseudo = header[8:40] + b"\0\0\0\x20\0\0\0\x3a"
    assert checksum(pseudo + body) == 0


def test_a_router_says_that_it_is_one() -> None:
    """The router flag is set where asked for."""
    frame = neighbour_advertisement(IPv6Address("2001:db8::100"), MAC, router=True)
    assert frame[58:62] == bytes.fromhex("a0000000")


@pytest.mark.net
@pytest.mark.parametrize("vip", [IPv4Address("192.0.2.100"), IPv6Address("2001:db8:1::100")])
def test_a_neighbour_learns_the_new_place(net: Network, vip: IPv4Address | IPv6Address) -> None:
    """A neighbour that knew the address elsewhere sends to the announced place at once."""
    lb2 = net["lb2"]
    lb2.run("ip", "neigh", "replace", str(vip), "lladdr", "02:00:00:00:00:99", "dev", "front", "nud", "stale")
    with net["lb1"].entered():
        announcer = Announcer()
    announcer.send("front", announcement(vip, MAC))
    announcer.close()
    assert "02:00:00:00:00:11" in lb2.run("ip", "neigh", "show", str(vip))


@pytest.mark.net
def test_an_interface_that_is_gone_is_an_error(net: Network) -> None:
    """The sender is told when there is no such interface."""
    with net["lb1"].entered():
        announcer = Announcer()
    with pytest.raises(OSError, match="No such device"):
        announcer.send("gone", announcement(IPv4Address("192.0.2.100"), MAC))
    announcer.close()
