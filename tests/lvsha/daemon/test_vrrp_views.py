"""Tests of lvsha.daemon.vrrp_views: configuration beside what the speaker says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from lvsha.config import TrackService, VipConfig, VrrpConfig
from lvsha.daemon.vrrp_views import views
from lvsha.model import Family
from lvsha.speaker.messages import InstanceStatus, State, StatusReport
from tests.lab.services import config

VIP = VipConfig(ip_interface("192.0.2.100/24"), "eth0")
VRRP = VrrpConfig("public", "eth0", 51, 3, Family.IPV4, 200, 1.0, (VIP,), lease=4)
STATUS = InstanceStatus(
    name="public",
    group=None,
    state=State.MASTER,
    since=1000.0,
    why="no advertisement",
    priority=150,
    master=None,
    held=False,
    faults={},
    weights={},
    addresses=("192.0.2.100/24 on eth0",),
    sent=10,
    received=2,
    dropped={"checksum": 3},
    transitions=1,
    master_priority=100,
    timers={"interval": 2.0, "skew": 0.828125, "due": 0.12345678},
    unsent=4,
)


def report(*statuses: InstanceStatus) -> StatusReport:
    """What a speaker with these instances answers."""
    return StatusReport(
        id=1,
        pid=7,
        started=0.0,
        configured=True,
        gate=True,
        realtime=True,
        locked=True,
        instances=statuses,
        dropped={"overflow": 5},
    )


def test_state_and_configuration_stand_side_by_side() -> None:
    """The priority in force and the configured one, the timers that count, the counters by reason."""
    (view,) = views(replace(config(), vrrp={"public": VRRP}), report(STATUS))
    assert (view.state, view.priority, view.base_priority) == ("master", 150, 200)
    assert view.timers == {"interval": 2.0, "skew": 0.8281, "due": 0.1235, "lease": 4.0}
    assert view.counters == {
        "sent": 10,
        "received": 2,
        "transitions": 1,
        "unsent": 4,
        "dropped_checksum": 3,
        "unasked_overflow": 5,
    }
    assert (view.master_priority, view.yields) == (100, False)


def test_without_a_speaker_it_says_so() -> None:
    """An operator is not told a state that nobody knows."""
    (view,) = views(replace(config(), vrrp={"public": VRRP}), None)
    assert (view.state, view.why) == ("unknown", "the speaker does not answer")


@pytest.mark.parametrize(
    ("weight", "weights", "faults", "well"),
    [
        (-50, {}, {}, True),
        (-50, {"service web": -50}, {}, False),
        (20, {"service web": 20}, {}, True),
        (20, {}, {}, False),
        (0, {}, {}, True),
        (0, {}, {"service web": "0 of at least 1"}, False),
    ],
)
def test_a_tracker_is_well_or_not(
    weight: int, weights: dict[str, int], faults: dict[str, str], well: bool
) -> None:
    """A penalty that is paid, a reward that is not, or a fault: the tracker is not well."""
    vrrp = replace(VRRP, track=(TrackService("web", 1, weight),))
    status = replace(STATUS, weights=weights, faults=faults)
    (view,) = views(replace(config(), vrrp={"public": vrrp}), report(status))
    assert view.trackers[0].ok is well
