"""The cells of the table of modes: what is seen of one mode in one run, and whether that is what it promises.

    for row in (await seen("tun", tmp_path, flows=10)).rows:
        assert not broken(row)

Everything happens to one pair, one after the other, for TCP and UDP over IPv4 and IPv6 at once: traffic, a
drain, a server whose program is killed, a planned failover, the death of the master's machine, and a server
whose cable is cut, which by then knows nothing but what connection sync brought. Before each failover some
flows are begun that the successor can know by connection sync alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.director import Director
from tests.lab.flows import Fate, Fates
from tests.lab.modes import (
    CASES,
    MAPPED,
    MAPS,
    POOLS,
    PORT,
    Case,
    Mode,
    Pace,
    Site,
    configuration,
    listening,
    serve,
    site,
)
from tests.lab.process import SLOWNESS, run

SERVERS = ("rs1", "rs2", "rs3")
REQUESTS = 6


@dataclass(frozen=True, slots=True)
class Loss:
    """A server is gone, or is to be spared."""

    serving: frozenset[str]
    """Who answered new requests afterwards."""
    fate: Fate
    """What became of its flows."""
    others: Fate
    """And of those of the other servers."""
    failing: float = 0.0
    """Seconds after its death in which a request was begun that failed."""
    failed: int = 0
    """So many of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen of one kind of traffic in one mode."""

    mode: Mode
    case: Case
    served: Counter[str]
    """Requests by the server that answered."""
    sources: frozenset[str]
    """The addresses that servers saw."""
    port: int
    """What the servers listen at; clients ask port 80."""
    drained: Loss
    killed: Loss
    planned: Fate
    crashed: Fate
    cut: Loss


@dataclass(frozen=True, slots=True)
class Seen:
    """All of one mode."""

    rows: list[Row]
    refusal: str
    """What `lvsha-cli config check` says of servers at another port than the service's; empty: they are."""
    steps: list[str]
    """What lb1 did in the kernel about the server that was killed and came back."""


async def seen(mode: Mode, directory: Path, *, flows: int, pace: Pace = Pace(), **use: float) -> Seen:
    """Let everything happen; so many flows of each case, used as `start_flows` says."""
    async with site(mode, directory, pace, **use) as s:
        refusal = await _refusal(s, directory, pace)
        answers = {
            case: [await s.clients[case].served(case.vip, PORT, case.transport) for _ in range(REQUESTS)]
            for case in CASES
        }
        await s.hold(flows)
        drained = await _drain(s, "rs3")
        before = await s.lb1.mark()
        killed = await _lose(s, "rs1", _kill)
        mark = await s.lb1.mark()
        s.servers["rs1"] = await serve(s.net["rs1"], mode)
        await s.told(s.lb1, "server.up", "rs1", since=mark)
        assert s.lb1.process is not None
        steps = [e["step"] for e in s.lb1.process.events[before:] if e["event"] == "step.applied"]
        await s.hold(flows)
        await s.synced(s.lb2)
        planned = await _fail_over(s, s.hand_over(s.lb1, s.lb2))
        await s.hold(flows)
        await s.synced(s.lb1)
        crashed = await _fail_over(s, s.crash(s.lb2, s.lb1))
        cut = await _lose(s, "rs2", _cut)
        _undisturbed(s.lb1, "rs1", "rs2")
        _undisturbed(s.lb2, "rs1")
    rows = [
        Row(
            mode,
            case,
            Counter(answer.server for answer in answers[case]),
            frozenset(answer.seen for answer in answers[case]),
            listening(mode),
            drained[case],
            killed[case],
            planned[case],
            crashed[case],
            cut[case],
        )
        for case in CASES
    ]
    return Seen(rows, refusal, steps)


async def _refusal(s: Site, directory: Path, pace: Pace) -> str:
    if s.mode in MAPS:
        return ""  # all that follows is seen of servers at another port
    file = directory / "mapped.toml"
    file.write_text(configuration(s.mode, s.net, pace, port=MAPPED))
    result = await run(
        s.net["lb1"], "config", "check", "--node", "lb1", str(file), module="lvsha.cli", within=60
    )
    return "" if result.status == 0 else f"{result.output}\n{result.errors}"


def _undisturbed(director: Director, *dead: str) -> None:
    """A director took these for dead, once, and no others: else nothing that was seen means anything."""
    assert director.process is not None
    downs = [e for e in director.process.events if e["event"] == "server.down"]
    counted = Counter((e["service"], e["server"]) for e in downs)
    wanted = {(str(case), case.called(name)) for case in CASES for name in dead}
    wrong = [e for e in downs if (one := (e["service"], e["server"])) not in wanted or counted[one] > 1]
    assert not wrong, f"the machine was too slow for the checks of {director.name}: {wrong}"


async def _drain(s: Site, name: str) -> dict[Case, Loss]:
    await s.flows.mark()
    names = sorted({case.called(name) for case in CASES})
    for one in names:
        result = await s.lb1.cli("drain", one)
        assert result.status == 0, result
    serving = {case: await _serving(s, case) for case in CASES}
    fates = await s.flows.settle()
    for one in names:
        await s.lb1.ask("POST", "/v1/overrides/clear", {"target": one, "kinds": ["drain"]})
    return {case: Loss(serving[case], *_apart(fates, case, name)) for case in CASES}


async def _lose(s: Site, name: str, death: Callable[[Site, str], Awaitable[None]]) -> dict[Case, Loss]:
    """A server dies under the eyes of lb1, the master."""
    mark = await s.lb1.mark()
    began = {}
    for case, client in s.clients.items():
        await client.load(case.vip, PORT, case.transport, interval=0.1, patience=1)
        began[case] = time.monotonic()
    await s.flows.mark()
    died = time.monotonic()
    await death(s, name)
    await s.told(s.lb1, "server.down", name, since=mark)
    serving = {case: await _serving(s, case) for case in CASES}
    loads = {case: await client.finish() for case, client in s.clients.items()}
    fates = await s.flows.settle()
    return {
        case: Loss(
            serving[case],
            *_apart(fates, case, name),
            failing=max(0.0, load.troubled - (died - began[case])),
            failed=load.failures.total(),
        )
        for case, load in loads.items()
    }


async def _kill(s: Site, name: str) -> None:
    await s.servers[name].process.kill()


async def _cut(s: Site, name: str) -> None:
    for segment in s.net[name].links:
        s.net[name].unplug(segment)


async def _fail_over(s: Site, failure: Awaitable[None]) -> dict[Case, Fate]:
    await s.flows.mark()
    await failure
    fates = await s.flows.settle()
    return {case: sum(_of(fates, case).values(), Fate()) for case in CASES}


async def _serving(s: Site, case: Case) -> frozenset[str]:
    return frozenset(
        [await s.clients[case].ask(case.vip, PORT, case.transport, patience=3) for _ in range(REQUESTS)]
    )


def _of(fates: Fates, case: Case) -> dict[str, Fate]:
    return {server: fate for (name, server), fate in fates.items() if name == str(case)}


def _apart(fates: Fates, case: Case, name: str) -> tuple[Fate, Fate]:
    """Of one server's flows, and of the others'."""
    mine = _of(fates, case)
    return mine.pop(name, Fate()), sum(mine.values(), Fate())


# --- what is promised -----------------------------------------------------------------------------


def broken(row: Row, pace: Pace = Pace()) -> list[str]:
    """The promises of the mode that the row contradicts, in words."""
    return [f"{row.mode} {row.case}: {words}" for words in _broken(row, pace)]


def _broken(row: Row, pace: Pace) -> Iterator[str]:
    if row.served.keys() != {*SERVERS}:
        yield f"traffic reaches {sorted(row.served)} only"
    yield from _source(row)
    yield from _spared("drained", row.drained, "rs3")
    if row.drained.fate.alive != row.drained.fate.count or not row.drained.fate.count:
        yield f"drained: its flows do not go on: {row.drained.fate}"
    for what, loss, name in (("killed", row.killed, "rs1"), ("cut", row.cut, "rs2")):
        yield from _spared(what, loss, name)
        yield from _lost(what, loss, row.case, pace)
    for what, fate in (("planned", row.planned), ("crash", row.crashed)):
        if fate.alive != fate.count or not fate.count:
            yield f"{what}: flows do not outlive it: {fate}"
    if row.crashed.pause > SLOWNESS * (4 * pace.interval + 2):
        yield f"crash: a pause of {row.crashed.pause:.1f} s"


def _source(row: Row) -> Iterator[str]:
    client = "192.0.2.10" if row.case.family == 4 else "2001:db8:1::10"
    wanted = POOLS[row.case.family] if row.mode == "fullnat" else (client,)
    if len(row.sources) != 1 or not row.sources <= {*wanted}:
        yield f"servers see {sorted(row.sources)}, not one of {wanted}"
    if (row.port != PORT) != (row.mode in MAPS):
        yield f"servers listen at {row.port}"


def _spared(what: str, loss: Loss, name: str) -> Iterator[str]:
    """New requests go to the others, and nothing happens to what these have."""
    if loss.serving != {*SERVERS} - {name}:
        yield f"{what}: new requests are answered by {sorted(loss.serving)}"
    if loss.others.alive != loss.others.count or not loss.others.count:
        yield f"{what}: flows of other servers do not go on: {loss.others}"


def _lost(what: str, loss: Loss, case: Case, pace: Pace) -> Iterator[str]:
    """Not for long does a dead server get anything, and who had to do with it learns that."""
    # As many probes as must fail, each of which may take its second, and pauses between them.
    most = SLOWNESS * (pace.fall * (pace.check + 1) + 1)
    if loss.failing > most:
        yield f"{what}: after {loss.failing:.1f} s a request was still led to it, not {most:.1f}"
    told = loss.fate.moved if case.transport == "udp" else loss.fate.ended.total()
    if told != loss.fate.count or not told:
        yield f"{what}: its flows hang: {loss.fate}"
    if loss.fate.ended["unanswered"]:
        yield f"{what}: nobody tells its clients: {loss.fate}"
