"""Tests of lvsha.daemon.control: questions and commands, over a table that behaves like the kernel's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import checks
from lvsha.api import views
from lvsha.api.target import TargetError
from lvsha.config import Config
from lvsha.daemon.control import Controller
from lvsha.daemon.director import Director
from lvsha.daemon.pair import Pair
from lvsha.daemon.peers import Peers
from lvsha.desired import target_of
from lvsha.errors import InputError, KernelError
from lvsha.log import Journal, listening
from lvsha.overrides import Kind
from tests.lab.fake_ipvs import FakeIpvs
from tests.lab.services import config, server, service
from tests.lab.wired import wired

WEB = service(server(1), server(2), server(3))
TLS = service(server(1, check=None), name="tls", port=443)


@dataclass
class Desk:
    """A controller with all that stands behind it."""

    control: Controller
    director: Director
    table: FakeIpvs
    reloads: list[str]

    def report(self, number: int, *results: bool) -> None:
        """Results of probes of one server."""
        target = target_of(server(number))
        assert target is not None
        for ok in results:
            self.director.report(target, checks.Outcome(ok, f"answered {200 if ok else 500}"))


class Words:
    """What the kernel says of itself."""

    words = "IPVS 1.2.1, 4096 buckets"
    trouble = ""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Web with rs1 to rs3 up, tls with an unchecked rs1."""
    cfg: Config = config(WEB, TLS)
    table, journal = FakeIpvs(), Journal()
    director, reconciler = wired(cfg, table, tmp_path)
    reloads: list[str] = []

    async def reload(by: str) -> views.ReloadView:
        reloads.append(by)
        return views.ReloadView(2)

    pair = Pair(cfg, lambda name: director.standing(name).in_service)
    control = Controller(director, reconciler, Words(), pair, journal, reload, Peers(director))
    made = Desk(control, director, table, reloads)
    for number in (1, 2, 3):
        made.report(number, True)
    task = asyncio.create_task(reconciler.run())
    with listening(journal.append):
        yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def drain(desk: Desk, target: str, expires_in: float | None = None) -> list[views.ServerView]:
    """As `lvsha-cli drain` does."""
    return await desk.control.override(
        target, Kind.DRAIN, weight=None, reason="disk", expires_in=expires_in, by="root"
    )


async def test_status_counts_what_is_up_and_down(desk: Desk) -> None:
    """The glance has the numbers, and a warning for each service that is not well."""
    desk.report(2, False, False, False)
    status = await desk.control.status()
    assert (status.servers_up, status.servers_down, status.role) == (3, 1, "alone")
    assert status.warnings == ("service web is degraded",)
    assert status.kernel == Words.words


async def test_servers_are_shown_with_what_the_kernel_holds(desk: Desk) -> None:
    """Configured weight, weight in the kernel and connections stand side by side."""
    desk.table.active[WEB.key, server(1).key] = 7
    desk.report(3, False, False, False)
    shown = {(s.service, s.name): s for s in await desk.control.servers()}
    first, third = shown["web", "rs1"], shown["web", "rs3"]
    assert (first.weight, first.weight_now, first.active, first.state) == (10, 10, 7, "up")
    assert (third.weight_now, third.state, third.detail) == (None, "down", "answered 500")


async def test_services_are_shown_in_one_word(desk: Desk) -> None:
    """Each service says how it stands."""
    desk.report(2, False, False, False)
    assert [(s.name, s.state, s.in_service) for s in await desk.control.services()] == [
        ("web", "degraded", 2),
        ("tls", "ok", 1),
    ]


async def test_a_drain_is_in_the_kernel_when_the_answer_comes(desk: Desk) -> None:
    """A bare name means the machine: every service that uses it, and the answer shows each."""
    shown = await drain(desk, "rs1")
    assert [(s.service, s.weight_now) for s in shown] == [("web", 0), ("tls", 0)]
    assert {s.weight for s in (desk.table.servers[k][server(1).key] for k in (WEB.key, TLS.key))} == {0}
    (said,) = await desk.control.overrides()
    assert (said.target, said.kind, said.reason) == ("rs1", "drain", "disk")


async def test_a_drain_is_taken_back(desk: Desk) -> None:
    """`undrain` restores the weight, and nothing to take back is no error."""
    await drain(desk, "rs1")
    (web, tls) = await desk.control.clear("rs1", [Kind.DRAIN], by="root")
    assert (web.weight_now, tls.weight_now) == (10, 10)
    assert await desk.control.clear("rs1", [Kind.DRAIN], by="root")


async def test_part_of_an_override_is_not_taken_back(desk: Desk) -> None:
    """Undraining one service of a machine that was drained everywhere would change the rest unseen."""
    await drain(desk, "rs1")
    with pytest.raises(InputError, match="take back rs1 as a whole"):
        await desk.control.clear("web/rs1", [Kind.DRAIN], by="root")
    assert len(await desk.control.overrides()) == 1


async def test_what_was_said_of_a_server_that_is_gone_can_be_taken_back(desk: Desk) -> None:
    """Else it would wait, unseen and for ever, for a server of that name to come back."""
    await drain(desk, "rs2")
    await desk.director.reconfigure(config(TLS))
    assert await desk.control.clear("rs2", [Kind.DRAIN], by="root") == []
    assert await desk.control.overrides() == []
    with pytest.raises(TargetError):
        await desk.control.clear("rs2", [Kind.DRAIN], by="root")


async def test_an_unknown_target_names_candidates(desk: Desk) -> None:
    """A slip of the finger drains nothing."""
    with pytest.raises(TargetError) as caught:
        await drain(desk, "rs9")
    assert "rs1" in caught.value.candidates
    assert await desk.control.overrides() == []


async def test_a_weight_goes_with_its_kind_alone(desk: Desk) -> None:
    """A drain with a weight, or a weight without one, makes no sense and is refused."""
    with pytest.raises(InputError):
        await desk.control.override("rs1", Kind.DRAIN, weight=3, reason="", expires_in=None, by="root")
    with pytest.raises(InputError):
        await desk.control.override("rs1", Kind.WEIGHT, weight=None, reason="", expires_in=None, by="root")
    await desk.control.override("web/rs1", Kind.WEIGHT, weight=3, reason="", expires_in=None, by="root")
    assert desk.table.servers[WEB.key][server(1).key].weight == 3


async def test_a_plan_shows_what_a_look_would_do(desk: Desk) -> None:
    """Dry run and deed agree."""
    await desk.control.look()
    desk.table.servers[WEB.key].clear()
    planned = await desk.control.plan()
    assert len(planned) == 3
    assert await desk.control.look() == planned
    assert await desk.control.plan() == []


async def test_a_kernel_that_does_not_answer_is_an_error(desk: Desk) -> None:
    """Nobody is told that a drain is in the kernel when it is not; but that it will be, and why not yet."""
    await desk.control.look()
    desk.table.gone = True
    with pytest.raises(KernelError, match=r"recorded, .* when the kernel answers again: .* no IPVS"):
        await drain(desk, "rs1")
    assert len(await desk.control.overrides()) == 1
    desk.table.gone = False
    await desk.control.look()
    assert desk.table.servers[WEB.key][server(1).key].weight == 0


async def test_what_is_taken_back_while_the_kernel_does_not_answer(desk: Desk) -> None:
    """The same the other way round; where there is nothing to take back nothing is said to be recorded."""
    await drain(desk, "rs1")
    desk.table.gone = True
    with pytest.raises(KernelError, match="recorded, "):
        await desk.control.clear("rs1", [Kind.DRAIN], by="root")
    assert await desk.control.overrides() == []
    with pytest.raises(KernelError, match=r"^(?!recorded)"):
        await desk.control.clear("rs1", [Kind.DRAIN], by="root")


async def test_a_reload_is_passed_on(desk: Desk) -> None:
    """Who asked is told to the supervisor."""
    assert (await desk.control.reload(by="root")).generation == 2
    assert desk.reloads == ["root"]


async def test_the_configuration_in_force_can_be_read(desk: Desk) -> None:
    """`config show` has every service."""
    assert list((await desk.control.config())["services"]) == ["web", "tls"]


async def test_events_come_with_numbers(desk: Desk) -> None:
    """A subscriber sees what happens after it came."""
    coming = asyncio.ensure_future(anext(desk.control.events(None)))
    await asyncio.sleep(0)
    await drain(desk, "rs1")
    async with asyncio.timeout(5):
        first = await coming
    assert first["event"] == "override.set"
    assert first["seq"] > 0


async def test_metrics_hold_every_server(desk: Desk) -> None:
    """The text for Prometheus names services and servers."""
    text = await desk.control.metrics()
    assert 'service="web"' in text
    assert 'server="rs3"' in text


async def test_a_kernel_that_does_not_answer_is_a_warning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every server may be up: nothing of it is in the kernel. The metrics tell what is known all the same."""
    await desk.control.look()
    desk.table.gone = True
    monkeypatch.setattr(Words, "trouble", "the kernel has no IPVS")
    assert (await desk.control.status()).warnings == ("the kernel does not answer: the kernel has no IPVS",)
    text = await desk.control.metrics()
    assert "lvsha_warnings 1.0" in text
    assert 'server="rs3"' in text


async def test_an_unknown_instance_is_refused(desk: Desk) -> None:
    """Without VRRP there is nothing to hold or hand over."""
    with pytest.raises(TargetError):
        await desk.control.hold("public", by="root")
    assert await desk.control.failover(None, wait=1, force=False, by="root") == []


async def test_a_reload_in_the_middle_of_an_answer_does_no_harm(desk: Desk) -> None:
    """A service that vanishes while servers are listed is listed with none."""
    listing = asyncio.create_task(desk.control.servers())
    await asyncio.sleep(0)
    await desk.director.reconfigure(replace(config(TLS)))
    assert {s.service for s in await listing} <= {"web", "tls"}
