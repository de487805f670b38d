"""Which instances belong together, and which exclude each other."""

from __future__ import annotations

from typing import Any

import pytest

from lvsha.errors import InputError
from lvsha.speaker.groups import check, grouped, moved_between
from lvsha.speaker.spec import InstanceSpec
from tests.lab.speaker import instance


def spec(name: str, vrid: int, **settings: Any) -> InstanceSpec:
    """An instance of that name."""
    return instance(name=name, vrid=vrid, **settings)


def test_a_lone_instance_is_a_group_and_no_other() -> None:
    """A group and an instance of one name are two groups; the order is the configuration's."""
    a, b, c = spec("a", 1), spec("b", 2, group="a"), spec("c", 3, group="a")
    assert grouped([a, b, c]) == {"instance a": [a], "group a": [b, c]}


def test_who_changes_groups_is_found() -> None:
    """The group that is left and the one that is entered; new and unchanged ones are not."""
    wanted = grouped([spec("a", 1, group="g"), spec("b", 2, group="g"), spec("c", 3), spec("d", 4)])
    now = {"instance a": ["a"], "group g": ["b"], "instance c": ["c"]}
    assert moved_between(now, wanted) == {"instance a", "group g"}


@pytest.mark.parametrize(
    ("specs", "problem"),
    [
        ([spec("a", 1), spec("a", 2)], "2 are called a"),
        ([spec("a", 1), spec("b", 1)], "2 have router 1 on front"),
        (
            [spec("a", 1, virtual_mac=True), spec("b", 1, interface="back", virtual_mac=True)],
            "virtual MAC interface vrrp4.1",
        ),
    ],
)
def test_what_excludes_each_other_is_refused(specs: list[InstanceSpec], problem: str) -> None:
    """One name, one router on a wire, one virtual MAC."""
    with pytest.raises(InputError, match=problem):
        check(specs)


def test_one_number_serves_two_wires_and_two_families() -> None:
    """A router is known by wire, family and number."""
    six = spec("c", 1, addresses=instance("2001:db8:1::100/64").addresses)
    check([spec("a", 1), spec("b", 1, interface="back"), six])
