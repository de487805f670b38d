"""Tests of `checks.audit.preparation`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from checks import SettingsError
from checks.audit import Encapsulation, Preparation

VIP = "192.0.2.100"


def test_addresses_of_a_family() -> None:
    """Addresses are told by family, each once."""
    wanted = Preparation("dr", (VIP, "2001:db8::100", VIP))
    assert wanted.of(4) == (ip_address(VIP),)
    assert wanted.of(6) == (ip_address("2001:db8::100"),)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"mode": "nat"}, "mode: 'nat' is none of dr, tun"),
        ({"vips": ()}, "vips: missing"),
        ({"vips": ("www",)}, "vips: 'www' is not an IP address"),
        ({"vips": ("127.0.0.1",)}, "vips: 127.0.0.1 is no address that clients could use"),
        ({"vips": ("224.0.0.1",)}, "vips: 224.0.0.1 is no address"),
        ({"vips": ("fe80::1%eth0",)}, "vips: 'fe80::1%eth0' is not an IP address"),
        ({"directors": ("lb1",)}, "directors: 'lb1' is not an IP address"),
        ({"interfaces": ("eth0; reboot",)}, "interfaces: 'eth0; reboot' is no name"),
        ({"mode": "tun", "local": "here"}, "local: 'here' is not an IP address"),
        ({"mode": "tun", "device": "../x"}, "device: '../x' is no name"),
        ({"local": "10.0.1.11"}, "local: is of mode tun only"),
        ({"device": "tunl0"}, "device: is of mode tun only"),
        ({"tunnel": Encapsulation("gre")}, "tunnel: is of mode tun only"),
    ],
)
def test_what_makes_no_sense(wrong: dict[str, Any], problem: str) -> None:
    """A preparation that makes no sense says which field is wrong."""
    with pytest.raises(SettingsError) as refused:
        Preparation(**({"mode": "dr", "vips": (VIP,)} | wrong))
    assert [found for found in refused.value.problems if found.startswith(problem)]


@pytest.mark.parametrize(
    ("tunnel", "problem"),
    [
        ({"kind": "vxlan"}, "kind: 'vxlan' is none of ipip, gue, gre"),
        ({"kind": "gue"}, "port: missing: gue travels over UDP"),
        ({"kind": "gre", "port": 6080}, "port: gre has none; only gue travels over UDP"),
        ({"kind": "gue", "port": 70000}, "port: 70000 is not within 0 and 65535"),
        ({"checksum": "checksum"}, "checksum: ipip has no header that one could stand in"),
        ({"kind": "gre", "checksum": "remote"}, "checksum: remote is of gue only"),
        ({"checksum": "md5"}, "checksum: 'md5' is none of none, checksum, remote"),
    ],
)
def test_encapsulations_that_make_no_sense(tunnel: dict[str, Any], problem: str) -> None:
    """So does an encapsulation, by the rules that the director's configuration has."""
    with pytest.raises(SettingsError) as refused:
        Encapsulation(**tunnel)
    assert problem in refused.value.problems
