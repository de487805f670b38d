"""Connections of mode fullnat whose client's port another one had, for tests that tell of them."""

from __future__ import annotations

from ipaddress import ip_address

from lvsha.model import Collision, Protocol

FOUR = Collision(
    Protocol.TCP,
    *(ip_address("198.51.100.7"), 40000),
    *(ip_address("192.0.2.100"), 80),
    *(ip_address("10.0.1.11"), 8080),
    *(ip_address("10.0.1.100"), 16638),
)
SIX = Collision(
    Protocol.UDP,
    *(ip_address("2001:db8:9::7"), 40000),
    *(ip_address("2001:db8:1::100"), 53),
    *(ip_address("2001:db8:2::11"), 5353),
    *(ip_address("2001:db8:2::100"), 16639),
)
