"""Tests of `lvsha.config.schema.vrrp`."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from lvsha.config import (
    GarpConfig,
    KeyAuth,
    TrackFile,
    TrackGateway,
    TrackInterface,
    TrackProcess,
    TrackScript,
    TrackService,
    VipConfig,
    VrrpConfig,
)
from lvsha.model import Family
from tests.lab.desk import Desk


def test_every_key(desk: Desk) -> None:
    """Every key of an instance reaches its attribute."""
    config = desk.load(
        """
        [vrrp.public]
        interface = "eth0"
        vrid = 51
        version = 3
        priority = 150
        interval = "100ms"
        addresses = ["192.0.2.100/24", { address = "192.0.2.101", interface = "eth1" }]
        excluded = ["2001:db8::100/64"]
        preempt = true
        preempt_delay = "10s"
        start_delay = 5
        carrier_delay = "35s"
        accept = false
        checksum = "rfc9568"
        unicast = true
        peers = ["192.0.2.2"]
        ttl_min = 254
        auth = { keys = { 1 = "0123456789abcdef0123456789abcdef" }, mode = "enforce", window = "10s" }
        group = "front"
        virtual_mac = true
        lease = "1m"
        garp = { repeat = 3, delay = 1, refresh = "1m", interval = "10ms" }
        track = [
            { interface = "eth1", weight = -50 },
            { script = ["/bin/true", "x"], interval = 2, timeout = 1, rise = 2, fall = 3, user = "nobody", weight = 5 },
            { file = "/run/drain", weight = 2 },
            { process = "nginx" },
            { gateway = "192.0.2.254", interval = 3, timeout = 2, rise = 4, fall = 5 },
            { service = "web", weight = -1 },
        ]
        witness = "192.0.2.253"
        [vrrp.other]
        interface = "eth0"
        vrid = 52
        addresses = ["192.0.2.102/24"]
        group = "front"
        priority = 150
        [services.web]
        address = "192.0.2.102"
        port = 80
        mode = "dr"
        check = "none"
        [[services.web.servers]]
        address = "10.0.0.1"
        """  # noqa: E501 (an inline table is one line)
    )
    assert config.vrrp["public"] == VrrpConfig(
        name="public",
        interface="eth0",
        vrid=51,
        version=3,
        family=Family.IPV4,
        priority=150,
        interval=0.1,
        addresses=(
            VipConfig(ip_interface("192.0.2.100/24"), "eth0"),
            VipConfig(ip_interface("192.0.2.101/32"), "eth1"),
        ),
        excluded=(VipConfig(ip_interface("2001:db8::100/64"), "eth0"),),
        preempt=True,
        preempt_delay=10.0,
        start_delay=5.0,
        carrier_delay=35.0,
        accept=False,
        checksum="plain",
        unicast=True,
        address=None,
        peers=(ip_address("192.0.2.2"),),
        ttl_min=254,
        auth=KeyAuth({1: b"0123456789abcdef0123456789abcdef"}, 1, "enforce", 10.0),
        group="front",
        virtual_mac=True,
        lease=60,
        garp=GarpConfig(3, 1.0, 60.0, 0.01),
        track=(
            TrackInterface("eth1", -50),
            TrackScript(("/bin/true", "x"), 2.0, 1.0, 2, 3, "nobody", 5),
            TrackFile(Path("/run/drain"), 2),
            TrackProcess("nginx"),
            TrackGateway(ip_address("192.0.2.254"), interval=3.0, timeout=2.0, rise=4, fall=5),
            TrackService("web", 1, -1),
        ),
        witness=ip_address("192.0.2.253"),
    )


def instance(**settings: str) -> str:
    """An instance with these settings."""
    own = {"interface": '"eth0"', "vrid": "1", "addresses": '["192.0.2.1/24"]', **settings}
    return "[vrrp.a]\n" + "".join(f"{key} = {value}\n" for key, value in own.items())


def test_defaults(desk: Desk) -> None:
    """Three keys make an instance; the rest is as the protocol and keepalived have it."""
    found = desk.load(instance()).vrrp["a"]
    vip = VipConfig(ip_interface("192.0.2.1/24"), "eth0")
    assert found == VrrpConfig("a", "eth0", 1, 3, Family.IPV4, 100, 1.0, (vip,), lease=4)


WRONG = [
    ({"vrid": "0"}, "vrid", "must be at least 1, not 0"),
    ({"vrid": "256"}, "vrid", "must be at most 255, not 256"),
    ({"version": "4"}, "version", "must be at most 3, not 4"),
    ({"priority": "0"}, "priority", "must be at least 1, not 0"),
    ({"priority": "256"}, "priority", "must be at most 255"),
    ({"interval": "0.001"}, "interval", "must be within 10ms and 255s, not 1ms"),
    ({"interface": '"too/long"'}, "interface", "is not an interface's name"),
    ({"addresses": "[]"}, "addresses", "must not be empty"),
    ({"addresses": '["x"]'}, "addresses[0]", '"x" is not an IP address with a prefix length'),
    ({"addresses": "[5]"}, "addresses[0]", "must be an address or a table, not 5"),
    ({"addresses": '[{ address = "192.0.2.1", dev = "x" }]'}, "addresses[0].dev", "is not a known key"),
    ({"addresses": '[{ interface = "x" }]'}, "addresses[0].address", "is missing"),
    ({"preempt_delay": '"1h"'}, "preempt_delay", "must be within 0s and 1000s, not 1h"),
    ({"checksum": '"rfc5798"'}, "checksum", "must be one of pseudo-header, plain, rfc9568"),
    ({"auth": '"x"'}, "auth", "must be a table with one of the two: { password"),
    (
        {"auth": '{ password = "x", keys = { 1 = "x" } }'},
        "auth",
        "must be a table with one of the two: { pass",
    ),
    ({"auth": "{}"}, "auth.keys", "is missing"),
    ({"auth": '{ password = "" }'}, "auth.password", "must not be empty"),
    ({"auth": '{ keys = {}, window = "10m" }'}, "auth.window", "must be within 1s and 5m, not 10m"),
    ({"lease": '"never"'}, "lease", '"never" is not a lease'),
    ({"lease": "1"}, "lease", "must be whole seconds within 2s and 1d, not 1s"),
    ({"lease": "2.5"}, "lease", "must be whole seconds within 2s and 1d, not 2.5s"),
    ({"garp": "{ repeat = 101 }"}, "garp.repeat", "must be at most 100"),
    ({"track": "[5]"}, "track[0]", "names none of interface, script"),
    ({"track": '[{ interfaces = "x" }]'}, "track[0]", "names none of interface, script"),
    ({"track": '[{ interface = "x", process = "y" }]'}, "track[0].process", "is not a known key"),
    ({"track": '[{ interface = "x", weight = 254 }]'}, "track[0].weight", "must be at most 253"),
    ({"track": '[{ interface = "x", weight = -254 }]'}, "track[0].weight", "must be at least -253"),
    ({"track": '[{ script = "/bin/true" }]'}, "track[0].script", 'must be a list, not "/bin/true"'),
    ({"track": "[{ script = [] }]"}, "track[0].script", "must not be empty"),
    ({"track": '[{ file = "x" }]'}, "track[0].file", "is not an absolute path"),
    ({"ttl_min": "0"}, "ttl_min", "must be at least 1"),
]


@pytest.mark.parametrize(("settings", "key", "message"), WRONG)
def test_wrong_values(desk: Desk, settings: dict[str, str], key: str, message: str) -> None:
    """Each value is held to its range, and the message says which."""
    problems = {problem.path: problem for problem in desk.report(instance(**settings)).errors}
    assert message in problems[f"vrrp.a.{key}"].message


def test_nearest_tracker(desk: Desk) -> None:
    """A tracker of an unknown sort is told the sort that it may have meant."""
    problem = desk.error(instance(track='[{ interfaces = "x" }]'))
    assert problem.hint == "did you mean interface?"


def test_secrets_are_never_shown(desk: Desk) -> None:
    """Neither a password of the wrong type nor a key of the wrong length is repeated."""
    for auth in ("{ password = 12345678 }", '{ keys = { 1 = "12345678" } }', "{ keys = { 1 = 12345678 } }"):
        problem = desk.error(instance(auth=auth))
        assert "12345678" not in str(problem)
