"""Tests of lvsha.daemon.monitor: the schedule, against probes that a test answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

import checks
from lvsha.daemon import monitor
from lvsha.daemon.monitor import Monitor, probe
from lvsha.daemon.pace import LATE
from lvsha.desired import Target
from lvsha.health import Health
from tests.lab.background import background
from tests.lab.services import CHECK
from tests.lab.virtual import in_virtual_time, spend

QUICK = replace(CHECK, interval=0.02, fast_interval=0.005, rise=2, fall=3, jitter=0.0)


def target(number: int) -> Target:
    """A target that is checked every 20 ms."""
    return Target(QUICK, ip_address(f"10.0.0.{number}"), 80)


class Ward:
    """Answers probes and keeps verdicts, as the director does."""

    def __init__(self) -> None:
        self.ok = True
        self.health: dict[Target, Health] = {}
        self.begun: dict[Target, list[float]] = {}
        self.news = asyncio.Event()
        self.monitor = Monitor(self.report, probe=self.probe)

    async def probe(self, target: Target) -> checks.Outcome:
        """Answer at once."""
        self.begun.setdefault(target, []).append(asyncio.get_running_loop().time())
        return checks.Outcome(self.ok, "answered")

    def report(self, target: Target, outcome: checks.Outcome) -> Health:
        """Take a result."""
        before = self.health.get(target, Health())
        check = target.check
        self.health[target] = before.observe(
            outcome.ok, outcome.detail, rise=check.rise, fall=check.fall, now=0.0
        )
        self.news.set()
        return self.health[target]

    async def until(self, target: Target, probes: int) -> list[float]:
        """When the probes of a target began, once there are so many."""
        async with asyncio.timeout(10):
            while len(self.begun.get(target, ())) < probes:
                self.news.clear()
                await self.news.wait()
        return self.begun[target]


@asynccontextmanager
async def running(monitor: Monitor, targets: Iterable[Target]) -> AsyncIterator[None]:
    """The monitor in the background."""
    async with background(monitor.run(targets)):
        yield


async def test_every_target_is_probed_again_and_again() -> None:
    """Each target has its own schedule."""
    ward = Ward()
    async with running(ward.monitor, [target(1), target(2)]):
        await ward.until(target(1), 3)
        await ward.until(target(2), 3)


@in_virtual_time
async def test_a_settled_verdict_is_checked_at_the_interval() -> None:
    """The n-th probe of a healthy server begins n intervals after the first."""
    ward = Ward()
    async with running(ward.monitor, [target(1)]):
        begun = await ward.until(target(1), 5)
    assert [at - begun[0] for at in begun] == pytest.approx([n * QUICK.interval for n in range(5)])


@in_virtual_time
async def test_what_came_late_is_not_made_up_for() -> None:
    """After a probe that took five intervals the next ones keep their distance: no burst for the tired."""
    ward = Ward()
    one, first = Target(replace(QUICK, interval=0.05), ip_address("10.0.0.1"), 80), True

    async def slow_at_first(target: Target) -> checks.Outcome:
        nonlocal first
        outcome = await ward.probe(target)
        if first:
            first = False
            await asyncio.sleep(5 * target.check.interval)
        return outcome

    ward.monitor = Monitor(ward.report, probe=slow_at_first)
    async with running(ward.monitor, [one]):
        begun = await ward.until(one, 4)
    assert begun[3] - begun[1] == pytest.approx(2 * 0.05)


async def test_a_first_probe_comes_within_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many checks begin together, spreading them makes no server wait longer than that."""
    monkeypatch.setattr(monitor, "SPREAD", 60.0)
    ward = Ward()
    async with running(ward.monitor, [target(n) for n in range(1, 6)]):
        for n in range(1, 6):
            await ward.until(target(n), 1)


@in_virtual_time
async def test_a_verdict_in_the_making_is_hurried() -> None:
    """While results speak against the verdict the fast interval holds."""
    ward = Ward()
    hurried = replace(QUICK, interval=3600.0, fast_interval=0.001)
    one = Target(hurried, ip_address("10.0.0.1"), 80)
    ward.health[one] = Health()
    ward.ok = False
    async with running(ward.monitor, []):
        ward.monitor.follow([one])
        begun = await ward.until(one, 3)
    assert begun[2] - begun[0] < 60


@in_virtual_time
async def test_jitter_only_shortens_a_pause() -> None:
    """A judgement within fall x interval can be promised: no pause is longer than the interval."""
    ward = Ward()

    class Loaded:
        """Dice that always show the most."""

        def random(self) -> float:
            """As random.Random."""
            return 1.0

    ward.monitor = Monitor(ward.report, probe=ward.probe, dice=Loaded())  # type: ignore[arg-type]
    one = Target(replace(QUICK, interval=0.2, jitter=0.9), ip_address("10.0.0.1"), 80)
    async with running(ward.monitor, [one]):
        begun = await ward.until(one, 4)
    assert begun[3] - begun[0] < 3 * 0.2


async def test_following_another_set_disturbs_nothing_that_stays() -> None:
    """A reload keeps running checks running, ends others and begins new ones."""
    ward = Ward()
    async with running(ward.monitor, [target(1), target(2)]):
        await ward.until(target(1), 1)
        tasks = {t.get_name(): t for t in asyncio.all_tasks() if t.get_name().startswith("check ")}
        ward.monitor.follow([target(1), target(3)])
        await ward.until(target(3), 1)
        now = {t.get_name(): t for t in asyncio.all_tasks() if t.get_name().startswith("check ")}
        assert now["check 10.0.0.1:80"] is tasks["check 10.0.0.1:80"]
        assert "check 10.0.0.2:80" not in now
        assert ward.monitor.targets == {target(1), target(3)}


async def test_a_probe_that_breaks_ends_the_monitor() -> None:
    """A fault in a probe's own code is not swallowed: it ends the task group by name."""
    ward = Ward()

    async def broken(_: Target) -> checks.Outcome:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await Monitor(ward.report, probe=broken).run([target(1)])
    assert caught.group_contains(ZeroDivisionError)


async def test_a_probe_is_bounded_by_its_timeout() -> None:
    """A server that accepts and says nothing is judged within the timeout of its check."""
    from checks.tcp import Tcp

    release = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        check = replace(CHECK, check=Tcp(expect="ready"), timeout=0.1)
        outcome = await probe(Target(check, ip_address("127.0.0.1"), port))
        release.set()
    assert not outcome.ok
    assert "127.0.0.1" in outcome.detail


@in_virtual_time
async def test_more_probes_than_there_is_time_for_wait_for_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Asked for twice what it can do, the loop says so and is on time for everything else again."""
    ward = Ward()

    async def hard(target: Target) -> checks.Outcome:
        with checks.lag():
            await asyncio.sleep(0)
            spend(0.002)
            return await ward.probe(target)

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            ward.news.clear()
            await ward.news.wait()

    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "checks.late" in said

    ward.monitor = Monitor(ward.report, probe=hard)
    often = [Target(replace(QUICK, interval=0.2), ip_address(f"10.0.0.{n}"), 80) for n in range(1, 201)]
    async with asyncio.timeout(60), running(ward.monitor, often):
        await until(told)
        assert checks.lag().recent > LATE
        await until(lambda: checks.lag().recent < LATE / 2)
