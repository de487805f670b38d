"""Tests of lvsha.daemon.ledger: settings that are recorded, written, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lvsha.daemon.ledger import Ledger
from lvsha.daemon.memory import Memory
from lvsha.daemon.record import Entry
from lvsha.kernel.sysctl import read, write
from tests.lab.network import Network

TTL = "net.ipv4.ip_default_ttl"

pytestmark = [pytest.mark.net, pytest.mark.usefixtures("inside")]


@pytest.fixture
def inside() -> Iterator[None]:
    """The test runs on a node of its own."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.node("lb1", front=1)
    with net, net["lb1"].entered():
        yield


class Days:
    """A clock by which a day has passed at every look."""

    now = 0.0

    def __call__(self) -> float:
        """A day later than the last time."""
        self.now += 24 * 3600
        return self.now


def ledger(directory: Path) -> Ledger:
    """One whose settings are due at the second look."""
    return Ledger(Memory(directory), clock=Days())


def put_back(some: Ledger) -> list[str]:
    """What goes back when nothing is needed."""
    some.put_back(())
    return [change.name for change in some.put_back(()).changes]


def test_what_was_first_is_what_comes_back(tmp_path: Path) -> None:
    """Neither a second change nor a later run takes lvsha's own doing for what was there before."""
    ledger(tmp_path).settle({TTL: 70})
    ledger(tmp_path).settle({TTL: 71})
    later = ledger(tmp_path)
    assert later.entries == (Entry(TTL, "64", "71", TTL),)
    assert put_back(later) == [TTL]
    assert read(TTL) == "64"
    assert ledger(tmp_path).entries == ()


def test_it_is_on_disk_before_it_is_written(tmp_path: Path) -> None:
    """A record of what then was not written (a crash between) puts nothing back."""
    unwritten = ledger(tmp_path)
    unwritten.note([Entry(TTL, "64", "70", TTL)])
    assert Memory(tmp_path).sysctls().entries == unwritten.entries
    assert put_back(ledger(tmp_path)) == []
    assert read(TTL) == "64"


def test_what_somebody_set_since_is_theirs(tmp_path: Path) -> None:
    """It is left, and forgotten; where lvsha overwrote it, it is what comes back."""
    left = ledger(tmp_path)
    left.settle({TTL: 70})
    write(TTL, "80")
    assert put_back(left) == []
    assert (read(TTL), left.entries) == ("80", ())
    left.settle({TTL: 70})
    write(TTL, "90")
    left.settle({TTL: 70})
    put_back(left)
    assert read(TTL) == "90"


def test_another_boot_has_its_own_values(tmp_path: Path) -> None:
    """A record of another place is not looked at, even where a value is by chance what lvsha once wrote."""
    first = ledger(tmp_path)
    first.settle({TTL: 70})
    memory = Memory(tmp_path)
    memory.keep_sysctls(replace(memory.sysctls(), place="another boot"))
    assert put_back(ledger(tmp_path)) == []
    assert read(TTL) == "70"


def test_what_is_right_is_nobodys_doing(tmp_path: Path) -> None:
    """A setting that needed no change has no entry, and one that there is not has none either."""
    some = ledger(tmp_path)
    settled = some.settle({TTL: read(TTL), "net.ipv4.no_such_thing": 1})
    assert some.entries == ()
    assert [failure.name for failure in settled.failures] == ["net.ipv4.no_such_thing"]
    assert not (tmp_path / "sysctls.json").exists()


def test_a_need_keeps_what_belongs_to_it(tmp_path: Path) -> None:
    """Settings that were changed for one need stay with it, and go with it."""
    some = ledger(tmp_path)
    some.settle({TTL: 70}, need="something")
    for _ in range(3):
        assert some.put_back({"something"}).changes == ()
    assert put_back(some) == [TTL]


def test_a_setting_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """A module that was unloaded took its settings with it: that is no failure."""
    some = ledger(tmp_path)
    some.note([Entry("net.ipv4.vs.no_such_thing", "0", "1", "net.ipv4.vs.no_such_thing")])
    some.put_back(())
    assert some.put_back(()).failures == ()
    assert some.entries == ()


def test_a_state_directory_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    """The setting is written, and known until the end of this run."""
    some = ledger(tmp_path / "none" / "such")
    some.settle({TTL: 70})
    assert read(TTL) == "70"
    assert put_back(some) == [TTL]
