"""Tests of lvsha.daemon.director: what changes the state, what is told, what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import checks
from lvsha.config import Config, ServiceConfig
from lvsha.daemon.director import Director
from lvsha.daemon.memory import Memory
from lvsha.desired import Target, target_of
from lvsha.errors import StateError
from lvsha.health import State
from lvsha.model import Observed, Owned, ServerState, ServiceKey, ServiceState, SyncKey, SyncRole
from lvsha.overrides import KEPT, Kind, Override, Overrides, Selector
from lvsha.standing import Word
from tests.lab.hearing import Hearing
from tests.lab.services import config, server, service

WEB = service(server(1), server(2))
OTHER = service(server(1), name="other", port=81)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Looks:
    """Which services were to be looked at; None: everything."""

    def __init__(self) -> None:
        self.asked: list[frozenset[ServiceKey] | None] = []

    def __call__(self, keys: Iterable[ServiceKey] | None = None) -> None:
        """As `Reconciler.look`."""
        self.asked.append(None if keys is None else frozenset(keys))


def director(
    tmp_path: Path, cfg: Config | None = None, looks: Looks | None = None, clock: Clock | None = None
) -> Director:
    """A director of web and other, with its state in a directory of the test's."""
    cfg = cfg or config(WEB, OTHER)
    return Director(cfg, Memory(tmp_path), look=looks or Looks(), clock=clock or Clock())


def target(number: int) -> Target:
    """What is probed of a server."""
    found = target_of(server(number))
    assert found is not None
    return found


def report(d: Director, number: int, *results: bool) -> None:
    """Results of probes of one server."""
    for ok in results:
        d.report(target(number), checks.Outcome(ok, "answered 500" if not ok else "answered 200"))


def drain(name: str = "rs1", until: float | None = None) -> Override:
    """An override that drains a server everywhere."""
    return Override(Selector(server=name), Kind.DRAIN, None, "kernel update", "root", 1000.0, until)


def test_a_verdict_is_told_for_every_service_and_looked_at(tmp_path: Path, said: Hearing) -> None:
    """A server shared by two services goes up in both by one check."""
    looks = Looks()
    d = director(tmp_path, looks=looks)
    report(d, 1, True)
    up = [e for e in said if e["event"] == "server.up"]
    assert [(e["service"], e["server"], e["detail"]) for e in up] == [
        ("web", "rs1", "answered 200"),
        ("other", "rs1", "answered 200"),
    ]
    assert looks.asked == [{WEB.key, OTHER.key}]


def test_a_result_that_changes_nothing_is_not_told(tmp_path: Path, said: Hearing) -> None:
    """A thousand successes are one event and one look."""
    looks = Looks()
    d = director(tmp_path, looks=looks)
    report(d, 2, *[True] * 10)
    assert len([e for e in said if e["event"] == "server.up"]) == 1
    assert len(looks.asked) == 1


def test_a_server_that_fails_tells_how_long_it_was_up(tmp_path: Path, said: Hearing) -> None:
    """`server.down` carries the last answer and the seconds in service."""
    clock = Clock()
    d = director(tmp_path, clock=clock)
    report(d, 2, True)
    clock.now += 60
    report(d, 2, False, False, False)
    down = next(e for e in said if e["event"] == "server.down")
    assert (down["detail"], down["seconds"], down["alert"]) == ("answered 500", 60.0, True)


def test_a_services_word_is_told_when_it_changes(tmp_path: Path, said: Hearing) -> None:
    """ok, degraded, down and back, each once."""
    d = director(tmp_path, config(WEB))
    report(d, 1, True)
    report(d, 2, True)
    report(d, 1, *[False] * 3)
    report(d, 2, *[False] * 3)
    report(d, 1, True, True)
    report(d, 2, True, True)
    words = [e["event"] for e in said if e["event"].startswith("service.")]
    assert words == ["service.ok", "service.degraded", "service.down", "service.degraded", "service.ok"]


def test_an_override_survives_a_restart(tmp_path: Path, said: Hearing) -> None:
    """What was said by hand is on disk before it takes effect, and in force in the next process."""
    director(tmp_path).override(drain())
    again = director(tmp_path)
    assert [o.reason for o in again.overrides.entries] == ["kernel update"]
    report(again, 1, True)
    assert [p.weight for p in again.places("web")] == [0, None]
    assert [(e["target"], e["servers"]) for e in said if e["event"] == "override.set"] == [("rs1", 2)]


def test_the_cause_is_told_before_the_effect(tmp_path: Path, said: Hearing) -> None:
    """A drain that leaves a service without servers; its end by a word, by its time, by another director."""
    clock = Clock()
    lonely = service(server(1, check=None))
    d = director(tmp_path, config(lonely), clock=clock)
    d.override(drain("rs1"))
    d.clear([drain("rs1")], by="root")
    d.override(drain("rs1", until=1100.0))
    clock.now = 1100.0
    d.expire()
    d.merge(d.overrides.put(drain("rs1"), node="lb2"), by="lb2")
    assert [e["event"] for e in said] == [
        *("override.set", "service.down"),
        *("override.cleared", "service.ok"),
        *("override.set", "service.down"),
        *("override.expired", "service.ok"),
        *("override.synced", "service.down"),
    ]


def test_an_override_that_cannot_be_kept_does_not_take_effect(tmp_path: Path) -> None:
    """Better refused than forgotten at the next restart."""
    d = director(tmp_path / "missing")
    with pytest.raises(StateError):
        d.override(drain())
    assert d.overrides.entries == ()


def test_an_override_ends_at_its_time(tmp_path: Path, said: Hearing) -> None:
    """`--for 2h` needs no second command."""
    clock = Clock()
    d = director(tmp_path, clock=clock)
    d.override(drain(until=1100.0))
    assert d.expire() == 1100.0
    clock.now = 1100.0
    assert d.expire() is None
    assert d.overrides.entries == ()
    assert "override.expired" in [e["event"] for e in said]


def test_an_override_ends_although_that_cannot_be_written(tmp_path: Path, said: Hearing) -> None:
    """The file says by itself when it ends, so a full disk neither prolongs it nor ends the director."""
    clock, state = Clock(), tmp_path / "state"
    state.mkdir()
    d = director(state, clock=clock)
    d.override(drain(until=1100.0))
    state.rename(tmp_path / "gone")
    clock.now = 1100.0
    assert d.expire() is None
    assert (d.overrides.entries, [e["event"] for e in said][-1]) == ((), "override.expired")
    again = director(tmp_path / "gone", clock=clock)
    assert again.expire() is None
    assert again.overrides.entries == ()


def test_what_another_director_heard_is_kept_first_and_looked_at(tmp_path: Path, said: Hearing) -> None:
    """A drain said to the other node is on disk, in force and told with its words, once."""
    theirs = Overrides().put(drain(), node="lb2")
    looks = Looks()
    d = director(tmp_path, looks=looks)
    report(d, 1, True)
    d.merge(theirs, by="lb2")
    d.merge(theirs, by="lb2")
    assert [p.weight for p in d.places("web")] == [0, None]
    assert looks.asked[1:] == [{WEB.key, OTHER.key}]
    assert director(tmp_path).overrides == theirs
    synced = [(e["peer"], e["changed"]) for e in said if e["event"] == "override.synced"]
    assert synced == [("lb2", ["set: drain rs1"])]


def test_what_was_taken_back_elsewhere_is_taken_back_here(tmp_path: Path, said: Hearing) -> None:
    """The other node's undrain ends the drain that was said to this one."""
    d = director(tmp_path)
    d.override(drain())
    theirs = d.overrides.remove([drain()], now=1001.0, node="lb2")
    d.merge(theirs, by="lb2")
    assert d.overrides.entries == ()
    assert [e["changed"] for e in said if e["event"] == "override.synced"] == [["ended: drain rs1"]]
    d.merge(Overrides().put(drain(), node="lb1"), by="lb2")
    assert d.overrides.entries == ()


def test_what_has_ended_before_it_was_heard_of_is_no_news(tmp_path: Path, said: Hearing) -> None:
    """A director that returns with an old drain neither revives nor announces it."""
    clock = Clock()
    d = director(tmp_path, clock=clock)
    clock.now = 2000.0
    d.merge(Overrides().put(drain(until=1100.0), node="lb2"), by="lb2")
    assert (d.overrides.entries, len(d.overrides.records)) == ((), 1)
    assert said == []
    clock.now = 1100.0 + KEPT
    d.expire()
    assert (d.overrides.records, director(tmp_path).overrides.records) == ((), ())


def test_an_end_of_ones_own_is_told_before_a_merge(tmp_path: Path, said: Hearing) -> None:
    """Hearing the other node's words at the moment of an end does not swallow its event."""
    clock = Clock()
    d = director(tmp_path, clock=clock)
    d.override(drain(until=1100.0))
    clock.now = 1100.0
    d.merge(Overrides().put(drain("rs2"), node="lb2"), by="lb2")
    assert [e["event"] for e in said][-2:] == ["override.expired", "override.synced"]


def test_many_words_at_once(tmp_path: Path, said: Hearing) -> None:
    """Hundreds of words that were said elsewhere are one look, and one event of bounded size."""
    theirs = Overrides()
    for number in range(300):
        theirs = theirs.put(drain(f"rs{number}"), node="lb2")
    looks = Looks()
    d = director(tmp_path, looks=looks)
    d.merge(theirs, by="lb2")
    assert len(d.overrides.entries) == 300
    assert looks.asked == [{WEB.key, OTHER.key}]
    (synced,) = [e for e in said if e["event"] == "override.synced"]
    assert (len(synced["changed"]), synced["changed"][-1]) == (21, "and 280 more")


def test_what_cannot_be_kept_is_not_taken_over(tmp_path: Path) -> None:
    """As with an operator's own words: better heard again than forgotten."""
    d = director(tmp_path / "missing")
    with pytest.raises(StateError):
        d.merge(Overrides().put(drain(), node="lb2"), by="lb2")
    assert d.overrides == Overrides()


async def test_waiting_for_a_change_of_the_overrides(tmp_path: Path) -> None:
    """Those who wait are woken by the next change."""
    d = director(tmp_path)
    waiter = asyncio.create_task(d.overrides_changed())
    await asyncio.sleep(0)
    d.override(drain())
    async with asyncio.timeout(1):
        await waiter


async def test_all_are_judged_once_each_target_has_a_verdict(tmp_path: Path) -> None:
    """The start gate waits for the first verdicts, good or bad."""
    d = director(tmp_path)
    waiter = asyncio.create_task(d.all_judged())
    report(d, 1, True)
    await asyncio.sleep(0)
    assert not waiter.done()
    report(d, 2, False, False, False)
    async with asyncio.timeout(1):
        await waiter


async def test_a_reload_waits_for_no_verdict_that_will_never_come(tmp_path: Path) -> None:
    """A server that left before its first verdict holds the gate no longer; a new one does."""
    d = director(tmp_path)
    waiter = asyncio.create_task(d.all_judged())
    report(d, 1, True)
    await d.reconfigure(config(service(server(1), server(3))))
    await asyncio.sleep(0)
    assert not waiter.done()
    report(d, 3, True)
    async with asyncio.timeout(1):
        await waiter


async def test_a_result_that_comes_after_its_check_has_gone_is_forgotten(tmp_path: Path) -> None:
    """When the check returns one day, an old verdict is not taken for a new one."""
    d = director(tmp_path)
    report(d, 2, True)
    await d.reconfigure(config(OTHER))
    report(d, 2, True)
    await d.reconfigure(config(WEB))
    assert [p.health.state for p in d.places("web")] == [State.UNKNOWN, State.UNKNOWN]


async def test_a_reload_tells_how_services_stand_now(tmp_path: Path, said: Hearing) -> None:
    """Taking the server that is down out of the configuration ends the warning."""
    d = director(tmp_path, config(WEB))
    report(d, 1, True)
    report(d, 2, False, False, False)
    assert d.words["web"] is Word.DEGRADED
    await d.reconfigure(config(service(server(1))))
    await d.found(Observed())
    assert d.words["web"] is Word.OK
    assert [e["event"] for e in said][-1] == "service.ok"


async def test_nothing_is_left_of_a_service_that_is_gone(tmp_path: Path) -> None:
    """`status` does not warn for ever of one that was down when a reload took it away."""
    d = director(tmp_path)
    report(d, 1, False, False, False)
    assert d.words["other"] is Word.DOWN
    await d.reconfigure(config(WEB))
    assert list(d.words) == ["web"]


async def test_a_service_is_not_said_to_be_ok_before_every_verdict(tmp_path: Path, said: Hearing) -> None:
    """After a restart the servers in the table serve, but nobody knows yet how those beside it are."""
    d = director(tmp_path, config(WEB))
    there = Observed({WEB.key: ServiceState(WEB.service, {server(1).key: ServerState(server(1).server)})})
    await d.found(there)
    report(d, 1, True)
    assert not [e for e in said if e["event"].startswith("service.")]
    report(d, 2, False, False, False)
    assert [e["event"] for e in said if e["event"].startswith("service.")] == ["service.degraded"]


async def test_what_is_found_at_the_start_is_adopted_once(tmp_path: Path) -> None:
    """The first look adopts; later looks do not make a failed server look adopted again."""
    d = director(tmp_path)
    there = Observed({WEB.key: ServiceState(WEB.service, {server(1).key: ServerState(server(1).server)})})
    await d.found(there)
    assert [p.weight for p in d.places("web")] == [10, None]
    await d.found(Observed())
    assert [p.weight for p in d.places("web")] == [10, None]


async def test_a_reload_keeps_verdicts_and_adopts_what_changed(tmp_path: Path) -> None:
    """A changed check has no verdict yet: its server stays as it is in the table."""
    d = director(tmp_path)
    await d.found(Observed())
    report(d, 1, True)
    report(d, 2, True)
    assert server(2).check is not None
    slower = replace(server(2), check=replace(server(2).check, interval=9.0))  # type: ignore[type-var]
    changed = config(service(server(1), slower))
    await d.reconfigure(changed)
    states = {s.key: ServerState(s.server) for s in (server(1), server(2))}
    await d.found(Observed({WEB.key: ServiceState(WEB.service, states)}))
    places = d.places("web")
    assert [p.weight for p in places] == [10, 10]
    assert [p.health.state for p in places] == [State.UP, State.UNKNOWN]
    assert d.generation == 2


def owned(*services: ServiceConfig) -> Owned:
    """These are lvsha's, and a role of the sync daemon."""
    return Owned(frozenset(s.key for s in services), frozenset({SyncKey(SyncRole.MASTER, "eth1", 7)}))


def test_a_removed_service_is_still_owned(tmp_path: Path) -> None:
    """What lvsha added it may remove after a restart with another configuration."""
    d = director(tmp_path)
    d.own(owned(WEB))
    _, known = director(tmp_path, config(OTHER)).wanted()
    assert known.owned == owned(WEB)


def test_what_is_gone_is_owned_no_more(tmp_path: Path) -> None:
    """Also in the next process: what somebody else adds there later is not lvsha's to remove."""
    d = director(tmp_path)
    d.own(owned(WEB, OTHER))
    d.disown(but=owned(OTHER))
    assert d.wanted()[1].owned == director(tmp_path).wanted()[1].owned == owned(OTHER)


def test_what_is_recorded_is_not_written_again(tmp_path: Path) -> None:
    """A look every second is no reason to wear out a disk."""
    d = director(tmp_path)
    d.own(owned(WEB))
    before = (tmp_path / "owned.json").stat()
    d.own(owned(WEB))
    d.disown(but=owned(WEB))
    assert (tmp_path / "owned.json").stat().st_mtime_ns == before.st_mtime_ns


def test_a_full_disk_does_not_stop_directing(tmp_path: Path, said: Hearing) -> None:
    """What is owned is known in memory, said once, and written as soon as it can be."""
    state = tmp_path / "state"
    d = director(state)
    for _ in range(3):
        d.own(owned(WEB))
    assert d.wanted()[1].owned == owned(WEB)
    assert [e["event"] for e in said] == ["state.unwritable"]
    state.mkdir()
    d.own(owned(WEB))
    assert director(state).wanted()[1].owned == owned(WEB)


def test_what_the_reconciler_works_with_does_not_change_under_it(tmp_path: Path) -> None:
    """`wanted` is a snapshot: a verdict that comes in meanwhile is for the next look."""
    d = director(tmp_path)
    _, known = d.wanted()
    report(d, 1, True)
    assert known.health == {}


def test_a_service_starts_as_checking(tmp_path: Path) -> None:
    """Before the first verdict nothing bad is said of a service."""
    assert director(tmp_path).standing("web").word is Word.CHECKING


def test_how_many_serve_is_not_known_before_every_verdict(tmp_path: Path) -> None:
    """Nobody is told "none" of a service whose servers have merely not been reached yet."""
    d = director(tmp_path)
    assert d.in_service("web") is None
    report(d, 1, True)
    assert d.in_service("web") is None
    report(d, 2, False, False, False)
    assert d.in_service("web") == 1


async def test_what_touches_many_services_is_told_in_slices(tmp_path: Path, said: Hearing) -> None:
    """A server in a hundred services: each is told, and the event loop runs in between."""
    many = config(*(service(server(1), name=f"s{n}", port=n) for n in range(1, 101)))
    d = director(tmp_path, many)
    report(d, 1, True)
    assert not [e for e in said if e["event"] == "service.ok"]
    task = asyncio.create_task(d.run())
    turns = 0
    while len([e for e in said if e["event"] == "service.ok"]) < 100:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 5
    task.cancel()


async def test_a_service_that_loses_many_servers_at_once_says_so_once(tmp_path: Path, said: Hearing) -> None:
    """A hundred verdicts that come together are worked out together, not a hundred servers for each."""
    d = director(tmp_path, config(service(*(server(n) for n in range(1, 101)))))
    for n in range(1, 101):
        report(d, n, False, False, False)
    assert len([e for e in said if e["event"] == "server.down"]) == 100
    assert not [e for e in said if e["event"].startswith("service.")]
    task = asyncio.create_task(d.run())
    await asyncio.sleep(0)
    assert [e["event"] for e in said if e["event"].startswith("service.")] == ["service.down"]
    task.cancel()
