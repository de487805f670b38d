"""Tests of lvsha.kernel.sourcenat.located."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lvsha.kernel.ipvs.connections import Connection
from lvsha.kernel.sourcenat.located import located
from lvsha.kernel.sourcenat.pool import by_iptables, by_nft, local_address
from lvsha.model import Protocol, SourceNat
from tests.lab.source_nats import DNS, ENTRIES, EVERY, MARK, SIX, WEB


def connection(
    service: tuple[str, int], server: tuple[str, int], client: str = "198.51.100.7", *, port: int = 40000
) -> Connection:
    """A connection in texts: UDP to port 53, TCP to all others."""
    protocol = Protocol.UDP if service[1] == 53 else Protocol.TCP
    ends = (ip_address(service[0]), service[1], ip_address(server[0]), server[1])
    return Connection(protocol, ip_address(client), port, *ends, "ESTABLISHED", 900)


FOUND: list[tuple[Connection, SourceNat]] = [
    (connection(("192.0.2.100", 80), ("10.0.1.12", 8080)), WEB),
    (connection(("192.0.2.100", 53), ("10.0.1.11", 53)), DNS),
    (connection(("192.0.2.101", 8443), ("10.0.1.11", 8443)), EVERY),
    (connection(("192.0.2.55", 443), ("10.0.1.13", 8443)), MARK),
    (connection(("192.0.2.55", 443), ("10.0.1.11", 443)), MARK),
    (connection(("2001:db8:1::100", 80), ("2001:db8:2::11", 8080), "2001:db8:9::1"), SIX),
]


@pytest.mark.parametrize(("one", "entry"), FOUND)
def test_a_connection_has_its_services_pool(one: Connection, entry: SourceNat) -> None:
    """By the service's address and port, by its address alone, or by its server's."""
    ((found, local),) = located([one], ENTRIES, by_nft)
    assert found == one
    assert local == local_address(one.client, entry.addresses, by_nft)


OTHERS = [
    connection(("192.0.2.100", 80), ("10.0.1.14", 8080)),
    connection(("192.0.2.100", 443), ("10.0.1.12", 8080)),
    connection(("192.0.2.100", 80), ("10.0.1.12", 8080), port=0),
]


@pytest.mark.parametrize("one", OTHERS)
def test_other_connections_have_none(one: Connection) -> None:
    """A server of another mode, another service, a template of persistence."""
    assert list(located([one], [WEB, DNS], by_nft)) == []


def test_the_choice_is_the_firewalls() -> None:
    """Each of them spreads clients of IPv6 over the pool, in its own way."""
    clients = [f"2001:db8:9::{n}" for n in range(1, 30)]
    many = [connection(("2001:db8:1::100", 80), ("2001:db8:2::11", 8080), c) for c in clients]
    nft, iptables = ([local for _, local in located(many, [SIX], share)] for share in (by_nft, by_iptables))
    assert {*nft} == {*iptables} == {*SIX.addresses}
    assert nft != iptables
