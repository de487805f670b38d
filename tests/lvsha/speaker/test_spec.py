"""A specification that exists can be run."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from lvsha.speaker.spec import Hmac, Password
from tests.lab.speaker import VIP, instance


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": ""}, "name"),
        ({"interface": "a" * 16}, "interface"),
        ({"vrid": 0}, "vrid"),
        ({"version": 4}, "version"),
        ({"priority": 0}, "priority"),
        ({"priority": 256}, "priority"),
        ({"version": 2, "interval": 0.5}, "interval"),
        ({"version": 2, "interval": 256}, "interval"),
        ({"interval": 41}, "interval"),
        ({"interval": 0.005}, "interval"),
        ({"lease": 1}, "lease"),
        ({"ttl_min": 0}, "ttl_min"),
        ({"peers": (ip_address("2001:db8::1"),)}, "peers"),
        ({"source": ip_address("2001:db8::1")}, "peers"),
        ({"auth": Password(password="secret12")}, "auth"),
    ],
)
def test_what_cannot_be_run_cannot_be_made(settings: dict[str, Any], problem: str) -> None:
    """Each limit is told by its field."""
    with pytest.raises(ValueError, match=f"^{problem}: "):
        instance(**settings)


def test_families_do_not_mix() -> None:
    """Advertised addresses are of one family; held ones may be of both; version 2 has no IPv6."""
    with pytest.raises(ValueError, match="both families"):
        instance(VIP, "2001:db8:1::100/64")
    with pytest.raises(ValueError, match="2 knows no IPv6"):
        instance("2001:db8:1::100/64", version=2, interval=1)
    with pytest.raises(ValueError, match="addresses: are not 1 to 255"):
        instance(addresses=())


@pytest.mark.parametrize("password", ["", "ninechars", "äöüßé"])
def test_a_password_fits_its_field(password: str) -> None:
    """One to eight octets, not letters."""
    with pytest.raises(ValueError, match=r"^password: "):
        Password(password=password)


@pytest.mark.parametrize(
    ("keys", "active", "problem"),
    [
        ({1: "00" * 31}, 1, "keys.1"),
        ({1: "00" * 65}, 1, "keys.1"),
        ({1: "zz" * 32}, 1, "keys.1"),
        ({256: "00" * 32}, 256, "keys.256"),
        ({1: "00" * 32}, 2, "active"),
        ({}, 1, "active"),
    ],
)
def test_keys_are_keys(keys: dict[int, str], active: int, problem: str) -> None:
    """32 to 64 octets, numbered 0 to 255, and the active one is there."""
    with pytest.raises(ValueError, match=f"^{problem}: "):
        Hmac(keys=keys, active=active)
