"""Tests of lvsha.daemon.reconciler against a table in memory that behaves like the kernel's."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest

from lvsha.config import Config, IpvsConfig, SyncConfig
from lvsha.daemon import reconciler as module
from lvsha.daemon.reconciler import Reconciler
from lvsha.desired import Knowledge, target_of
from lvsha.errors import KernelError
from lvsha.health import Health, State
from lvsha.model import Mode, Observed, Owned, ServerKey, ServiceKey, SyncRole, Timeouts
from lvsha.plan import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    SetSourceNat,
    SetTimeouts,
    StartSync,
    Step,
    StopSync,
)
from tests.lab.background import background
from tests.lab.fake_ipvs import FakeIpvs
from tests.lab.hearing import Hearing
from tests.lab.services import config, server, service

UP, DOWN = Health(State.UP), Health(State.DOWN)
WEB = service(server(1), server(2))


@dataclass
class Truth:
    """What is wanted, as the director would say it."""

    config: Config = field(default_factory=lambda: config(WEB))
    verdicts: dict[int, Health] = field(default_factory=lambda: {1: UP, 2: UP})
    owned: Owned = Owned()
    adopted: dict[tuple[ServiceKey, ServerKey], int] = field(default_factory=dict)
    owned_after: int = -1
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    table: FakeIpvs | None = None

    def wanted(self) -> tuple[Config, Knowledge]:
        """The configuration, and verdicts by the servers' numbers."""
        health = {t: h for n, h in self.verdicts.items() if (t := target_of(server(n))) is not None}
        return self.config, Knowledge(health, adopted=self.adopted, owned=self.owned)

    async def found(self, observed: Observed) -> None:
        """Tell the test of a whole look."""
        assert isinstance(observed, Observed)
        self.looked.set()

    def own(self, more: Owned) -> None:
        """Remember ownership, and how many steps were done by then."""
        assert self.table is not None
        self.owned |= more
        self.owned_after = len(self.table.applied)

    def disown(self, *, but: Owned) -> None:
        """Forget ownership of everything else."""
        self.owned &= but


@pytest.fixture
def table() -> FakeIpvs:
    """An empty table."""
    return FakeIpvs()


@pytest.fixture
def truth(table: FakeIpvs) -> Truth:
    """Two servers in one service, both healthy."""
    return Truth(table=table)


@asynccontextmanager
async def running(reconciler: Reconciler) -> AsyncIterator[None]:
    """The reconciler's loop in the background."""
    async with background(reconciler.run()):
        yield


def names(events: list[dict[str, Any]]) -> list[str]:
    """The names of events, each once, in order."""
    return list(dict.fromkeys(e["event"] for e in events))


async def test_the_first_look_programs_everything(table: FakeIpvs, truth: Truth, said: Hearing) -> None:
    """An empty kernel holds the whole configuration after one look, and that is no drift."""
    look = await Reconciler(table, truth, 30).once()
    assert [type(s) for s in look.steps] == [AddService, AddServer, AddServer]
    assert (truth.owned, truth.owned_after) == (Owned(frozenset({WEB.key})), 0)
    assert names(said) == ["step.applied"]


async def test_a_look_at_what_is_right_does_nothing(table: FakeIpvs, truth: Truth) -> None:
    """The table is read and left alone."""
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    reconciler.look()
    assert (await reconciler.once()).steps == ()


async def test_what_somebody_else_changed_is_repaired_and_reported(
    table: FakeIpvs, truth: Truth, said: Hearing
) -> None:
    """`ipvsadm -C` by hand: everything is back at the next look, as drift."""
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    table.services.clear()
    table.servers.clear()
    said.clear()
    reconciler.look()
    look = await reconciler.once()
    assert len(look.drift) == 3
    assert table.servers[WEB.key].keys() == {server(1).key, server(2).key}
    assert [(e["event"], e["count"], e["alert"]) for e in said] == [("drift.repaired", 3, True)]


async def test_a_changed_wish_is_no_drift(table: FakeIpvs, truth: Truth, said: Hearing) -> None:
    """A server that failed leaves as an ordinary step."""
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    said.clear()
    truth.verdicts[2] = DOWN
    reconciler.look({WEB.key})
    look = await reconciler.once()
    assert look.steps == (DeleteServer(WEB.key, server(2).key),)
    assert not look.whole
    assert names(said) == ["step.applied"]


async def test_a_service_gone_from_the_configuration_is_removed(table: FakeIpvs, truth: Truth) -> None:
    """What lvsha added it removes; what somebody else added it leaves."""
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    foreign = service(name="foreign", port=9999)
    table.carry_out(AddService(foreign.key, foreign.service))
    truth.config = config()
    reconciler.look()
    await reconciler.once()
    assert list(table.services) == [foreign.key]


async def test_a_refused_step_is_told_and_the_rest_is_done(
    table: FakeIpvs, truth: Truth, said: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step that the kernel refuses stops no other, and the next look tries it again."""
    real = table.carry_out

    def refuse(step: Any) -> Any:
        if isinstance(step, AddServer) and step.key == server(1).key:
            return real(AddServer(service(port=1).key, step.key, step.server))
        return real(step)

    monkeypatch.setattr(table, "carry_out", refuse)
    reconciler = Reconciler(table, truth, 30)
    look = await reconciler.once()
    assert len(look.failures) == 1
    assert server(2).key in table.servers[WEB.key]
    assert "step.failed" in names(said)
    monkeypatch.undo()
    reconciler.look()
    assert [s for s in (await reconciler.once()).steps if isinstance(s, AddServer)]


async def test_somebody_else_at_the_table_between_look_and_step(table: FakeIpvs, truth: Truth) -> None:
    """An "exists" is news, not an error: the loop looks again by itself and ends at the wish."""
    reconciler = Reconciler(table, truth, 30)
    real = table.observe

    async def stale(keys: Any = None) -> Observed:
        observed = await real(keys)
        table.observe = real  # type: ignore[method-assign]
        table.carry_out(AddService(WEB.key, replace(WEB.service, scheduler="rr")))
        return observed

    table.observe = stale  # type: ignore[method-assign]
    async with running(reconciler):
        async with asyncio.timeout(5):
            while (await reconciler.looked()).steps or table.services[WEB.key] != WEB.service:
                pass
    assert table.servers[WEB.key].keys() == {server(1).key, server(2).key}


async def test_looked_returns_after_a_look_that_began_later(table: FakeIpvs, truth: Truth) -> None:
    """A caller that changed something and waits for a look finds it done."""
    async with running(reconciler := Reconciler(table, truth, 30)):
        await reconciler.looked()
        for verdict in (DOWN, UP) * 10:
            truth.verdicts[2] = verdict
            await reconciler.looked({WEB.key})
            assert (server(2).key in table.servers[WEB.key]) is (verdict is UP)


async def test_it_looks_by_itself_after_a_period(table: FakeIpvs, truth: Truth) -> None:
    """Without any event the whole table is read every period."""
    async with running(Reconciler(table, truth, 0.01)):
        for _ in range(3):
            truth.looked.clear()
            async with asyncio.timeout(5):
                await truth.looked.wait()


async def test_a_preview_changes_nothing(table: FakeIpvs, truth: Truth) -> None:
    """`plan` tells the steps and takes none."""
    steps = await Reconciler(table, truth, 30).preview()
    assert len(steps) == 3
    assert not table.services


async def test_a_large_table_is_planned_outside_the_event_loop(table: FakeIpvs, truth: Truth) -> None:
    """A thousand servers come out the same, by way of a thread."""
    many = tuple(server(n % 250, check=None) for n in range(1, 250))
    services_ = [service(*many, name=f"s{n}", port=n) for n in range(1, 5)]
    truth.config = replace(config(*services_), ipvs=IpvsConfig())
    look = await Reconciler(table, truth, 30).once()
    assert len(look.steps) == 4 + 4 * 249
    assert sum(len(s) for s in table.servers.values()) == 4 * 249


async def test_a_look_that_failed_is_no_success_because_the_next_has_begun(truth: Truth) -> None:
    """Everybody who asked for a look hears how it ended, however close one look follows the other."""

    class Slow(FakeIpvs):
        async def observe(self, keys: Collection[ServiceKey] | None = None) -> Observed:
            await asyncio.sleep(0)
            return await super().observe(keys)

    reconciler = Reconciler(Slow(gone=True), truth, 30)

    async def ask(turns: int) -> bool:
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(KernelError):
            await reconciler.looked()
        return True

    async with running(reconciler):
        assert all(await asyncio.gather(*(ask(turns) for turns in range(10))))


async def test_a_kernel_that_is_gone_does_not_end_the_loop(
    table: FakeIpvs, truth: Truth, said: Hearing
) -> None:
    """When IPVS does not answer the loop says so and tries again until it does."""
    table.gone = True
    reconciler = Reconciler(table, truth, 30)
    async with running(reconciler):
        with pytest.raises(KernelError):
            await reconciler.looked()
        table.gone = False
        await reconciler.looked()
    assert WEB.key in table.services
    assert "reconcile.failed" in names(said)


class Refusing(FakeIpvs):
    """A table that refuses some kinds of steps, as news or as a fault."""

    def __init__(self, number: int = errno.ENODEV) -> None:
        super().__init__()
        self.number = number
        self.refused: tuple[type[Step], ...] = ()

    def _carry_out(self, step: Step) -> int:
        return self.number if isinstance(step, self.refused) else super()._carry_out(step)


async def test_all_who_waited_for_a_look_that_failed_are_told(table: FakeIpvs, truth: Truth) -> None:
    """Although the next look has begun by then, and may go well."""
    reconciler, gate, real = Reconciler(table, truth, 30), asyncio.Event(), table.observe

    async def fails_once(keys: Any = None) -> Observed:
        table.observe = real  # type: ignore[method-assign]
        await gate.wait()
        raise KernelError("no answer")

    table.observe = fails_once  # type: ignore[method-assign]
    waiting = [asyncio.create_task(reconciler.looked()) for _ in range(2)]
    await asyncio.sleep(0)
    async with running(reconciler):
        await asyncio.sleep(0)
        later = asyncio.create_task(reconciler.looked({WEB.key}))
        await asyncio.sleep(0)
        gate.set()
        assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [
            KernelError
        ] * 2
        assert (await later).steps


async def test_events_that_keep_coming_put_no_whole_look_off(table: FakeIpvs, truth: Truth) -> None:
    """A drain that is watched, or an eager monitoring system, asks for parts more often than the period."""
    reconciler = Reconciler(table, truth, 0.05)
    async with running(reconciler):
        await reconciler.looked()
        truth.looked.clear()
        async with asyncio.timeout(5):
            while not truth.looked.is_set():
                await reconciler.looked({WEB.key})


async def test_a_part_that_goes_well_does_not_end_the_retries(
    truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a whole look was refused is tried again soon, whatever verdicts come in meanwhile."""
    monkeypatch.setattr(module, "RETRY", (0.05,))
    table = truth.table = Refusing()
    truth.config = replace(truth.config, sync=SyncConfig("eth1", 7))
    table.refused = (StartSync,)
    reconciler = Reconciler(table, truth, 3600)
    async with running(reconciler):
        assert len((await reconciler.looked()).failures) == 2
        table.refused = ()
        truth.looked.clear()
        assert (await reconciler.looked({WEB.key})).failures == ()
        async with asyncio.timeout(5):
            await truth.looked.wait()


async def test_news_that_never_ends_is_no_reason_to_spin(
    truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first "exists" is looked at again at once; where it stays, looks come ever more slowly."""
    monkeypatch.setattr(module, "RETRY", (0.2,))
    table = truth.table = Refusing(errno.EEXIST)
    table.refused = (AddService,)
    begun = []
    async with running(Reconciler(table, truth, 3600)):
        for _ in range(3):
            async with asyncio.timeout(5):
                await truth.looked.wait()
            truth.looked.clear()
            begun.append(asyncio.get_running_loop().time())
    assert begun[2] - begun[1] > 0.15


async def test_a_changed_timeout_is_drift_only_when_somebody_else_changed_it(
    table: FakeIpvs, truth: Truth
) -> None:
    """A reload that asks for other timeouts repairs nothing; `ipvsadm --set` by hand does."""
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    truth.config = replace(truth.config, ipvs=IpvsConfig(timeouts=Timeouts(tcp=60)))
    reconciler.look()
    look = await reconciler.once()
    assert (look.steps, look.drift) == ((SetTimeouts(Timeouts(tcp=60)),), ())
    table.timeouts = Timeouts(900, 120, 300)
    reconciler.look()
    assert (await reconciler.once()).drift == look.steps


async def test_what_was_refused_and_then_done_is_no_drift(truth: Truth) -> None:
    """The sync daemon's interface comes up late: nobody changed anything."""
    table = truth.table = Refusing()
    truth.config = replace(truth.config, sync=SyncConfig("eth1", 7))
    table.refused = (StartSync,)
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    table.refused = ()
    reconciler.look()
    look = await reconciler.once()
    assert (len(look.steps), look.drift) == (2, ())


async def test_what_is_gone_is_not_shown(truth: Truth) -> None:
    """A service that vanished, and could not be added again, is in no view of the table."""
    table = truth.table = Refusing()
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    table.services.clear()
    table.servers.clear()
    table.refused = (AddService,)
    reconciler.look({WEB.key})
    assert (await reconciler.once()).failures
    assert not reconciler.observed.services


async def test_a_service_in_the_configuration_is_owned(table: FakeIpvs, truth: Truth) -> None:
    """One that was there already is lvsha's from then on: taken out of the configuration, it leaves."""
    table.carry_out(AddService(WEB.key, WEB.service))
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    truth.config = config()
    reconciler.look()
    await reconciler.once()
    assert not table.services


async def test_what_has_been_removed_is_owned_no_more(table: FakeIpvs, truth: Truth) -> None:
    """A service that an operator adds later under the same address is that operator's."""
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    truth.config = config()
    reconciler.look()
    await reconciler.once()
    assert not truth.owned
    table.carry_out(AddService(WEB.key, WEB.service))
    reconciler.look()
    assert (await reconciler.once()).steps == ()


async def test_what_could_not_be_removed_stays_owned(truth: Truth) -> None:
    """Ownership ends with the service, not with the wish."""
    table = truth.table = Refusing()
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    truth.config = config()
    table.refused = (DeleteService,)
    reconciler.look()
    await reconciler.once()
    assert truth.owned.services == {WEB.key}


async def test_connection_sync_is_told_when_it_begins_fails_and_is_repaired(
    truth: Truth, said: Hearing
) -> None:
    """Started, stopped by hand, not to be started: each is told, a failure once however often it is tried."""
    table = truth.table = Refusing()
    truth.config = replace(truth.config, sync=SyncConfig("eth1", 7))
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    started = [(e["role"], e["interface"], e["sync_id"]) for e in said if e["event"] == "sync.started"]
    assert started == [("master", "eth1", 7), ("backup", "eth1", 7)]
    said.clear()
    del table.daemons[SyncRole.BACKUP]
    reconciler.look()
    await reconciler.once()
    assert names(said) == ["drift.repaired", "sync.started"]
    said.clear()
    del table.daemons[SyncRole.MASTER]
    table.refused = (StartSync,)
    for _ in range(3):
        reconciler.look()
        await reconciler.once()
    assert [(e["event"], e["role"], e["alert"]) for e in said] == [("sync.failed", "master", True)]


async def test_connection_sync_that_is_wanted_no_more_is_stopped(truth: Truth, said: Hearing) -> None:
    """What was lvsha's ends, as a change and not as a repair, also where the kernel needs a second try."""
    table = truth.table = Refusing()
    truth.config = replace(truth.config, sync=SyncConfig("eth1", 7))
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    said.clear()
    truth.config = replace(truth.config, sync=None)
    table.refused = (StopSync,)
    reconciler.look()
    await reconciler.once()
    assert names(said) == ["step.failed"]
    table.refused = ()
    said.clear()
    reconciler.look()
    await reconciler.once()
    assert names(said) == ["step.applied", "sync.stopped"]
    assert not table.daemons


async def test_connection_sync_that_was_stopped_is_owned_no_more(table: FakeIpvs, truth: Truth) -> None:
    """The same daemon, started by an operator afterwards, is the operator's."""
    synced = replace(truth.config, sync=SyncConfig("eth1", 7))
    reconciler = Reconciler(table, truth, 30)
    for wanted in (synced, truth.config):
        truth.config = wanted
        reconciler.look()
        await reconciler.once()
    assert not truth.owned.sync
    assert synced.sync is not None
    for daemon in synced.sync.daemons:
        table.carry_out(StartSync(daemon))
    reconciler.look()
    assert (await reconciler.once()).steps == ()


async def test_connection_sync_that_moves_leaves_nothing_owned_behind(table: FakeIpvs, truth: Truth) -> None:
    """After a change of interface what is owned is what runs."""
    reconciler = Reconciler(table, truth, 30)
    for interface in ("eth1", "eth2"):
        truth.config = replace(truth.config, sync=SyncConfig(interface, 7))
        reconciler.look()
        await reconciler.once()
    assert {key.interface for key in truth.owned.sync} == {"eth2"}


async def test_after_a_look_that_failed_everything_is_looked_at(table: FakeIpvs, truth: Truth) -> None:
    """What the failed one was to look at is not lost: the next look, for whatever reason, is a whole one."""
    other = service(server(3), name="other", port=81)
    truth.config = config(WEB, other)
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    truth.verdicts[2] = DOWN
    table.gone = True
    reconciler.look({WEB.key})
    with pytest.raises(KernelError):
        await reconciler.once()
    table.gone = False
    reconciler.look({other.key})
    look = await reconciler.once()
    assert (look.whole, look.steps) == (True, (DeleteServer(WEB.key, server(2).key),))


async def test_a_look_after_an_event_reads_what_the_event_touches_and_no_more(
    table: FakeIpvs, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ten thousand servers, what was looked at before is not looked at again."""
    other = service(server(3), name="other", port=81)
    truth.config = config(WEB, other)
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    read, real = [], table.observe

    async def observe(keys: Any = None) -> Observed:
        read.append(keys)
        return await real(keys)

    monkeypatch.setattr(table, "observe", observe)
    for key in (WEB.key, other.key):
        reconciler.look({key})
        await reconciler.once()
    assert read == [{WEB.key}, {other.key}]


async def test_what_was_refused_is_shown_until_it_is_done(truth: Truth) -> None:
    """`status` warns of each step that the kernel refused at the latest whole look."""
    table = truth.table = Refusing()
    table.refused = (AddServer,)
    reconciler = Reconciler(table, truth, 30)
    await reconciler.once()
    assert {type(f.step) for f in reconciler.failures} == {AddServer}
    table.refused = ()
    reconciler.look()
    await reconciler.once()
    assert reconciler.failures == ()


async def test_who_gives_up_waiting_takes_the_answer_from_nobody(table: FakeIpvs, truth: Truth) -> None:
    """A request whose client is gone must not end those of others."""
    reconciler = Reconciler(table, truth, 30)
    one, other = (asyncio.create_task(reconciler.looked()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    async with running(reconciler):
        assert (await other).whole


async def test_source_nat_is_looked_at_as_a_whole_and_repaired(
    table: FakeIpvs, truth: Truth, said: Hearing
) -> None:
    """It comes before servers; what somebody did to it is drift at a whole look, and no matter to others."""
    local = ip_address("10.0.0.100")
    fullnat = replace(
        service(replace(server(1), mode=Mode.FULLNAT)), mode=Mode.FULLNAT, local_addresses=(local,)
    )
    truth.config = config(fullnat)
    reconciler = Reconciler(table, truth, 30)
    first = await reconciler.once()
    assert [type(step) for step in first.steps] == [SetSourceNat, AddService, AddServer]
    assert first.drift == ()
    table.source_nat = replace(table.source_nat, altered="a rule was added")
    reconciler.look({fullnat.key})
    assert (await reconciler.once()).steps == ()
    reconciler.look()
    look = await reconciler.once()
    assert [str(step) for step in look.drift] == [
        "set source NAT for 1 service from 1 address (a rule was added)"
    ]
    assert not table.source_nat.altered
    truth.config = config()
    reconciler.look()
    last = await reconciler.once()
    assert [type(step) for step in last.steps] == [DeleteService, SetSourceNat]
    assert last.drift == ()
