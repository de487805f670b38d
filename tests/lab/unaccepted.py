"""Addresses whose packets are not accepted, one of each kind."""

from __future__ import annotations

from ipaddress import ip_address

from lvsha.model import Unaccepted

FOUR = Unaccepted(ip_address("192.0.2.100"))
OTHER = Unaccepted(ip_address("192.0.2.101"))
SIX = Unaccepted(ip_address("2001:db8:1::100"))
LOCAL = Unaccepted(ip_address("fe80::100"), "front")
ENTRIES = frozenset({FOUR, OTHER, SIX, LOCAL, Unaccepted(LOCAL.address, "vrrp6.51")})
