"""Every way in which one of a pair can fail, and what must hold of the virtual address then.

A `Scenario` is a failure, played on a real pair; `play` gives a `Finding`: who held the address when, how
long nobody did and how long both did, beside what was promised. The tests hold the findings to the promises,
and `bench.fencing` makes the table of them.

The bounds are those of the design: the peer takes over in one master-down interval, or in a skew time when
the master resigns; what cannot resign loses its address with its lease, which the kernel counts in whole
seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from signal import SIGKILL

from lvsha.wire.announce import gratuitous_arp
from tests.lab.clock import set_clock
from tests.lab.pair import GATEWAY, GROUP, LONE, VIP, VIP6, Stage, Terms, staged
from tests.lab.process import SLOWNESS

NOISE = 0.75
"""Seconds that a busy machine may add to anything."""
KEYS = f'auth = {{ keys = {{ 1 = "hex:{"5a" * 32}" }}, active = 1 }}'
STRANGER = bytes.fromhex("020000000099")

Act = Callable[[Stage], Awaitable[None]]
Bound = Callable[[Terms], float]


def never(_: Terms) -> float:
    """Not at all."""
    return 0.0


def down(terms: Terms) -> float:
    """The peer has to notice."""
    return terms.down + NOISE


def skew(terms: Terms) -> float:
    """The master resigned."""
    return terms.skew + NOISE


def passing(_: Terms) -> float:
    """One puts the address on, the other takes it off: both at the word of one advert."""
    return NOISE


def lease(terms: Terms) -> float:
    """The kernel takes the address; its seconds are whole ones."""
    return terms.lease + 1 + NOISE


@dataclass(frozen=True, slots=True)
class Scenario:
    """One failure."""

    name: str
    act: Act
    owners: str
    """The nodes that hold the address alone, one after another; `or` between what may be."""
    nobody: Bound = never
    """How long nobody may hold it."""
    both: Bound = never
    """How long both may hold it."""
    settings: str = ""
    """Of the instance."""
    more: str = ""
    """Further tables."""
    instances: str = ""
    """Instead of the one instance."""
    clocks: bool = False
    """Whether each node has a clock of its own."""
    hosted: bool = False
    """Whether what a killed parent leaves lives on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What happened."""

    scenario: Scenario
    terms: Terms
    owners: str
    story: str
    nobody: float
    both: float
    notes: tuple[str, ...] = field(default=())

    @property
    def faults(self) -> list[str]:
        """In what it is not as promised."""
        faults = []
        if self.owners not in self.scenario.owners.split(" or "):
            faults.append(f"held by {self.owners}, not by {self.scenario.owners}")
        for what, seconds, bound in (
            ("nobody", self.nobody, self.scenario.nobody(self.terms)),
            ("both", self.both, self.scenario.both(self.terms)),
        ):
            # A fault that lasts as long as the cut does is the scenario's to judge: its bound is infinite.
            if seconds > bound * SLOWNESS:
                faults.append(f"{what} held it for {seconds:.3f} s, more than {bound:.3f} s")
        return faults


async def play(scenario: Scenario, interval: float, directory: Path) -> Finding:
    """Play one failure on a new pair."""
    instances = (scenario.instances or LONE.replace("{settings}", scenario.settings)) + scenario.more
    instances = instances.replace("{interval:g}", f"{interval:g}")
    async with staged(
        instances, interval, directory, clocks=scenario.clocks, hosted=scenario.hosted
    ) as stage:
        await scenario.act(stage)
        # The last change may still be on its way through the kernel.
        await stage.quiet(0.1)
        line, since, until = stage.line, stage.since, stage.now()
        return Finding(
            scenario,
            stage.terms,
            " ".join(line.owners(VIP, since, until)),
            line.story(VIP, since, until),
            line.nobody(VIP, since, until),
            line.several(VIP, since, until),
            tuple(stage.notes),
        )


# --- processes that die -------------------------------------------------------------------------


async def the_speaker_is_killed(stage: Stage) -> None:
    """It goes on where it was, before the peer could notice; no address moves, nobody changes state."""
    stage.begin()
    stage.signal("lb1", SIGKILL, "speaker")
    await stage.event("lb1", "process.started", process="speaker")
    await stage.event("lb1", "speaker.connected")
    await stage.quiet(1.5 * stage.terms.down)
    assert stage.transitions("lb2") == []
    stage.note(f"longest silence of lb1 {_gap(stage) * 1000:.0f} ms")


async def the_director_is_killed(stage: Stage) -> None:
    """A director is not what holds an address: it is started again, and no advert is missed."""
    stage.begin()
    stage.signal("lb1", SIGKILL, "director")
    await stage.event("lb1", "daemon.ready")
    await stage.quiet(stage.terms.down)
    assert stage.transitions("lb2") == []
    stage.note(f"longest silence of lb1 {_gap(stage) * 1000:.0f} ms")


async def both_children_are_killed(stage: Stage) -> None:
    """The parent starts both again, and the speaker goes on."""
    stage.begin()
    stage.signal("lb1", SIGKILL, "speaker", "director")
    await stage.event("lb1", "daemon.ready")
    await stage.quiet(stage.terms.down)
    assert stage.transitions("lb2") == []
    stage.note(f"longest silence of lb1 {_gap(stage) * 1000:.0f} ms")


async def everything_is_killed(stage: Stage) -> None:
    """The kernel removes what no process is left to remove; started again, lb1 takes its place again."""
    killed = stage.begin()
    await stage.kill_whole("lb1")
    await _replaced(stage, killed)
    await stage.start("lb1")
    await stage.alone("lb1")


async def the_parent_is_killed(stage: Stage) -> None:
    """The children of a dead parent end in good order: the speaker resigns."""
    stage.begin()
    stage.signal("lb1", SIGKILL, "parent")
    await stage.alone("lb2")


async def an_orderly_stop(stage: Stage) -> None:
    """The master resigns and is replaced in a skew time; it comes back and takes over."""
    process = stage.lb1.process
    assert process is not None
    stage.begin()
    assert await process.stop() == 0
    await stage.alone("lb2")
    await stage.start("lb1")
    await stage.alone("lb1")


async def both_are_restarted_at_once(stage: Stage) -> None:
    """Nobody is there for the time of a start, and then one is master, not two."""
    stage.begin()
    processes = [daemon.process for daemon in stage.daemons.values()]
    await asyncio.gather(*(process.stop() for process in processes if process is not None))
    await asyncio.gather(stage.start("lb1"), stage.start("lb2"))
    await stage.alone("lb1")
    await stage.quiet(stage.terms.down)


# --- processes that freeze ----------------------------------------------------------------------


async def the_speaker_freezes(stage: Stage) -> None:
    """Its address goes with the lease; awake it does not speak as if nothing had been."""
    frozen = stage.begin()
    stage.freeze("lb1", "speaker")
    await _replaced(stage, frozen)
    await _wakes_as_backup(stage, "speaker")


async def the_speaker_stays_frozen(stage: Stage) -> None:
    """The parent replaces it after five seconds; the new one is backup."""
    frozen = stage.begin()
    stage.freeze("lb1", "speaker")
    await _replaced(stage, frozen)
    await stage.event("lb1", "process.hung", process="speaker")
    await stage.event("lb1", "process.started", process="speaker")
    await stage.event("lb1", "vrrp.state", state="backup")
    await stage.quiet(stage.terms.down)
    assert stage.adverts("lb1", frozen + stage.terms.interval + NOISE) == 0


async def the_director_freezes_for_a_moment(stage: Stage) -> None:
    """Within the grace nothing happens."""
    stage.begin()
    stage.freeze("lb1", "director")
    await stage.quiet(3.0)
    stage.thaw("lb1", "director")
    await stage.quiet(stage.terms.down)
    assert (stage.transitions("lb1"), stage.transitions("lb2")) == ([], [])


async def the_director_is_away_longer_than_the_grace(stage: Stage) -> None:
    """A dead control plane does not hold the address: the speaker resigns, and waits for `ready`."""
    frozen = stage.begin()
    stage.freeze("lb1", "director")
    moved = await stage.alone("lb2")
    stage.note(f"handed over {moved - frozen:.2f} s after the freeze, the grace being 2 s")
    assert moved - frozen < 2 + 1 + stage.terms.interval + stage.terms.skew + 2 * NOISE
    await stage.quiet(stage.terms.down)
    stage.thaw("lb1", "director")
    await stage.alone("lb1")


async def speaker_and_director_freeze(stage: Stage) -> None:
    """As the speaker alone."""
    frozen = stage.begin()
    stage.freeze("lb1", "speaker", "director")
    await _replaced(stage, frozen)
    await _wakes_as_backup(stage, "speaker", "director")


async def everything_freezes(stage: Stage) -> None:
    """A machine that was paused longer than its parent's patience: nobody is killed for having been away."""
    frozen = stage.begin()
    stage.freeze("lb1")
    await _replaced(stage, frozen)
    await stage.until("six seconds are over", lambda: stage.now() > frozen + 6)
    await _wakes_as_backup(stage)
    await stage.quiet(2.0)
    assert stage.events("lb1", "process.hung") == []


async def _replaced(stage: Stage, since: float) -> None:
    """A master that fell silent: the peer takes over in time, and the kernel takes the address in time."""
    taken = await stage.until("lb2 holds it", lambda: "lb2" in stage.holders())
    gone = await stage.until("lb1 has lost it", lambda: "lb1" not in stage.holders())
    stage.note(f"lb2 had it after {taken - since:.2f} s, lb1 lost it after {gone - since:.2f} s")
    # Renewed at the latest just before: then the lease is the whole way ahead.
    assert taken - since <= down(stage.terms) * SLOWNESS
    assert gone - since <= lease(stage.terms) * SLOWNESS


async def _wakes_as_backup(stage: Stage, *parts: str) -> None:
    """Awake, it says nothing: it does not know whose the address is now."""
    woken = stage.now()
    stage.thaw("lb1", *parts)  # type: ignore[arg-type]
    await stage.event("lb1", "vrrp.state", state="backup")
    await stage.quiet(2 * stage.terms.down)
    assert stage.adverts("lb1", woken) == 0
    # Not for an instant either: a lease that ran out is not renewed by who does not know it.
    assert stage.line.spans(VIP, woken, stage.now())[0].holders == {"lb2"}
    assert len(stage.line.spans(VIP, woken, stage.now())) == 1


# --- cables -------------------------------------------------------------------------------------


async def the_interface_goes_down(stage: Stage) -> None:
    """FAULT: the address goes at once; up again, the node takes part again."""
    begun = stage.begin()
    stage.net["lb1"].ip("link set front down")
    moved = await stage.alone("lb2")
    stage.note(f"lb2 had it after {moved - begun:.2f} s")
    stage.net["lb1"].ip("link set front up")
    await stage.alone("lb1")


async def the_cable_is_pulled(stage: Stage) -> None:
    """No carrier is FAULT as well."""
    begun = stage.begin()
    stage.net["lb1"].unplug("front")
    moved = await stage.alone("lb2")
    stage.note(f"lb2 had it after {moved - begun:.2f} s")
    stage.net["lb1"].plug("front")
    await stage.alone("lb1")


async def the_master_is_mute(stage: Stage) -> None:
    """What it sends is lost, so both hold the address while that lasts; it hears the other and tells it."""
    stage.begin()
    stage.net["lb1"].cut("front", "out")
    await stage.alone("lb1", "lb2")
    await stage.event("lb1", "vrrp.split_brain")
    await _mended(stage, "lb1")


async def the_master_is_deaf(stage: Stage) -> None:
    """What it does not hear it does not need: nothing happens."""
    stage.begin()
    stage.net["lb1"].cut("front", "in")
    await stage.quiet(3 * stage.terms.down)
    stage.net["lb1"].mend("front")
    await stage.quiet(stage.terms.down)
    assert (stage.transitions("lb1"), stage.transitions("lb2")) == ([], [])


async def the_backup_is_deaf(stage: Stage) -> None:
    """It takes over, for it cannot know better; the master hears it and tells it."""
    stage.begin()
    stage.net["lb2"].cut("front", "in")
    await stage.alone("lb1", "lb2")
    await stage.event("lb1", "vrrp.split_brain")
    await _mended(stage, "lb2")


async def the_backup_is_deaf_and_has_a_witness(stage: Stage) -> None:
    """It cannot reach the witness, so the broken cable is its own; mended, it takes over when it must."""
    stage.begin()
    stage.net["lb2"].cut("front", "in")
    await stage.event("lb2", "tracker.failed", tracker="witness")
    await stage.quiet(2 * stage.terms.down)
    assert stage.transitions("lb2") == []
    stage.net["lb2"].mend("front")
    await stage.quiet(2 * stage.terms.down)
    assert stage.transitions("lb2") == []
    killed = stage.now()
    await stage.kill_whole("lb1")
    # It asks the witness first: half a second at most, far less where that answers.
    await _replaced(stage, killed)


async def directors_do_not_hear_each_other(stage: Stage) -> None:
    """Split brain: only adverts are lost. Both hold the address, both say so, and healed it is one again."""
    stage.begin()
    for node in stage.net.directors:
        node.cut("front", "in", adverts=True)
    await stage.alone("lb1", "lb2")
    # lb2 announces the address when it takes it; lb1 hears that, and contradicts.
    await asyncio.gather(*(stage.event(name, "vip.conflict") for name in stage.daemons))
    healed = stage.now()
    for node in stage.net.directors:
        node.mend("front")
    one = await stage.alone("lb1")
    stage.note(f"one again {one - healed:.2f} s after it was healed")
    assert one - healed < (stage.terms.interval + NOISE) * SLOWNESS
    await stage.quiet(stage.terms.down)


async def _mended(stage: Stage, name: str) -> None:
    mended = stage.now()
    stage.net[name].mend("front")
    one = await stage.alone("lb1")
    stage.note(f"one again {one - mended:.2f} s after it was mended")
    assert one - mended < (stage.terms.interval + NOISE) * SLOWNESS
    await stage.quiet(stage.terms.down)


async def somebody_else_announces_the_address(stage: Stage) -> None:
    """A third machine says that the address is there: told with its MAC, and nobody gives way."""
    stage.begin()
    frame = gratuitous_arp(IPv4Address(VIP), STRANGER)
    with stage.net["client"].entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with contextlib.closing(sender):
        sender.bind(("front", 0))
        sender.send(frame)
    await stage.event("lb1", "vip.conflict", mac=STRANGER.hex(":"))
    await stage.quiet(stage.terms.down)
    assert (stage.transitions("lb1"), stage.transitions("lb2")) == ([], [])


# --- clocks -------------------------------------------------------------------------------------


async def clocks_jump(stage: Stage) -> None:
    """An hour ahead on one node, a day back on the other, and back again: time of day elects nobody."""
    stage.begin()
    _jump(stage, 3600, -86400)
    await stage.quiet(2 * stage.terms.down)
    _jump(stage, -3600, 86400)
    await stage.quiet(2 * stage.terms.down)
    _jump(stage, 0, 0)
    await stage.quiet(stage.terms.down)
    assert (stage.transitions("lb1"), stage.transitions("lb2")) == ([], [])


async def signed_adverts_and_clocks_that_jump_together(stage: Stage) -> None:
    """Adverts prove themselves by the time: a jump that both make, by one time server, disturbs nobody."""
    stage.begin()
    for hours in (1, -24, 0):
        _jump(stage, hours * 3600, hours * 3600)
        await stage.quiet(2 * stage.terms.down)
    assert stage.transitions("lb2") == []


async def signed_adverts_and_a_wrong_clock(stage: Stage) -> None:
    """Beyond the window neither hears the other: both hold the address and say why; set right it is one."""
    stage.begin()
    _jump(stage, 0, 3600)
    await stage.alone("lb1", "lb2")
    for name in stage.daemons:
        await stage.event(name, "vrrp.forged", reason="auth_window")
    righted = stage.now()
    _jump(stage, 0, 0)
    one = await stage.alone("lb1")
    stage.note(f"one again {one - righted:.2f} s after it was set right")
    assert one - righted < (stage.terms.interval + NOISE) * SLOWNESS
    await stage.quiet(stage.terms.down)


def _jump(stage: Stage, lb1: float, lb2: float) -> None:
    for daemon, offset in ((stage.lb1, lb1), (stage.lb2, lb2)):
        assert daemon.clock is not None
        set_clock(daemon.clock, offset)


# --- operators ----------------------------------------------------------------------------------


async def a_planned_failover(stage: Stage) -> None:
    """`lvsha-cli failover` comes back when the peer is master."""
    stage.begin()
    result = await stage.lb1.cli("failover")
    assert result.status == 0, result
    # The peer was heard as master: its address comes right behind its advert.
    await stage.alone("lb2")
    await stage.quiet(stage.terms.down)


async def a_failover_that_nobody_takes(stage: Stage) -> None:
    """The peer is held: after the time that was given the command says so, and the node takes part again.

    It takes the address when its own master-down interval is over since it resigned, and not before.
    """
    assert (await stage.lb2.cli("hold")).status == 0
    stage.begin()
    result = await stage.lb1.cli("failover", "--wait", "2s")
    assert result.status == 5, result
    await stage.alone("lb1")
    assert (await stage.lb2.cli("release")).status == 0
    await stage.quiet(stage.terms.down)


async def hold_and_release(stage: Stage) -> None:
    """Held, the master resigns; released, it takes over again."""
    stage.begin()
    assert (await stage.lb1.cli("hold")).status == 0
    await stage.alone("lb2")
    await stage.quiet(stage.terms.down)
    assert (await stage.lb1.cli("release")).status == 0
    await stage.alone("lb1")


# --- groups -------------------------------------------------------------------------------------


async def a_group_stops(stage: Stage) -> None:
    """The outside addresses and the servers' gateway move together."""
    process = stage.lb1.process
    assert process is not None
    stage.begin()
    assert await process.stop() == 0
    await _moved(stage, 0.1)


async def a_group_is_handed_over(stage: Stage) -> None:
    """By the command."""
    stage.begin()
    assert (await stage.lb1.cli("failover")).status == 0
    await _moved(stage, 0.1)


async def a_group_loses_one_cable(stage: Stage) -> None:
    """One wire of two is cut off: the instances on the good wire go as well."""
    stage.begin()
    stage.net["lb1"].unplug("front")
    await _moved(stage, 0.1)


async def a_group_is_killed(stage: Stage) -> None:
    """The kernel takes its addresses; each has a lease of its own, in whole seconds."""
    stage.begin()
    await stage.kill_whole("lb1")
    await _moved(stage, 1.0)


async def _moved(stage: Stage, bound: float) -> None:
    addresses = (VIP, GATEWAY, VIP6)
    await stage.until(
        "lb2 alone holds all", lambda: all(stage.holders(each) == {"lb2"} for each in addresses)
    )
    divided = stage.line.divided(addresses, stage.since, stage.now())
    stage.note(f"half moved for {divided * 1000:.0f} ms")
    assert divided < (bound + NOISE) * SLOWNESS


def _gap(stage: Stage) -> float:
    """The longest time between two adverts of lb1 since the failure."""
    heard = [each.at for each in stage.ears.heard if each.source == "192.0.2.1"]
    times = [stage.since, *heard, stage.now()]
    return max(after - before for before, after in pairwise(times))


def lasting(_: Terms) -> float:
    """As long as the cut does; how soon it is over then is the scenario's to judge."""
    return float("inf")


WAITING = "preempt = false"
SCENARIOS = (
    Scenario("the speaker is killed", the_speaker_is_killed, "lb1"),
    Scenario("the director is killed", the_director_is_killed, "lb1"),
    Scenario("speaker and director are killed", both_children_are_killed, "lb1"),
    Scenario("everything is killed, and started again", everything_is_killed, "lb1 lb2 lb1", skew, lease),
    Scenario("the parent is killed", the_parent_is_killed, "lb1 lb2", skew, hosted=True),
    Scenario("an orderly stop, and a start", an_orderly_stop, "lb1 lb2 lb1", skew, passing),
    Scenario(
        "both are restarted at once",
        both_are_restarted_at_once,
        "lb1 or lb1 lb2 lb1",
        lambda t: 10 + down(t),
        passing,
    ),
    Scenario("the speaker freezes and wakes", the_speaker_freezes, "lb1 lb2", both=lease, settings=WAITING),
    Scenario("the speaker stays frozen", the_speaker_stays_frozen, "lb1 lb2", both=lease, settings=WAITING),
    Scenario("the director freezes for 3 s", the_director_freezes_for_a_moment, "lb1"),
    Scenario(
        "the director is away longer than the grace",
        the_director_is_away_longer_than_the_grace,
        "lb1 lb2 lb1",
        skew,
        passing,
        more='[speaker]\ngrace = "2s"\n',
    ),
    Scenario(
        "speaker and director freeze and wake",
        speaker_and_director_freeze,
        "lb1 lb2",
        both=lease,
        settings=WAITING,
    ),
    Scenario(
        "everything freezes for 6 s and wakes", everything_freezes, "lb1 lb2", both=lease, settings=WAITING
    ),
    Scenario("the interface goes down and up", the_interface_goes_down, "lb1 lb2 lb1", down, passing),
    Scenario("the cable is pulled and put back", the_cable_is_pulled, "lb1 lb2 lb1", down, passing),
    Scenario("the master is mute, and mended", the_master_is_mute, "lb1", both=lasting),
    Scenario("the master is deaf, and mended", the_master_is_deaf, "lb1"),
    Scenario("the backup is deaf, and mended", the_backup_is_deaf, "lb1", both=lasting),
    Scenario(
        "the backup is deaf and has a witness; later the master dies",
        the_backup_is_deaf_and_has_a_witness,
        "lb1 lb2",
        both=lease,
        settings='witness = "192.0.2.10"',
    ),
    Scenario(
        "the directors do not hear each other's adverts",
        directors_do_not_hear_each_other,
        "lb1",
        both=lasting,
        # No second burst of announcements: on a pair that has run for long there is none on its way.
        settings='garp = { delay = "0s" }',
    ),
    Scenario("somebody else announces the address", somebody_else_announces_the_address, "lb1"),
    Scenario("both clocks jump, by hours", clocks_jump, "lb1", clocks=True),
    Scenario(
        "signed adverts, and clocks that jump together",
        signed_adverts_and_clocks_that_jump_together,
        "lb1",
        settings=KEYS,
        clocks=True,
    ),
    Scenario(
        "signed adverts, and a clock that is wrong by an hour, set right",
        signed_adverts_and_a_wrong_clock,
        "lb1",
        both=lasting,
        settings=KEYS,
        clocks=True,
    ),
    Scenario("a planned failover", a_planned_failover, "lb1 lb2", skew),
    Scenario(
        "a failover that nobody takes, in 2 s",
        a_failover_that_nobody_takes,
        "lb1",
        lambda t: max(2, t.down) + NOISE,
    ),
    Scenario("hold and release", hold_and_release, "lb1 lb2 lb1", skew, passing),
    Scenario("a group of three stops", a_group_stops, "lb1 lb2", skew, instances=GROUP),
    Scenario("a group of three is handed over", a_group_is_handed_over, "lb1 lb2", skew, instances=GROUP),
    Scenario(
        "a group of three loses one of its cables", a_group_loses_one_cable, "lb1 lb2", down, instances=GROUP
    ),
    Scenario("a group of three is killed", a_group_is_killed, "lb1 lb2", both=lease, instances=GROUP),
)
