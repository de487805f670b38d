"""Scenes from the life of a pair, with their times, and a judge who is not blind."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lvsha.model import Address
from lvsha.vrrp.effects import Effect, Enter, Send, State
from lvsha.vrrp.machine import Group
from lvsha.vrrp.member import Spec
from lvsha.vrrp.packet import Advert
from tests.lvsha.vrrp.histories import draw_setups, draw_steps, play
from tests.lvsha.vrrp.network import LATENCY, BrokenRuleError, Network, Setup

DELAY = 0.01
LINKS = ("public", "inside", "third")


def node(index: int, priority: int, members: int = 1, ranks: tuple[int, ...] = (), **more: object) -> Setup:
    """A node whose address on link k ends in ranks[k]."""
    return Setup(
        tuple(
            Spec(
                name,
                k + 1,
                IPv4Address(f"192.0.2.{(ranks or (index + 1,) * 3)[k]}"),
                priority=priority,
                **more,
            )  # type: ignore[arg-type]
            for k, name in enumerate(LINKS[:members])
        )
    )


def network(*setups: Setup, seed: int = 1) -> Network:
    """A network whose nodes have all been started."""
    made = Network(setups, random.Random(seed), delay=DELAY)
    for index in range(len(setups)):
        made.call(index, "start")
    return made


def pair(members: int = 1, seed: int = 1, **more: object) -> Network:
    """Priorities 200 and 100, of which the first has become master."""
    made = network(node(0, 200, members, **more), node(1, 100, members, **more), seed=seed)
    made.run(10.0)
    assert made.masters() == [0]
    return made


def entries(made: Network, index: int, state: str) -> list[float]:
    """When a node entered a state."""
    wanted = f"node {index} {state}:"
    return [float(line.split()[0]) for line in made.story if wanted in line]


def part(made: Network, one: int, two: int, *members: str, both: bool = True) -> None:
    """Cut links from one node to another, or in both directions."""
    for member in members:
        made.cut.add((member, one, two))
        if both:
            made.cut.add((member, two, one))


def test_a_silent_failover() -> None:
    """A master that dies is followed after three intervals and the skew, counted from its last advert."""
    made = pair()
    made.kill(0)
    last = made.nodes[0].group.last_advert_at
    assert last is not None
    made.run(20.0)
    (took,) = entries(made, 1, "master")
    assert took - last == pytest.approx(3.609375, abs=DELAY + LATENCY + 0.001)


def test_a_planned_failover() -> None:
    """After a resignation it is the skew only."""
    made = pair()
    made.call(0, "stop")
    made.run(20.0)
    (took,) = entries(made, 1, "master")
    assert took - 10.0 == pytest.approx(0.609375, abs=DELAY + LATENCY + 0.001)


def test_a_crash_that_nobody_notices() -> None:
    """A speaker that is back within three intervals goes on; the peer never moves."""
    made = pair()
    made.kill(0)
    made.run(11.5)
    made.revive(0, reboot=False)
    made.run(30.0)
    assert (made.masters(), entries(made, 1, "master")) == ([0], [])


def test_a_frozen_master_comes_back_as_backup() -> None:
    """It lets go of its addresses before anything else, and then pre-empts as anyone."""
    made = pair()
    made.freeze(0, paused=False)
    made.run(70.0)
    assert made.nodes[1].group.state is State.MASTER
    made.thaw(0)
    assert made.nodes[0].holding == frozenset()
    made.run(80.0)
    assert made.masters() == [0]
    assert len(entries(made, 1, "master")) == 1


def test_a_frozen_backup_does_not_grab() -> None:
    """A backup whose machine was paused for a minute listens, and hears the master."""
    made = pair()
    made.freeze(1, paused=True)
    made.run(70.0)
    made.thaw(1)
    made.run(90.0)
    assert entries(made, 1, "master") == []


def test_a_backup_that_slept_while_its_master_spoke() -> None:
    """However shortly before its timer the paused machine wakes, it hears the master first."""
    for seed in range(60):
        made = pair(seed=seed)
        last = made.nodes[0].group.last_advert_at
        assert last is not None
        made.run(last + 0.05)
        made.freeze(1, paused=True)
        made.run(last + 1.2 + seed / 15)
        made.thaw(1)
        made.run(30.0)
        assert entries(made, 1, "master") == []


def test_a_partition_and_its_end() -> None:
    """Both are master while they cannot hear each other, and one an interval after they can."""
    made = pair()
    part(made, 0, 1, "public")
    made.run(40.0)
    assert made.masters() == [0, 1]
    made.cut.clear()
    made.run(40.0 + made.overlap(0))
    assert made.masters() == [0]


def test_a_wire_that_carries_one_way() -> None:
    """The better node hears the other, which does not hear it: it answers and announces."""
    made = pair()
    part(made, 0, 1, "public", both=False)
    made.run(40.0)
    assert made.masters() == [0, 1]
    assert made.nodes[0].group.notices.counts["split_brain"] > 20
    part(made, 1, 0, "public", both=False)
    made.cut.discard(("public", 0, 1))
    made.run(40.0 + made.overlap(0))
    assert made.masters() == [0]


def test_one_link_of_a_group_moves_nothing() -> None:
    """Cut for a minute, either link: the group stays where it is, whole."""
    for link in ("public", "inside"):
        made = pair(members=2)
        part(made, 0, 1, link)
        made.run(70.0)
        made.cut.clear()
        made.run(90.0)
        assert made.masters() == [0]
        assert entries(made, 1, "master") == []


@pytest.mark.parametrize("broken", ["public", "inside"])
def test_two_addresses_are_never_on_two_nodes_for_good(broken: str) -> None:
    """After a partition that heals link by link, both members are on one node, at once."""
    made = pair(members=2)
    part(made, 0, 1, "public", "inside")
    made.run(40.0)
    assert made.masters() == [0, 1]
    made.cut = {cut for cut in made.cut if cut[0] == broken}
    made.run(40.0 + made.overlap(0))
    assert [sorted(n.holding) for n in made.nodes] == [["inside", "public"], []]


@pytest.mark.parametrize("ranks", [((1, 2), (2, 1)), ((2, 1), (1, 2))])
def test_links_that_disagree_about_a_tie(ranks: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """The first member's link decides, and the one which it favours never lets go, in no order of arrival."""
    for seed in range(100):
        made = network(*(node(i, 100, 2, ranks[i]) for i in range(2)), seed=seed)
        part(made, 0, 1, "public", "inside")
        made.run(10.0 + seed / 50)
        assert made.masters() == [0, 1]
        made.heal()
        made.run(made.now + made.overlap(1))
        winner = 0 if ranks[0][0] > ranks[1][0] else 1
        assert made.masters() == [winner]
        assert entries(made, winner, "backup") == [0.0]


def test_a_tie_where_the_first_link_carries_one_way() -> None:
    """The node that the first link favours is not heard there: the second link decides, in its time."""
    made = network(node(0, 100, 2, (2, 1)), node(1, 100, 2, (1, 2)))
    part(made, 0, 1, "public", "inside")
    made.run(10.0)
    made.cut = {("public", 0, 1)}
    made.run(10.0 + made.overlap(1))
    assert made.masters() == [1]
    made.run(60.0)
    assert made.masters() == [1]


def test_three_links_whose_first_is_cut() -> None:
    """The other two disagree, and the earlier one decides."""
    for seed in range(20):
        made = network(node(0, 100, 3, (1, 2, 1)), node(1, 100, 3, (2, 1, 2)), seed=seed)
        part(made, 0, 1, *LINKS)
        made.run(10.0)
        part(made, 0, 1, "public")
        made.cut = {cut for cut in made.cut if cut[0] == "public"}
        made.run(10.0 + made.overlap(2))
        assert made.masters() == [0]
        assert entries(made, 0, "backup") == [0.0]


def test_a_cable_that_brings_back_witness_and_master_together() -> None:
    """However the witness's answer and the master's next advert fall, the master is heard and obeyed."""
    for seed in range(50):
        made = pair(seed=seed, witness=True)
        part(made, 0, 1, "public")
        made.nodes[1].witness = False
        made.run(16.0 + seed / 25)
        made.cut.clear()
        made.nodes[1].witness = True
        made.run(40.0)
        assert made.masters() == [0]
        assert entries(made, 1, "master") == []


def test_a_fault_of_one_member_moves_the_group() -> None:
    """Within the skew both members are on the other node."""
    made = pair(members=2)
    made.call(0, "fault", "inside: eth1 is down")
    made.run(10.0 + 0.609375 + DELAY + LATENCY)
    assert [sorted(n.holding) for n in made.nodes] == [[], ["inside", "public"]]


def test_ten_milliseconds() -> None:
    """With the shortest interval the failover takes 36 ms."""
    made = network(node(0, 200, interval=0.01), node(1, 100, interval=0.01))
    made.delay = 0.0005
    made.run(1.0)
    made.kill(0)
    last = made.nodes[0].group.last_advert_at
    assert last is not None
    made.run(2.0)
    assert entries(made, 1, "master")[-1] - last == pytest.approx(0.0361, abs=0.003)


class Split(Group):
    """Forgets to say that it is backup again."""

    def receive(self, member: str, advert: Advert, source: Address, now: float) -> list[Effect]:
        """As the group does, without the entry."""
        effects = super().receive(member, advert, source, now)
        return [e for e in effects if not (isinstance(e, Enter) and e.state is State.BACKUP)]


class Hasty(Group):
    """Does not give back the time that it took from a master which it was about to pre-empt."""

    def _obey_again(self) -> None:
        pass


class Stubborn(Group):
    """Yields to nobody."""

    def receive(self, member: str, advert: Advert, source: Address, now: float) -> list[Effect]:
        """As a master: nothing."""
        return [] if self.state is State.MASTER else super().receive(member, advert, source, now)


class Eager(Group):
    """Takes over when any member is silent."""

    @property
    def _down_at(self) -> float:
        return min(m.down_at for m in self.members.values())


class Shy(Group):
    """Is never master."""

    def expire(self, now: float) -> list[Effect]:
        """As a backup: nothing."""
        return [] if self.state is State.BACKUP else super().expire(now)


class Blind(Group):
    """Does not notice that it was frozen."""

    def _notice_freeze(self, now: float) -> list[Effect]:
        del now
        return []


class Drowsy(Group):
    """Believes that it missed nothing while it slept."""

    def overslept(self, seconds: float, now: float) -> list[Effect]:
        """As the group does where its timer fired late."""
        del seconds
        return self._notice_freeze(now)


class Proud(Group):
    """Each member speaks with its own priority."""

    def expire(self, now: float) -> list[Effect]:
        """The adverts of the group, with other priorities."""
        return [self._own(effect) for effect in super().expire(now)]

    def _own(self, effect: Effect) -> Effect:
        match effect:
            case Send(member, advert):
                return Send(member, replace(advert, priority=self.members[member].priority))
            case _:
                return effect


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Split, "and holds"),
        (Stubborn, "masters together"),
        (Eager, "and takes over"),
        (Shy, "0 masters"),
        (Blind, "and is master"),
        (Drowsy, "slept, and takes over"),
        (Proud, "the master's priority is"),
    ],
)
def test_the_judge_finds_a_broken_machine(kind: type[Group], told: str) -> None:
    """Each of these machines is caught, with the rule that it broke, in a few thousand histories."""

    def history(seed: int) -> None:
        rng = random.Random(seed)
        setups = [replace(setup, kind=kind) for setup in draw_setups(rng, 2, 2)]
        play(setups, draw_steps(rng, 2, 10), rng)

    assert told in _first_broken(history)


@pytest.mark.parametrize("kind", [Group, Hasty])
def test_a_priority_that_is_lowered_while_it_preempts(kind: type[Group]) -> None:
    """A node that was about to take over from a master leaves it alone; the judge sees it if not."""
    made = Network([node(0, 100), replace(node(1, 101), kind=kind)], random.Random(1), delay=DELAY)
    made.call(0, "start")
    made.run(10.3)
    made.call(1, "start")
    deadline = made.nodes[1].group.deadline
    assert deadline is not None
    made.run(deadline - 0.01)
    made.call(1, "reprioritise", "public", 99)
    with pytest.raises(BrokenRuleError, match="and takes over") if kind is Hasty else nullcontext():
        made.run(20.0)
    assert made.masters() == ([0] if kind is Group else [0, 1])


def _first_broken(history: Callable[[int], None]) -> str:
    for seed in range(3000):
        try:
            history(seed)
        except BrokenRuleError as error:
            return str(error).splitlines()[0]
    return "nothing"
