"""Tests of lvsha.daemon.specs: what the speaker is told is what the configuration says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from lvsha.config import (
    KeyAuth,
    PasswordAuth,
    Track,
    TrackFile,
    TrackGateway,
    TrackInterface,
    TrackProcess,
    TrackScript,
    TrackService,
    VipConfig,
    VrrpConfig,
)
from lvsha.daemon.specs import spec, specs, tracker_name
from lvsha.model import Family
from lvsha.speaker.spec import GatewayTracker, Hmac, Password
from tests.lab.services import config

VIP = VipConfig(ip_interface("192.0.2.100/24"), "eth0")
VRRP = VrrpConfig("public", "eth0", 51, 3, Family.IPV4, 100, 0.1, (VIP,), lease=2)

TRACKERS: list[tuple[Track, str]] = [
    (TrackInterface("eth1", -50), "interface eth1"),
    (TrackScript(("/bin/true", "x"), weight=-5), "script /bin/true x"),
    (TrackFile(Path("/run/weight"), 2), "file /run/weight"),
    (TrackProcess("nginx", -10), "process nginx"),
    (TrackGateway(ip_address("192.0.2.254")), "gateway 192.0.2.254"),
    (TrackService("web", 2, -20), "service web"),
]


def test_an_instance_is_handed_on() -> None:
    """Timing, addresses and lease arrive as they are written."""
    told = spec(VRRP)
    assert (told.name, told.vrid, told.interval, told.lease) == ("public", 51, 0.1, 2)
    assert [str(a) for a in told.addresses] == ["192.0.2.100/24 on eth0"]


def test_what_a_carrier_means_is_handed_on() -> None:
    """How long one has to last, and whether one is needed."""
    told = spec(replace(VRRP, carrier_delay=35.0, needs_carrier=False))
    assert (told.carrier_delay, told.needs_carrier) == (35.0, False)
    assert (spec(VRRP).carrier_delay, spec(VRRP).needs_carrier) == (0.0, True)


def test_peers_count_only_for_unicast() -> None:
    """A multicast instance sends to nobody in particular, whatever addresses the nodes have."""
    peers = (ip_address("192.0.2.2"),)
    assert spec(replace(VRRP, peers=peers)).peers == ()
    assert spec(replace(VRRP, peers=peers, unicast=True)).peers == peers


def test_authentication_is_handed_on() -> None:
    """Passwords and keys of either kind reach the speaker."""
    v2 = replace(VRRP, version=2, interval=1.0, auth=PasswordAuth("secret12"))
    assert spec(v2).auth == Password(password="secret12")
    keyed = spec(replace(VRRP, auth=KeyAuth({7: b"k" * 32}, 7, "permissive", 3.0))).auth
    assert isinstance(keyed, Hmac)
    assert (keyed.keys, keyed.active, keyed.window) == ({7: (b"k" * 32).hex()}, 7, 3.0)


@pytest.mark.parametrize(("track", "name"), TRACKERS)
def test_every_tracker_is_handed_on_under_its_name(track: Track, name: str) -> None:
    """Each kind of tracker becomes one with the same weight."""
    (told,) = spec(replace(VRRP, track=(track,))).trackers
    assert (told.name, tracker_name(track), told.weight) == (name, name, track.weight)


def test_how_a_gateway_is_asked_is_handed_on() -> None:
    """How often, for how long, and how many answers count; unless told otherwise, as the speaker has it."""
    one, other = ip_address("192.0.2.254"), ip_address("192.0.2.253")
    asked = TrackGateway(one, interval=3.0, timeout=2.0, rise=4, fall=5)
    assert spec(replace(VRRP, track=(asked, TrackGateway(other)))).trackers == (
        GatewayTracker(name=f"gateway {one}", gateway=one, interval=3.0, timeout=2.0, rise=4, fall=5),
        GatewayTracker(name=f"gateway {other}", gateway=other),
    )


def test_all_instances_in_order() -> None:
    """The speaker gets the whole configuration."""
    other = replace(VRRP, name="inner", vrid=52)
    assert [s.name for s in specs(replace(config(), vrrp={"public": VRRP, "inner": other}))] == [
        "public",
        "inner",
    ]
