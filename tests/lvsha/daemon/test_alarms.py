"""Tests of lvsha.daemon.alarms."""

from __future__ import annotations

import pytest

from lvsha.daemon.alarms import AGAIN, CLAIM, Alarms
from lvsha.events import CATALOGUE

SPLIT = {"instance": "public", "interface": "eth0", "peer": "192.0.2.2", "priority": 100, "seconds": 3.0}
CONFLICT = {"address": "192.0.2.100", "interface": "eth0", "mac": "02:00:00:00:00:02"}
WORDS = "vrrp.public: 192.0.2.2 is master as well"
CLAIMED = "192.0.2.100 on eth0 is claimed by 02:00:00:00:00:02 too"


def test_a_trouble_stands_while_it_is_told() -> None:
    """Told every ten seconds it is one warning; not told any more it is none."""
    alarms = Alarms()
    for now in (0.0, 10.0, 20.0):
        alarms.heard("vrrp.split_brain", SPLIT | {"seconds": now}, now)
        assert alarms.standing(now + 10) == [WORDS]
    assert alarms.standing(20.0 + AGAIN) == []


def test_a_claim_stands_until_a_role_changes() -> None:
    """Who claims an address says so once; a transition here settles it, time does in the end."""
    alarms = Alarms()
    alarms.heard("vip.conflict", CONFLICT, 0.0)
    alarms.heard("vrrp.split_brain", SPLIT, 0.0)
    assert alarms.standing(1.0) == [CLAIMED, WORDS]
    assert alarms.standing(CLAIM - 1) == [CLAIMED]
    alarms.moved()
    assert alarms.standing(CLAIM - 1) == []
    alarms.heard("vip.conflict", CONFLICT, CLAIM)
    assert alarms.standing(2 * CLAIM) == []


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("vrrp.mismatch", ("instance", "source", "detail")),
        ("vrrp.refused", ("instance", "source", "detail")),
        ("vrrp.forged", ("instance", "source", "detail")),
        ("vrrp.unsent", ("instance", "error")),
    ],
)
def test_every_trouble_names_what_it_is_about(event: str, fields: tuple[str, ...]) -> None:
    """The fields are those of the catalogue, and all of them are in the sentence."""
    assert set(fields) <= set(CATALOGUE[event].fields)
    alarms = Alarms()
    alarms.heard(event, {name: f"the {name}" for name in fields}, 0.0)
    (sentence,) = alarms.standing(1.0)
    assert all(f"the {name}" in sentence for name in fields)


def test_one_trouble_is_one_warning() -> None:
    """What is told of it may change: the latest stands."""
    alarms = Alarms()
    for seconds in (5.1, 5.2):
        late = {
            "instance": "public",
            "source": "192.0.2.2",
            "reason": "auth_window",
            "detail": f"{seconds} s",
        }
        alarms.heard("vrrp.forged", late, seconds)
    assert alarms.standing(6.0) == ["vrrp.public: adverts of 192.0.2.2 fail authentication: 5.2 s"]


def test_what_is_no_trouble_is_none() -> None:
    """Other events are no warnings, and a field that is missing breaks nothing."""
    alarms = Alarms()
    alarms.heard("vip.added", CONFLICT, 0.0)
    assert alarms.standing(0.0) == []
    alarms.heard("vrrp.unsent", {}, 0.0)
    assert alarms.standing(0.0) == ["vrrp.?: adverts cannot be sent: ?"]
