"""The transitions, one by one, with literal times.

Priority 100 and an interval of 1 s make a skew of 0.609375 s and a master-down time of 3.609375 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lvsha.vrrp.effects import Announce, AskWitness, Effect, Enter, Report, Send, State
from lvsha.vrrp.machine import WITNESS_PATIENCE, WITNESS_RETRY, Group
from lvsha.vrrp.member import Spec
from lvsha.vrrp.packet import Advert

LOW, OURS, HIGH = (IPv4Address(f"192.0.2.{n}") for n in (1, 5, 9))
VIP = IPv4Address("192.0.2.100")
SPEC = Spec("public", 51, OURS, addresses=(VIP,))
INSIDE = Spec("inside", 52, OURS, addresses=(IPv4Address("10.0.0.1"),))
SKEW = 0.609375
DOWN = 3.609375
LISTEN = 2.109375
"""How long a backup that woke late listens: an interval and a half, and the skew."""


def group(**changes: object) -> Group:
    """A lone virtual router."""
    return Group([replace(SPEC, **changes)])  # type: ignore[arg-type]


def backup(**changes: object) -> Group:
    """One that was started at 0."""
    made = group(**changes)
    made.start(0.0)
    assert made.state is State.BACKUP
    return made


def master(**changes: object) -> Group:
    """One that became master when its timer fired; its next advert is due a second later."""
    made = backup(**changes)
    assert made.deadline is not None
    made.expire(made.deadline)
    assert made.state is State.MASTER
    return made


def pair(**changes: object) -> Group:
    """Two virtual routers that fail over together, started at 0."""
    made = Group([replace(SPEC, **changes), replace(INSIDE, **changes)])  # type: ignore[arg-type]
    made.start(0.0)
    return made


def advert(priority: int, *, interval: float = 1.0, version: int = 3, vip: IPv4Address = VIP) -> Advert:
    """What a peer says."""
    return Advert(version, 51, priority, interval, (vip,))


def hear(made: Group, priority: int, source: IPv4Address, now: float, member: str = "public") -> list[Effect]:
    """An advert of a peer, as the member's own would be."""
    spec = made.members[member].spec
    heard = Advert(spec.version, spec.vrid, priority, spec.interval, spec.addresses)
    return made.receive(member, heard, source, now)


def priorities(effects: Sequence[Effect]) -> list[tuple[str, int]]:
    """The adverts among effects, by member and priority."""
    return [(e.member, e.advert.priority) for e in effects if isinstance(e, Send)]


def entered(effects: Sequence[Effect]) -> list[State]:
    """The states entered."""
    return [e.state for e in effects if isinstance(e, Enter)]


def reports(effects: Sequence[Effect]) -> list[str]:
    """What is reported."""
    return [e.event for e in effects if isinstance(e, Report)]


# Starting (RFC 9568, 6.4.1).


def test_a_start_waits_for_the_master_down_time() -> None:
    """Everyone but the owner listens first."""
    made = group()
    assert made.start(10.0) == [Enter(State.BACKUP, "started")]
    assert made.deadline == 10.0 + DOWN


def test_an_owner_is_master_at_once() -> None:
    """Priority 255 advertises and takes its addresses without waiting."""
    made = group(priority=255)
    effects = made.start(10.0)
    assert priorities(effects) == [("public", 255)]
    assert effects[-1] == Enter(State.MASTER, "owns the addresses")
    assert made.deadline == 11.0


def test_a_second_start_is_nothing() -> None:
    """Nothing happens to a router that runs."""
    made = master()
    assert made.start(5.0) == []
    assert made.state is State.MASTER


def test_nothing_is_heard_before_the_start() -> None:
    """Adverts mean nothing in INITIAL, and there is no deadline."""
    made = group()
    assert hear(made, 200, HIGH, 0.0) == []
    assert (made.deadline, made.expire(100.0)) == (None, [])


def test_a_start_delay_holds_back() -> None:
    """Nobody is master during the start delay, the silence having lasted long enough or not."""
    made = backup(start_delay=10.0)
    assert made.deadline == 10.0
    hear(made, 200, HIGH, 9.0)
    assert made.deadline == 9.0 + DOWN


def test_a_group_has_members() -> None:
    """No virtual router is no group."""
    with pytest.raises(ValueError, match="at least one"):
        Group([])
    with pytest.raises(ValueError, match="at least one"):
        backup().reconfigure([], 1.0)


# Backup (RFC 9568, 6.4.2).


def test_silence_makes_a_master() -> None:
    """The advert comes first, then the state; the next advert an interval later."""
    made = backup()
    effects = made.expire(DOWN)
    assert effects == [
        Send("public", Advert(3, 51, 100, 1.0, (VIP,))),
        Enter(State.MASTER, "no master was heard"),
    ]
    assert made.deadline == DOWN + 1.0


def test_a_timer_that_fires_early_does_nothing() -> None:
    """A hair before the deadline is before the deadline."""
    made = backup()
    assert made.expire(DOWN - 0.0001) == []
    assert made.deadline == DOWN


@pytest.mark.parametrize(("priority", "source"), [(101, LOW), (100, HIGH), (100, LOW), (255, LOW)])
def test_an_advert_restarts_the_timer(priority: int, source: IPv4Address) -> None:
    """A higher or equal priority is obeyed, from whichever address."""
    made = backup()
    assert hear(made, priority, source, 2.0) == []
    assert made.deadline == 2.0 + DOWN


def test_a_lower_priority_is_ignored() -> None:
    """The timer runs on, and the lower master is pre-empted when it fires."""
    made = backup()
    assert hear(made, 99, HIGH, 3.5) == []
    effects = made.expire(DOWN)
    assert effects[-1] == Enter(State.MASTER, "pre-empts 192.0.2.9, which has priority 99")


def test_without_preemption_a_lower_priority_is_obeyed() -> None:
    """A master that is there stays."""
    made = backup(preempt=False)
    hear(made, 1, LOW, 3.5)
    assert made.deadline == 3.5 + DOWN


def test_an_owner_preempts_whatever_is_configured() -> None:
    """RFC 9568, 6.1: the owner always pre-empts."""
    made = group(priority=255, preempt=False)
    made.hold("for now", 0.0)
    made.start(0.0)
    hear(made, 254, HIGH, 1.0)
    assert entered(made.release("for now", 2.0)) == [State.MASTER]


def test_the_preempt_delay_counts_from_the_first_lower_advert() -> None:
    """For so long a lower master is obeyed, then it has the master-down time."""
    made = backup(preempt_delay=5.0)
    for at in range(1, 7):
        hear(made, 50, HIGH, float(at))
    assert made.deadline == 5.0 + DOWN
    assert entered(made.expire(5.0 + DOWN)) == [State.MASTER]


def test_a_better_master_ends_the_preempt_delay() -> None:
    """The delay counts from the first lower advert after it."""
    made = backup(preempt_delay=5.0)
    for at, priority in ((1.0, 50), (3.0, 200), (5.0, 50), (7.0, 50)):
        hear(made, priority, HIGH, at)
    assert made.deadline == 7.0 + DOWN


def test_silence_is_not_delayed() -> None:
    """The preempt delay is about a master that is there; one that dies is followed at once."""
    made = backup(preempt_delay=60.0)
    hear(made, 50, HIGH, 1.0)
    assert entered(made.expire(1.0 + DOWN)) == [State.MASTER]


def test_preemption_can_be_forbidden_for_a_while() -> None:
    """A node that comes back obeys a lower master until it is told that it may pre-empt."""
    made = backup()
    made.preemption(allowed=False, now=0.0)
    hear(made, 50, HIGH, 3.0)
    assert made.deadline == 3.0 + DOWN
    made.preemption(allowed=True, now=3.5)
    hear(made, 50, HIGH, 4.0)
    assert made.deadline == 3.0 + DOWN


def test_a_master_that_was_ignored_is_obeyed_once_preemption_is_forbidden() -> None:
    """A lower master runs out of time behind a closed gate; forbidden in time, the gate opens on nothing."""
    made = Group([SPEC], gated=True)
    made.start(0.0)
    for at in (1.0, 2.0, 3.0, 4.0):
        hear(made, 50, HIGH, at)
    made.preemption(allowed=False, now=4.2)
    assert made.open_gate(4.2) == []
    assert made.deadline == 4.0 + DOWN
    assert entered(made.expire(4.0 + DOWN)) == [State.MASTER]


def test_forbidding_does_not_wait_for_the_dead() -> None:
    """Where no master was heard, or it has resigned, a node that may not pre-empt takes over as ever."""
    alone = backup()
    before = alone.deadline
    alone.preemption(allowed=False, now=1.0)
    assert alone.deadline == before
    resigned = backup()
    hear(resigned, 50, HIGH, 1.0)
    hear(resigned, 0, HIGH, 1.5)
    due = resigned.deadline
    resigned.preemption(allowed=False, now=1.6)
    assert resigned.deadline == due


def test_a_resignation_leaves_the_skew() -> None:
    """Priority 0 makes the timer the skew time."""
    made = backup()
    hear(made, 200, HIGH, 5.0)
    hear(made, 0, HIGH, 5.5)
    assert made.deadline == 5.5 + SKEW
    assert made.expire(5.5 + SKEW)[-1] == Enter(State.MASTER, "192.0.2.9 resigned")


def test_a_group_says_whose_master_it_was() -> None:
    """A peer has an address on each link, and the role concerns all members."""
    made = pair()
    for member in made.members:
        hear(made, 200, HIGH, 5.0, member)
        hear(made, 0, HIGH, 5.5, member)
    assert made.expire(5.5 + SKEW)[-1] == Enter(State.MASTER, "public: 192.0.2.9 resigned")
    yielded = hear(made, 200, HIGH, 7.0, "inside")
    assert Enter(State.BACKUP, "inside: 192.0.2.9 has priority 200, ours is 100") in yielded


def test_a_resignation_of_somebody_else_is_late_news() -> None:
    """The old master's resignation, delivered after the new one's advert, hastens nobody."""
    made = backup()
    hear(made, 200, LOW, 5.0)
    hear(made, 150, HIGH, 5.2)
    hear(made, 0, LOW, 5.3)
    assert made.deadline == 5.2 + DOWN


def test_version_3_learns_the_interval() -> None:
    """The timer is by the master's interval, and the master's own when it becomes one."""
    made = backup()
    effects = made.receive("public", advert(200, interval=2.0), HIGH, 1.0)
    assert reports(effects) == ["interval_mismatch"]
    assert made.deadline == 1.0 + 2 * DOWN
    made.expire(1.0 + 2 * DOWN)
    assert made.deadline == 1.0 + 2 * DOWN + 1.0


def test_version_2_discards_another_interval() -> None:
    """RFC 3768, 7.1: it is reported, counted and not obeyed."""
    made = backup(version=2)
    effects = made.receive("public", advert(200, interval=2.0, version=2), HIGH, 1.0)
    assert reports(effects) == ["interval_mismatch"]
    assert made.notices.counts["interval_mismatch"] == 1
    assert made.members["public"].discarded == 1
    assert made.deadline == DOWN


def test_another_list_of_addresses_is_told_and_obeyed() -> None:
    """The list is not part of the election; its order is nothing at all."""
    made = Group([replace(SPEC, addresses=(VIP, LOW))])
    made.start(0.0)
    reordered = Advert(3, 51, 200, 1.0, (LOW, VIP))
    assert made.receive("public", reordered, HIGH, 1.0) == []
    other = Advert(3, 51, 200, 1.0, (HIGH,))
    assert reports(made.receive("public", other, HIGH, 2.0)) == ["address_mismatch"]
    assert made.deadline == 2.0 + DOWN


# Master (RFC 9568, 6.4.3).


def test_a_master_advertises_every_interval() -> None:
    """The adverts are an interval apart, although a timer fires late."""
    made = master()
    assert priorities(made.expire(DOWN + 1.1)) == [("public", 100)]
    assert made.deadline == DOWN + 2.0
    assert priorities(made.expire(DOWN + 3.5)) == [("public", 100)]
    assert made.deadline == DOWN + 4.5


@pytest.mark.parametrize(("priority", "source"), [(101, LOW), (255, LOW), (100, HIGH)])
def test_a_better_advert_ends_it(priority: int, source: IPv4Address) -> None:
    """A higher priority, or the same from a higher address; nothing is said to it."""
    made = master(preempt=False)
    effects = hear(made, priority, source, 4.0)
    why = f"{source} has priority {priority}, ours is 100"
    assert [e for e in effects if not isinstance(e, Report)] == [Enter(State.BACKUP, why)]
    assert made.deadline == 4.0 + DOWN


@pytest.mark.parametrize(("priority", "source"), [(99, HIGH), (1, LOW), (100, LOW)])
def test_a_worse_advert_is_answered(priority: int, source: IPv4Address) -> None:
    """The master says at once that it is there, and where the addresses are; it is a split brain."""
    made = master()
    effects = hear(made, priority, source, 4.0)
    assert priorities(effects) == [("public", 100)]
    assert Announce("public", f"{source} was master too") in effects
    assert reports(effects) == ["split_brain"]
    assert made.state is State.MASTER


def test_a_flood_is_not_answered_by_a_flood() -> None:
    """Answers that would say nothing new, announcements and reports are held back."""
    made = master()
    effects = [e for n in range(1000) for e in hear(made, 50, LOW, 4.0 + n / 1000)]
    assert len(priorities(effects)) <= 20
    assert len([e for e in effects if isinstance(e, Announce)]) == 1
    assert reports(effects) == ["split_brain"]
    assert made.notices.counts["split_brain"] == 1000


def test_what_was_just_said_is_not_said_again() -> None:
    """A worse advert right after ours needs no answer; that the addresses are here is told all the same."""
    made = master()
    assert hear(made, 50, LOW, DOWN + 0.01)[-1] == Announce("public", "192.0.2.1 was master too")
    assert priorities(hear(made, 50, LOW, DOWN + 0.02)) == []
    assert priorities(hear(made, 50, LOW, DOWN + 0.06)) == [("public", 100)]


def test_a_resignation_is_answered() -> None:
    """Priority 0 from another: advertise at once, the next an interval later, and announce."""
    made = master()
    effects = hear(made, 0, LOW, 4.0)
    assert priorities(effects) == [("public", 100)]
    assert Announce("public", "192.0.2.1 resigned") in effects
    assert made.deadline == 5.0


def test_our_own_voice_is_no_rival() -> None:
    """The same priority from our own address is an echo, or somebody's mistake."""
    made = master()
    assert reports(hear(made, 100, OURS, 4.0)) == ["own_address"]
    assert made.state is State.MASTER
    assert made.deadline == DOWN + 1.0


def test_two_owners() -> None:
    """The higher address wins, and people are told."""
    made = group(priority=255)
    made.start(0.0)
    effects = hear(made, 255, HIGH, 0.5)
    assert "owner_conflict" in reports(effects)
    assert entered(effects) == [State.BACKUP]
    assert made.deadline == 0.5 + 3.00390625


# Stopping, faults, holding back.


def test_a_stop_resigns_first() -> None:
    """Priority 0 goes out before the addresses are removed."""
    made = master()
    assert made.stop(4.0) == [
        Send("public", Advert(3, 51, 0, 1.0, (VIP,))),
        Enter(State.INITIAL, "stopped"),
    ]
    assert (made.deadline, made.stop(5.0)) == (None, [])


def test_a_backup_stops_without_a_word() -> None:
    """Who is not master has nothing to resign from."""
    assert backup().stop(1.0) == [Enter(State.INITIAL, "stopped")]


def test_a_fault_resigns() -> None:
    """A master at fault sends 0, lets go, and does not listen until the fault is over."""
    made = master()
    effects = made.fault("eth0 is down", 4.0)
    assert priorities(effects) == [("public", 0)]
    assert effects[-1] == Enter(State.FAULT, "eth0 is down")
    assert (hear(made, 200, HIGH, 4.5), made.deadline) == ([], None)
    assert made.clear("eth0 is down", 20.0) == [Enter(State.BACKUP, "eth0 is down is over")]
    assert made.deadline == 20.0 + DOWN


def test_every_fault_counts() -> None:
    """The last one to be over ends the state; one that was not there ends nothing."""
    made = backup()
    made.fault("script", 1.0)
    assert made.fault("eth0", 2.0) == []
    assert made.clear("script", 3.0) == []
    assert made.clear("unknown", 3.0) == []
    assert entered(made.clear("eth0", 4.0)) == [State.BACKUP]


def test_a_start_at_fault() -> None:
    """A router whose interface is down starts in FAULT."""
    made = group()
    made.fault("eth0", 0.0)
    assert made.start(1.0) == [Enter(State.FAULT, "started with eth0")]


def test_an_owner_whose_fault_is_over_is_master() -> None:
    """It need not listen first."""
    made = group(priority=255)
    made.fault("eth0", 0.0)
    made.start(0.0)
    assert entered(made.clear("eth0", 1.0)) == [State.MASTER]


def test_stepping_down_lasts_as_long_as_was_said() -> None:
    """The master resigns; if nobody takes over, it does again, but not earlier."""
    made = master()
    effects = made.step_down(30.0, 4.0)
    assert priorities(effects) == [("public", 0)]
    assert entered(effects) == [State.BACKUP]
    assert made.deadline == 34.0
    assert entered(made.expire(34.0)) == [State.MASTER]


def test_a_hold_lasts_until_it_is_released() -> None:
    """Each holder must let go; then the silence that has lasted long enough counts at once."""
    made = master()
    assert priorities(made.hold("operator", 4.0)) == [("public", 0)]
    made.hold("no director", 5.0)
    assert made.deadline is None
    assert made.release("operator", 100.0) == []
    assert entered(made.release("no director", 101.0)) == [State.MASTER]


def test_a_released_backup_that_hears_a_master_stays() -> None:
    """Letting go is not taking over."""
    made = backup()
    made.hold("operator", 0.0)
    hear(made, 200, HIGH, 100.0)
    assert made.release("operator", 101.0) == []
    assert made.deadline == 100.0 + DOWN


def test_the_gate() -> None:
    """A gated group waits in BACKUP however long it is silent, and takes over when it opens."""
    made = Group([SPEC], gated=True)
    made.start(0.0)
    assert (made.deadline, made.expire(50.0)) == (None, [])
    assert entered(made.open_gate(60.0)) == [State.MASTER]


def test_the_gate_opens_early() -> None:
    """The master-down time is waited for all the same."""
    made = Group([SPEC], gated=True)
    made.start(0.0)
    assert made.open_gate(1.0) == []
    assert made.deadline == DOWN


def test_a_gated_owner() -> None:
    """The owner too is no master before its director is ready."""
    made = Group([replace(SPEC, priority=255)], gated=True)
    assert made.start(0.0) == [Enter(State.BACKUP, "started")]
    assert entered(made.open_gate(1.0)) == [State.MASTER]


# Priorities and settings.


def test_a_priority_moves_a_running_timer() -> None:
    """By the difference of the skews, either way."""
    made = backup()
    made.reprioritise("public", 228, 1.0)
    assert made.deadline == 3.0 + (256 - 228) / 256
    made.reprioritise("public", 100, 2.0)
    assert made.deadline == DOWN
    with pytest.raises(ValueError, match="1 to 255"):
        made.reprioritise("public", 0, 2.0)


def test_a_lowered_priority_preempts_nobody() -> None:
    """A master that is better now is obeyed as of its last advert, although that was ignored."""
    made = backup()
    hear(made, 99, LOW, 3.5)
    made.reprioritise("public", 98, 3.55)
    assert made.deadline == 3.5 + 3 + (256 - 98) / 256


def test_settings_that_forbid_to_preempt_take_effect_at_once() -> None:
    """So do those of a reload: without preemption, or with a lower priority."""
    for changes in ({"preempt": False}, {"priority": 50}):
        made = backup()
        hear(made, 99, LOW, 3.5)
        made.reconfigure([replace(SPEC, **changes)], 3.55)  # type: ignore[arg-type]
        assert made.deadline == 3.5 + 3 + (256 - made.priority) / 256


def test_a_priority_is_advertised() -> None:
    """A master that was lowered says so with its next advert, and yields to who is higher now."""
    made = master()
    made.reprioritise("public", 50, 4.0)
    assert priorities(made.expire(DOWN + 1.0)) == [("public", 50)]
    assert entered(hear(made, 99, LOW, 5.0)) == [State.BACKUP]


def test_another_source_address() -> None:
    """A master says where it is at once, and ties are settled by the new address."""
    made = master()
    assert hear(made, 100, LOW, 4.0)
    assert priorities(made.readdress("public", IPv4Address("192.0.2.0"), 4.1)) == [("public", 100)]
    assert entered(hear(made, 100, LOW, 4.2)) == [State.BACKUP]
    assert backup().readdress("public", LOW, 1.0) == []


def test_a_reload_keeps_the_state() -> None:
    """A master goes on with the new settings, and says so at once."""
    made = master()
    effects = made.reconfigure([replace(SPEC, priority=150, interval=0.5)], 4.0)
    assert effects == [Send("public", Advert(3, 51, 150, 0.5, (VIP,)))]
    assert made.deadline == 4.5


def test_a_reload_of_a_backup_keeps_its_timer() -> None:
    """What was heard stays heard."""
    made = backup()
    hear(made, 200, HIGH, 2.0)
    assert made.reconfigure([replace(SPEC, priority=228)], 3.0) == []
    assert made.deadline == 2.0 + 3.0 + (256 - 228) / 256


def test_an_interval_of_our_own_is_learned_from_a_reload() -> None:
    """Where no master was heard, and in version 2, the next timer is by the new interval."""
    made = backup(version=2)
    hear(made, 200, HIGH, 2.0)
    made.reconfigure([replace(SPEC, version=2, interval=3.0)], 2.5)
    hear(made, 200, HIGH, 3.0)
    assert made.deadline == 3.0 + 9.0 + SKEW


def test_a_longer_interval_in_version_2_is_waited_for() -> None:
    """A master that was reloaded before us has its next advert still to send, which may take an interval."""
    made = backup(version=2)
    hear(made, 200, HIGH, 1.0)
    made.reconfigure([replace(SPEC, version=2, interval=10.0)], 3.0)
    assert made.deadline == 3.0 + 30.0 + SKEW


def test_a_shorter_interval_in_version_2_does_not_hurry() -> None:
    """A master that is reloaded after us still has the time that it had."""
    made = backup(version=2, interval=10.0)
    hear(made, 200, HIGH, 1.0)
    made.reconfigure([replace(SPEC, version=2)], 3.0)
    assert made.deadline == 1.0 + 30.0 + SKEW


def test_a_member_that_goes_is_resigned_for() -> None:
    """One that comes is advertised; one with another VRID too, whose addresses stay."""
    made = pair()
    made.expire(DOWN)
    effects = made.reconfigure([replace(SPEC, vrid=99), replace(INSIDE, name="third")], 4.0)
    assert [(e.member, e.advert.vrid, e.advert.priority) for e in effects if isinstance(e, Send)] == [
        ("inside", 52, 0),
        ("public", 99, 100),
        ("third", 52, 100),
    ]
    assert made.state is State.MASTER


def test_a_member_that_comes_to_a_backup_listens() -> None:
    """The group is master when the new member has been silent for long enough too."""
    made = Group([SPEC])
    made.start(0.0)
    made.reconfigure([SPEC, INSIDE], 3.0)
    assert made.deadline == 3.0 + DOWN


# The witness.


def test_a_witness_is_asked_first() -> None:
    """No advert before it was reached."""
    made = backup(witness=True)
    assert made.expire(DOWN) == [AskWitness()]
    assert entered(made.witness(reachable=True, now=3.7)) == [State.MASTER]


def test_without_its_witness_nobody_takes_over() -> None:
    """It is asked again, and again when it does not answer."""
    made = backup(witness=True)
    made.expire(DOWN)
    assert reports(made.witness(reachable=False, now=4.0)) == ["witness_unreachable"]
    assert made.deadline == 4.0 + WITNESS_RETRY
    assert made.expire(4.0 + WITNESS_RETRY) == [AskWitness()]
    assert made.deadline == 4.0 + WITNESS_RETRY + WITNESS_PATIENCE
    assert made.expire(4.0 + WITNESS_RETRY + WITNESS_PATIENCE) == [AskWitness()]


def test_a_witness_that_is_back_does_not_prove_the_master_dead() -> None:
    """The cable that kept the witness away kept the master away too: it has its time to be heard first."""
    made = backup(witness=True)
    made.expire(DOWN)
    made.witness(reachable=False, now=4.0)
    made.expire(5.0)
    assert made.witness(reachable=True, now=5.1) == []
    assert made.deadline == 5.1 + LISTEN
    hear(made, 200, HIGH, 5.9)
    assert made.deadline == 5.9 + DOWN


def test_a_witness_that_is_back_and_a_master_that_is_not() -> None:
    """Still silent after that, the master is followed; the witness is asked once more."""
    made = backup(witness=True)
    made.expire(DOWN)
    made.witness(reachable=False, now=4.0)
    made.expire(5.0)
    made.witness(reachable=True, now=5.1)
    assert made.expire(5.1 + LISTEN) == [AskWitness()]
    assert entered(made.witness(reachable=True, now=7.3)) == [State.MASTER]


def test_an_answer_that_is_too_late_is_not_heard() -> None:
    """A master that was heard meanwhile ends the question."""
    made = backup(witness=True)
    made.expire(DOWN)
    hear(made, 200, HIGH, 3.7)
    assert made.witness(reachable=True, now=3.8) == []
    assert made.deadline == 3.7 + DOWN
    assert backup(witness=True).witness(reachable=True, now=1.0) == []


# Frozen, and crashed.


def test_a_frozen_master_does_not_speak() -> None:
    """Three intervals after its advert was due it lets go without a word."""
    made = master()
    effects = made.expire(DOWN + 1.0 + 3.1)
    assert priorities(effects) == []
    assert effects[-1] == Enter(State.BACKUP, "was frozen: no advert sent for 4.100 s")
    assert reports(effects) == ["frozen"]
    assert made.deadline == pytest.approx(DOWN + 4.1 + DOWN)


def test_a_frozen_master_notices_when_it_hears_something() -> None:
    """A lower master's advert is not answered: that one took over rightly."""
    made = master()
    effects = hear(made, 50, LOW, 30.0)
    assert priorities(effects) == []
    assert entered(effects) == [State.BACKUP]


def test_a_frozen_master_notices_whatever_happens_first() -> None:
    """A new address or new settings, which a master would advertise, find that it is none."""
    for change in ("readdress", "reconfigure"):
        made = master()
        effects = (
            made.readdress("public", LOW, 30.0) if change == "readdress" else made.reconfigure([SPEC], 30.0)
        )
        assert priorities(effects) == []
        assert entered(effects) == [State.BACKUP]


def test_a_frozen_master_does_not_trust_an_old_resignation() -> None:
    """What its socket held while it slept does not make it master again at once."""
    made = master()
    hear(made, 0, LOW, 30.0)
    assert made.state is State.BACKUP
    assert made.deadline == 30.0 + DOWN


def test_a_witness_that_answers_a_frozen_node() -> None:
    """Its answer is from before; the silence must be listened to first."""
    made = backup(witness=True)
    made.expire(DOWN)
    effects = made.witness(reachable=True, now=60.0)
    assert (entered(effects), reports(effects)) == ([], ["woke_late"])
    assert made.deadline == 60.0 + LISTEN


def test_a_late_master_is_not_a_frozen_one() -> None:
    """Within three intervals it goes on."""
    made = master()
    assert priorities(made.expire(DOWN + 1.0 + 3.0)) == [("public", 100)]


def test_a_frozen_owner_listens_too() -> None:
    """It has been replaced like any other."""
    made = group(priority=255)
    made.start(0.0)
    made.expire(10.0)
    assert made.state is State.BACKUP
    assert made.deadline == 10.0 + 3.00390625


def test_a_backup_that_wakes_late_listens_again() -> None:
    """Once: a machine that is always late is master in the end."""
    made = backup()
    assert reports(made.expire(100.0)) == ["woke_late"]
    assert made.deadline == 100.0 + LISTEN
    assert entered(made.expire(200.0)) == [State.MASTER]


def test_a_backup_that_did_not_run_listens_longer() -> None:
    """The adverts that it missed may be all that there were since it heard the last one."""
    made = backup()
    hear(made, 200, HIGH, 1.0)
    assert made.overslept(2.5, 3.9) == []
    assert made.deadline == 3.9 + LISTEN
    hear(made, 200, HIGH, 4.0)
    assert made.deadline == 4.0 + DOWN


def test_a_backup_that_did_not_run_has_one_excuse() -> None:
    """In one silence: a machine that stops again and again is master in the end."""
    made = backup()
    made.overslept(1.1, 3.0)
    made.overslept(1.1, 4.2)
    assert made.deadline == 3.0 + LISTEN
    hear(made, 200, HIGH, 4.3)
    made.overslept(2.9, 7.3)
    assert made.deadline == 7.3 + LISTEN


def test_a_frozen_master_may_sleep_once_more() -> None:
    """It has begun to listen, and what it missed then is made up for as well."""
    for notices in ("expire", "overslept"):
        made = master()
        made.expire(30.0) if notices == "expire" else made.overslept(26.0, 30.0)
        made.overslept(3.0, 33.5)
        assert made.deadline == 33.5 + LISTEN


def test_a_nap_is_no_excuse() -> None:
    """Within an interval one advert is missed at most, which the master-down time allows for."""
    made = backup()
    made.overslept(1.0, 3.5)
    assert made.deadline == DOWN


def test_a_master_that_did_not_run_for_long_is_none() -> None:
    """It notices before its own timer does."""
    assert entered(master().overslept(4.1, DOWN + 4.1)) == [State.BACKUP]
    assert master().overslept(2.0, DOWN + 2.0) == []


def test_what_waited_in_the_socket_is_not_fresh() -> None:
    """A resignation heard by a backup that wakes is history; an advert is a master."""
    made = backup()
    hear(made, 200, HIGH, 1.0)
    hear(made, 0, HIGH, 100.0)
    assert made.deadline == 100.0 + LISTEN
    hear(made, 200, HIGH, 100.1)
    hear(made, 0, HIGH, 100.2)
    assert made.deadline == 100.2 + SKEW


def test_a_backup_within_an_interval_is_not_late() -> None:
    """A loaded machine takes over when its timer fires."""
    assert entered(backup().expire(DOWN + 0.9)) == [State.MASTER]


def test_a_crash_shorter_than_the_master_down_time_is_not_noticed() -> None:
    """A master that comes back within three intervals of its last advert goes on."""
    made = group()
    effects = made.resume(100.0, 102.9)
    assert priorities(effects) == [("public", 100)]
    assert effects[-1] == Enter(State.MASTER, "resumed 2.900 s after its last advert")
    assert made.deadline == 103.9


@pytest.mark.parametrize("last", [100.0, 96.0, 103.5, -1e9])
def test_a_crash_that_was_too_long(last: float) -> None:
    """After three intervals, or with a time that has not been yet, it starts as anyone."""
    made = group()
    assert made.resume(last, 103.0) == [Enter(State.BACKUP, "started")]
    assert made.deadline == 103.0 + DOWN


def test_what_holds_back_a_start_holds_back_a_return() -> None:
    """A closed gate, a hold, a fault."""
    gated = Group([SPEC], gated=True)
    assert entered(gated.resume(100.0, 100.5)) == [State.BACKUP]
    held = group()
    held.hold("operator", 100.0)
    assert entered(held.resume(100.0, 100.5)) == [State.BACKUP]
    faulty = group()
    faulty.fault("eth0", 100.0)
    assert entered(faulty.resume(100.0, 100.5)) == [State.FAULT]


def test_the_last_advert_is_known() -> None:
    """For a process after this one: that of the member which was silent longest."""
    made = pair()
    assert made.last_advert_at is None
    made.expire(DOWN)
    hear(made, 50, LOW, 4.0, "inside")
    assert made.last_advert_at == DOWN
    made.stop(4.1)
    assert made.last_advert_at == DOWN


# Groups.


def test_a_group_takes_over_as_one() -> None:
    """All members advertise before the state is entered, once."""
    effects = pair().expire(DOWN)
    assert priorities(effects) == [("public", 100), ("inside", 100)]
    assert entered(effects) == [State.MASTER]


def test_a_member_that_hears_a_master_speaks_for_the_group() -> None:
    """One link that is cut moves nothing."""
    made = pair()
    for at in range(1, 60):
        hear(made, 200, HIGH, float(at), "inside")
    assert made.expire(59.5) == []
    assert made.deadline == 59.0 + DOWN


def test_a_group_yields_as_one() -> None:
    """A better advert on one member ends all; the others resign, that one says nothing."""
    made = pair()
    made.expire(DOWN)
    effects = hear(made, 200, HIGH, 4.0, "inside")
    assert priorities(effects) == [("public", 0)]
    assert entered(effects) == [State.BACKUP]
    assert made.deadline == 4.0 + DOWN


def test_a_group_has_one_priority() -> None:
    """The lowest of its members, in every advert and every comparison."""
    made = Group([replace(SPEC, priority=200), replace(INSIDE, priority=150)])
    made.start(0.0)
    assert made.deadline == 3.0 + (256 - 150) / 256
    made.expire(made.deadline)
    made.reprioritise("public", 120, 4.0)
    assert priorities(made.expire(4.5)) == [("public", 120), ("inside", 120)]
    assert entered(hear(made, 130, LOW, 5.0)) == [State.BACKUP]


def test_a_group_owns_if_all_members_own() -> None:
    """One owner among others is none."""
    made = Group([replace(SPEC, priority=255), INSIDE])
    assert made.start(0.0) == [Enter(State.BACKUP, "started")]


def test_members_keep_their_own_intervals() -> None:
    """Each advertises when its own timer fires."""
    made = Group([SPEC, replace(INSIDE, interval=0.25)])
    made.start(0.0)
    made.expire(DOWN)
    assert priorities(made.expire(DOWN + 0.25)) == [("inside", 100)]
    assert made.deadline == DOWN + 0.5


def test_a_tie_is_settled_on_the_first_member() -> None:
    """There the higher address wins at once."""
    made = pair()
    made.expire(DOWN)
    assert entered(hear(made, 100, HIGH, 4.0, "public")) == [State.BACKUP]


def test_a_tie_on_a_later_member_must_last() -> None:
    """For one and a half intervals, in which the first member settles it the other way if it works."""
    made = pair()
    made.expire(DOWN)
    effects = [hear(made, 100, HIGH, at, "inside") for at in (4.0, 4.6)]
    assert [priorities(e) for e in effects] == [[], []]
    made.expire(DOWN + 1.0)
    assert entered(hear(made, 100, HIGH, 5.4, "inside")) == []
    assert entered(hear(made, 100, HIGH, 5.5, "inside")) == [State.BACKUP]


def test_a_fault_is_the_groups() -> None:
    """All members resign for the fault of one."""
    made = pair()
    made.expire(DOWN)
    effects = made.fault("inside: eth1 is down", 4.0)
    assert priorities(effects) == [("public", 0), ("inside", 0)]
    assert entered(effects) == [State.FAULT]


def test_an_unknown_member_is_a_bug() -> None:
    """Whoever names a member that is not there is told so."""
    with pytest.raises(KeyError):
        backup().receive("nowhere", advert(100), HIGH, 1.0)
