"""The witness of comings and goings."""

from __future__ import annotations

import threading
import time

import pytest

from tests.lab.network import topology
from tests.lab.timeline import Change, Timeline, timeline

VIP, GATEWAY = "192.0.2.100", "10.0.1.254"


def told(*changes: tuple[float, str, bool], address: str = VIP) -> list[Change]:
    """Changes of one address."""
    return [Change(at, node, address, came) for at, node, came in changes]


def test_a_story_is_told_with_its_gaps() -> None:
    """Times of nobody and of several are added up and told; a renewal changes nothing."""
    line = Timeline()
    line.changes = told((0, "a", True), (1, "a", True), (2, "a", False), (2.5, "b", True), (3, "a", True))
    line.changes += told((3.25, "b", False))
    assert line.story(VIP, 0.5, 4) == "a → nobody 500 ms → b → a+b 250 ms → a"
    assert (line.nobody(VIP, 0.5, 4), line.several(VIP, 0.5, 4)) == (0.5, 0.25)
    assert line.owners(VIP, 0.5, 4) == ["a", "b", "a"]


def test_a_half_moved_group_is_seen() -> None:
    """The time counts in which the addresses of a group are not on the same nodes."""
    line = Timeline()
    line.changes = told((0, "a", True), (2, "a", False), (2, "b", True))
    line.changes += told((0, "a", True), (2.25, "a", False), (2.25, "b", True), address=GATEWAY)
    assert line.divided([VIP, GATEWAY], 1, 4) == 0.25


@pytest.mark.net
def test_the_kernel_tells_what_happens_on_each_node() -> None:
    """What was there is known, what comes and goes is stamped, by node and in both families."""
    with topology(directors=2, servers=0) as net, timeline(net.directors) as line:
        before = time.monotonic()
        net["lb2"].ip(f"address add {VIP}/24 dev front")
        net["lb1"].ip("address add 2001:db8:1::100/64 dev front nodad")
        net["lb2"].ip(f"address del {VIP}/24 dev front")
        wait_for(line, "2001:db8:1::100", VIP)
        now = time.monotonic()
        assert line.holders("192.0.2.1", now) == {"lb1"}
        assert line.holders("2001:db8:1::100", now) == {"lb1"}
        assert [s.holders for s in line.spans(VIP, before, now)] == [set(), {"lb2"}, set()]


def wait_for(line: Timeline, *addresses: str) -> None:
    """Until the last of these changes has been read; the reader tells nobody."""
    deadline = time.monotonic() + 5
    while not any(not c.came for c in line.changes) or not all(
        any(c.address == a for c in line.changes) for a in addresses
    ):
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)
