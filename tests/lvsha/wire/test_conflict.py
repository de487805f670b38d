"""Somebody else announces an address that is held here."""

from __future__ import annotations

import select
from ipaddress import ip_address

import pytest

from lvsha.wire.announce import Announcer, announcement
from lvsha.wire.conflict import ArpListener, Claim, NeighbourListener, claim_of_advertisement, claim_of_arp
from tests.lab.network import Network

MAC = bytes.fromhex("020000000099")


@pytest.mark.net
@pytest.mark.parametrize(
    ("kind", "vip", "other"),
    [
        (ArpListener, "192.0.2.100", "192.0.2.101"),
        (NeighbourListener, "2001:db8:1::100", "2001:db8:1::101"),
    ],
)
def test_a_claim_is_heard(
    net: Network, kind: type[ArpListener | NeighbourListener], vip: str, other: str
) -> None:
    """An announcement of a watched address is heard with its place; one of another address is not."""
    with net["lb1"].entered():
        listener = kind("front")
    with net["lb2"].entered():
        announcer = Announcer()
    listener.watch([ip_address(vip), ip_address("192.0.2.200"), ip_address("2001:db8:1::200")])
    for address in (other, vip):
        announcer.send("front", announcement(ip_address(address), MAC))
    assert select.select([listener], [], [], 1.0)[0]
    assert listener.receive() == Claim(ip_address(vip), "02:00:00:00:00:99")
    with pytest.raises(BlockingIOError):
        listener.receive()
    listener.close()
    announcer.close()


@pytest.mark.net
@pytest.mark.parametrize(
    ("kind", "vip"), [(ArpListener, "192.0.2.100"), (NeighbourListener, "2001:db8:1::100")]
)
def test_our_own_announcement_is_no_claim(
    net: Network, kind: type[ArpListener | NeighbourListener], vip: str
) -> None:
    """What this machine announces itself is not heard."""
    with net["lb1"].entered():
        listener, announcer = kind("front"), Announcer()
    listener.watch([ip_address(vip)])
    announcer.send("front", announcement(ip_address(vip), MAC))
    assert not select.select([listener], [], [], 0.05)[0]
    listener.close()
    announcer.close()


@pytest.mark.parametrize("length", range(24))
def test_a_cut_packet_claims_nothing(length: int) -> None:
    """Packets of any length below the least are passed over."""
    assert claim_of_advertisement(b"\x88" * length) is None
    if length < 18:
        assert claim_of_arp((bytes.fromhex("0001080006040001") + MAC * 3)[:length]) is None


def test_arp_of_another_hardware_claims_nothing() -> None:
    """ARP for anything but IPv4 over Ethernet is passed over."""
    assert claim_of_arp(bytes.fromhex("0006080006040001") + MAC + bytes(14)) is None


@pytest.mark.net
def test_an_address_that_ends_alike_claims_nothing(net: Network) -> None:
    """The kernel's filter compares the end of a target only; the rest is compared here."""
    with net["lb1"].entered():
        listener = NeighbourListener("front")
    with net["lb2"].entered():
        announcer = Announcer()
    listener.watch([ip_address("2001:db8:1::100")])
    announcer.send("front", announcement(ip_address("2001:db8:2::100"), MAC))
    assert select.select([listener], [], [], 1.0)[0]
    assert listener.receive() is None
    listener.close()
    announcer.close()
