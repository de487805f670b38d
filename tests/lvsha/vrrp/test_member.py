"""The arithmetic of one virtual router."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsha.vrrp.member import Member, Spec, effective_priority
from lvsha.vrrp.packet import Advert, AuthType

SPEC = Spec("public", 51, IPv4Address("192.0.2.1"))
PEER = IPv4Address("192.0.2.2")


@pytest.mark.parametrize(
    ("version", "interval", "priority", "skew", "down"),
    [
        (3, 1.0, 100, 0.609375, 3.609375),
        (3, 0.1, 100, 0.0609375, 0.3609375),
        (3, 0.01, 100, 0.00609375, 0.03609375),
        (3, 1.0, 255, 0.00390625, 3.00390625),
        (3, 2.0, 1, 1.9921875, 7.9921875),
        (2, 1.0, 90, 0.6484375, 3.6484375),
        (2, 5.0, 90, 0.6484375, 15.6484375),
    ],
)
def test_timers(version: int, interval: float, priority: int, skew: float, down: float) -> None:
    """Version 3's skew is a part of the interval, version 2's a part of a second."""
    member = Member(replace(SPEC, version=version, interval=interval), 0)
    assert member.skew(priority) == pytest.approx(skew)
    assert member.master_down(priority) == pytest.approx(down)


def test_timers_for_a_person() -> None:
    """What it counts by is the master's interval, once one was heard, and that is told with its age."""
    member = Member(SPEC, 0)
    assert member.timers(100, 5.0) == {"interval": 1.0, "skew": 0.609375, "master_down": 3.609375}
    member.hear(Advert(3, 51, 200, 2.0), PEER, 10.0)
    member.obey(2.0, 100, 10.0)
    assert member.timers(100, 10.5) == {
        "interval": 2.0,
        "skew": 1.21875,
        "master_down": 7.21875,
        "heard": 0.5,
    }


@pytest.mark.parametrize(("version", "learned"), [(3, 2.0), (2, 1.0)])
def test_only_version_3_learns(version: int, learned: float) -> None:
    """A backup waits by the interval of the master that it obeys, in version 3."""
    member = Member(replace(SPEC, version=version), 0)
    member.obey(2.0, 100, 10.0)
    assert member.master_interval == learned
    assert member.down_at == 10.0 + member.master_down(100)


def test_a_resignation_makes_nobody_wait_longer() -> None:
    """The timer is brought forward, or stays where it is."""
    member = Member(SPEC, 0)
    member.begin(5.0)
    member.resign(PEER, 2.0)
    member.resign(PEER, 3.0)
    assert member.down_at == 2.0


def test_a_tie_lasts_while_it_is_heard() -> None:
    """The time counts from the first advert, and again after two intervals without one."""
    member = Member(SPEC, 1)
    assert [member.tie_lasts(1.0, at) for at in (0.0, 1.0, 3.0, 5.5, 6.5)] == [0.0, 1.0, 3.0, 0.0, 1.0]


def test_what_a_member_says() -> None:
    """An advert tells the settings, and the priority that the group has."""
    spec = replace(SPEC, version=2, interval=3.0, addresses=(PEER,), password=b"word")
    assert Member(spec, 0).advert(7) == Advert(2, 51, 7, 3.0, (PEER,), AuthType.PASSWORD, b"word")
    assert Member(SPEC, 0).advert(7) == Advert(3, 51, 7, 1.0)


def test_why_a_member_takes_over() -> None:
    """The reason names the master, and what became of it."""
    member = Member(SPEC, 0)
    member.begin(3.6)
    assert member.silence(3.6) == "no master was heard"
    member.hear(Advert(3, 51, 50, 1.0), PEER, 10.0)
    assert member.silence(10.5) == "pre-empts 192.0.2.2, which has priority 50"
    assert member.silence(13.6) == "no advert of 192.0.2.2 for 3.600 s"
    member.resign(PEER, 14.0)
    assert member.silence(14.0) == "192.0.2.2 resigned"


@given(st.integers(1, 254), st.lists(st.integers(-253, 253), max_size=8))
def test_a_tracked_priority_is_never_0_or_255(base: int, weights: list[int]) -> None:
    """Tracking neither resigns nor makes an owner, and is the plain sum in between."""
    priority = effective_priority(base, weights)
    assert priority == min(254, max(1, base + sum(weights)))


def test_an_owner_is_not_tracked() -> None:
    """255 stays 255, whatever fails."""
    assert effective_priority(255, [-100, 20]) == 255
    assert effective_priority(100) == 100


def test_a_password_does_not_show() -> None:
    """Settings that are logged tell no secret."""
    assert "word" not in repr(replace(SPEC, password=b"word")).removeprefix("Spec(")
