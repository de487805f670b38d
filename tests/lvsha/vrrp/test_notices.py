"""What is told, and what is not told twice."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from lvsha.vrrp.effects import Announce, Report
from lvsha.vrrp.member import Spec
from lvsha.vrrp.notices import ANNOUNCE_PERIOD, REPORT_PERIOD, Notices
from lvsha.vrrp.packet import Advert

OURS, PEER = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
VIPS = (IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101"))
SPEC = Spec("public", 51, OURS, addresses=VIPS)
ADVERT = Advert(3, 51, 50, 1.0, VIPS)


def test_a_report_comes_once_in_its_period() -> None:
    """By its kind, whatever it says; all are counted."""
    notices = Notices()
    assert notices.report("odd", 1.0, source="a") == [Report("odd", {"source": "a"})]
    assert notices.report("odd", 1.0 + REPORT_PERIOD - 0.1, source="b") == []
    assert notices.report("other", 2.0) == [Report("other", {})]
    assert notices.report("odd", 1.0 + REPORT_PERIOD, source="c") == [Report("odd", {"source": "c"})]
    assert notices.counts == {"odd": 3, "other": 1}


def test_announcing_again_comes_once_in_its_period() -> None:
    """For all members together."""
    notices = Notices()
    assert notices.announce(["a", "b"], "why", 1.0) == [Announce("a", "why"), Announce("b", "why")]
    assert notices.announce(["a", "b"], "why", 1.0 + ANNOUNCE_PERIOD / 2) == []
    assert notices.announce(["a"], "why", 1.0 + ANNOUNCE_PERIOD) == [Announce("a", "why")]


@pytest.mark.parametrize(
    ("advert", "source", "priority", "master", "told"),
    [
        (ADVERT, PEER, 100, False, []),
        (Advert(3, 51, 50, 1.0, VIPS[::-1]), PEER, 100, False, []),
        (Advert(3, 51, 50, 1.0, VIPS[:1]), PEER, 100, False, ["address_mismatch"]),
        (Advert(3, 51, 50, 1.01, VIPS), PEER, 100, False, ["interval_mismatch"]),
        (ADVERT, PEER, 100, True, ["split_brain"]),
        (ADVERT, PEER, 50, True, ["split_brain"]),
        (ADVERT, PEER, 49, True, []),
        (Advert(3, 51, 0, 1.0, VIPS), PEER, 100, True, []),
        (ADVERT, OURS, 50, True, ["own_address"]),
        (Advert(3, 51, 255, 1.0, VIPS), PEER, 255, False, ["owner_conflict"]),
        (Advert(3, 51, 255, 1.0, VIPS), PEER, 254, False, []),
    ],
)
def test_what_is_odd(
    advert: Advert, source: IPv4Address, priority: int, master: bool, told: list[str]
) -> None:
    """What two routers of one pair should not differ in, and what only one of them should be."""
    effects = Notices().compare(SPEC, priority, master, advert, source, 0.0)
    assert [effect.event for effect in effects if isinstance(effect, Report)] == told


def test_what_is_told_names_the_peer() -> None:
    """Member, source and priority are in every report."""
    (effect,) = Notices().compare(SPEC, 100, True, ADVERT, PEER, 0.0)
    assert effect == Report(
        "split_brain", {"member": "public", "source": "192.0.2.2", "priority": 50, "own": 100}
    )
