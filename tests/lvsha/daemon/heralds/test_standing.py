"""Tests of lvsha.daemon.heralds.standing: whose change an instance's is."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from lvsha.config import VipConfig, VrrpConfig
from lvsha.daemon.heralds.change import Change, Kind, Subject
from lvsha.daemon.heralds.standing import Standings
from lvsha.model import Family
from lvsha.speaker.messages import RoleChange, State

VIP = VipConfig(ip_interface("192.0.2.100/24"), "eth0")
PUBLIC = VrrpConfig("public", "eth0", 51, 3, Family.IPV4, 200, 0.1, (VIP,), group="site")
INSIDE = replace(PUBLIC, name="inside", vrid=52)
OTHER = replace(PUBLIC, name="other", vrid=53, group=None)


def standings(*instances: VrrpConfig) -> Standings:
    """Of these instances on lb1, nothing being known yet."""
    found = Standings()
    found.reconfigure("lb1", {i.name: i for i in instances})
    return found


def role(instance: str, state: State) -> RoleChange:
    """An instance stands so."""
    return RoleChange(instance=instance, state=state, why=f"{instance} says so", at=1.0, priority=200)


def told(changes: list[Change]) -> list[tuple[str, State | None, State]]:
    """Whose change, from what, to what."""
    return [(str(c.subject), c.before, c.state) for c in changes]


def test_a_group_and_a_director_wait_for_their_last_member() -> None:
    """Until all have been heard of there is nothing to say of them; then it is said once."""
    some = standings(PUBLIC, INSIDE)
    assert told(some.moved(role("public", State.BACKUP))) == [("instance public", None, State.BACKUP)]
    assert told(some.moved(role("inside", State.BACKUP))) == [
        ("instance inside", None, State.BACKUP),
        ("group site", None, State.BACKUP),
        ("director lb1", None, State.BACKUP),
    ]


def test_a_group_that_moves_is_told_of_once() -> None:
    """Its members' news come one by one; the change is told with the last, with the state before."""
    some = standings(PUBLIC, INSIDE)
    some.moved(role("public", State.BACKUP))
    some.moved(role("inside", State.BACKUP))
    assert told(some.moved(role("public", State.MASTER))) == [("instance public", State.BACKUP, State.MASTER)]
    (_, group, director) = some.moved(role("inside", State.MASTER))
    assert told([group, director]) == [
        ("group site", State.BACKUP, State.MASTER),
        ("director lb1", State.BACKUP, State.MASTER),
    ]
    assert (group.priority, group.why, director.priority) == (200, "inside says so", 0)


def test_a_director_is_master_of_all_and_at_fault_in_any() -> None:
    """As `status` has it; and it has stopped when the last instance has."""
    some = standings(PUBLIC, OTHER)

    def director(instance: str, state: State) -> list[State]:
        changes = some.moved(role(instance, state))
        return [c.state for c in changes if c.subject.kind is Kind.DIRECTOR]

    assert director("public", State.MASTER) == []
    assert director("other", State.BACKUP) == [State.BACKUP]
    assert director("other", State.MASTER) == [State.MASTER]
    assert director("public", State.FAULT) == [State.FAULT]
    assert director("public", State.INIT) == []
    assert director("other", State.INIT) == [State.INIT]


def test_what_has_not_begun_has_not_stopped() -> None:
    """A speaker that has just started says so of instances that were never heard of."""
    assert standings(PUBLIC).moved(role("public", State.INIT)) == []


def test_strangers_are_not_told_of() -> None:
    """An instance that a reload has taken away may still say that it ends."""
    some = standings(PUBLIC)
    some.moved(role("public", State.MASTER))
    assert some.moved(role("other", State.INIT)) == []


def test_a_reload_may_change_a_role_too() -> None:
    """Without the instance that was backup this director is master of everything."""
    some = standings(PUBLIC, OTHER)
    some.moved(role("public", State.MASTER))
    some.moved(role("other", State.BACKUP))
    changes = some.reconfigure("lb1", {"public": PUBLIC})
    assert told(changes) == [("director lb1", State.BACKUP, State.MASTER)]


def test_a_director_without_instances_has_stopped() -> None:
    """A reload may take the last of them away; one that never had any has nothing to say."""
    some = standings(PUBLIC)
    some.moved(role("public", State.MASTER))
    assert told(some.reconfigure("lb1", {})) == [("director lb1", State.MASTER, State.INIT)]
    assert some.reconfigure("lb1", {}) == standings().reconfigure("lb1", {}) == []


def test_who_comes_later_is_told_how_it_stands() -> None:
    """And not what it came from; of what is not known it is told nothing."""
    some = standings(PUBLIC)
    subjects = [Subject(Kind.INSTANCE, "public"), Subject(Kind.INSTANCE, "nobody")]
    assert some.now(subjects) == []
    some.moved(role("public", State.BACKUP))
    some.moved(role("public", State.MASTER))
    assert told(some.now(subjects)) == [("instance public", None, State.MASTER)]
