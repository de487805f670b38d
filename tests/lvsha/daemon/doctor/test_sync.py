"""Tests of lvsha.daemon.doctor.sync."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lvsha.daemon.doctor.sync import judge
from lvsha.kernel.links import Link
from lvsha.model import Observed, SyncDaemon, SyncRole
from tests.lab.facts import BACK, MAC, bad, facts, pair
from tests.lab.services import config, server, service

CFG = pair(config(service(server(11))))


def test_both_roles_run() -> None:
    """Interface, id and group are told."""
    (ok,) = judge(CFG, facts(CFG))
    assert ok.finding == "both roles run on back, id 0, group 224.0.0.81"


@pytest.mark.parametrize("role", list(SyncRole))
def test_a_role_that_does_not_run(role: SyncRole) -> None:
    """The one that is lacking is named."""
    well = facts(CFG)
    other = frozenset(d for d in well.observed.sync if d.role is not role)
    (found,) = judge(CFG, replace(well, observed=replace(well.observed, sync=other)))
    assert (found.severity, f"role {role.name.lower()} does not run" in found.finding) == ("error", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"sync_id": 3}, "on back, id 3, group 224.0.0.81"), ({"interface": "front"}, "on front,")],
)
def test_a_role_that_runs_otherwise_than_it_should(changes: dict[str, Any], words: str) -> None:
    """Another id, interface or group: it speaks to nobody who listens."""
    well = facts(CFG)
    some = frozenset(replace(d, **changes) if d.role is SyncRole.MASTER else d for d in well.observed.sync)
    (found,) = judge(CFG, replace(well, observed=replace(well.observed, sync=some)))
    assert (found.severity, found.command) == ("error", "lvsha-cli look")
    assert found.finding.startswith("role master runs " + words)


def test_no_role_runs() -> None:
    """Both are named in one finding."""
    (found,) = judge(CFG, facts(CFG, observed=Observed()))
    assert "role master and backup does not run" in found.finding


@pytest.mark.parametrize("link", [None, Link(BACK, "back", MAC, 1500, up=False, running=False)])
def test_an_interface_that_is_gone_or_down(link: Link | None) -> None:
    """Whatever the kernel thinks, nothing is told to the peer."""
    well = facts(CFG)
    links = {i: one for i, one in well.links.items() if i != BACK} | ({BACK: link} if link else {})
    (found,) = bad(judge(CFG, replace(well, links=links)))
    assert (found.severity, found.command) == ("error", "ip link set back up")


def test_a_pair_without_sync_should_know() -> None:
    """Established connections break at a failover; one director alone has nobody to tell."""
    without = pair(config(service(server(11))), sync=False)
    assert [f.severity for f in judge(without, facts(without))] == ["info"]
    alone = config(service(server(11)))
    assert list(judge(alone, facts(alone))) == []


def test_a_kernel_that_does_not_answer_says_nothing_of_roles() -> None:
    """That it does not is told elsewhere."""
    assert list(judge(CFG, facts(CFG, trouble="no IPVS", observed=Observed()))) == []


def test_daemons_of_somebody_else_do_not_count_as_ours() -> None:
    """Without [sync] a running daemon is left alone and not judged."""
    alone = config(service(server(11)))
    theirs = Observed(sync=frozenset({SyncDaemon(SyncRole.MASTER, "front")}))
    assert list(judge(alone, facts(alone, observed=theirs))) == []
