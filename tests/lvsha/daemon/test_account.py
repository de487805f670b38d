"""Tests of lvsha.daemon.account: what is told of a look, and how often."""

from __future__ import annotations

import errno

from lvsha.daemon.account import SHOWN, Account
from lvsha.kernel.ipvs import Failure, StepError
from lvsha.model import SyncDaemon, SyncRole
from lvsha.plan import AddService, DeleteService, StartSync, Step
from tests.lab.hearing import Hearing
from tests.lab.services import service

WEB = service()
ADD = AddService(WEB.key, WEB.service)
SYNC = StartSync(SyncDaemon(SyncRole.MASTER, "eth1", 7))


def refused(step: Step, why: str = "no") -> Failure:
    """A step that the kernel refused."""
    return Failure(step, StepError(why, number=errno.EINVAL, text=why, drift=False))


def test_a_refusal_is_told_once_however_often_it_is_tried(said: Hearing) -> None:
    """Another reason is news, and so is the same one after it had gone."""
    account = Account()
    for why in ("no", "no", "never", "never"):
        account.give([ADD], (), [refused(ADD, why)], whole=True)
    assert [(e["event"], e["error"]) for e in said] == [("step.failed", "no"), ("step.failed", "never")]
    account.give([], (), [], whole=True)
    account.give([ADD], (), [refused(ADD, "never")], whole=True)
    assert len(said) == 3


def test_a_part_does_not_know_that_a_refusal_has_gone(said: Hearing) -> None:
    """A verdict somewhere else in between is no reason to tell it again."""
    account = Account()
    account.give([ADD], (), [refused(ADD)], whole=True)
    account.give([], (), [], whole=False)
    account.give([ADD], (), [refused(ADD)], whole=True)
    assert len(said) == 1


def test_repairs_and_changes_are_told_apart(said: Hearing) -> None:
    """What somebody else changed is one alert; what was asked for are steps; what was refused is neither."""
    gone = DeleteService(service(port=81).key)
    account = Account()
    account.give([ADD, gone, SYNC], {0}, [refused(SYNC)], whole=True)
    assert [(e["event"], e["alert"]) for e in said] == [
        ("sync.failed", True),
        ("drift.repaired", True),
        ("step.applied", False),
    ]


def test_a_large_change_is_told_in_few_lines(said: Hearing) -> None:
    """A thousand steps are not a thousand events."""
    steps = [AddService(service(port=n).key, WEB.service) for n in range(1, 1001)]
    Account().give(steps, (), [], whole=True)
    assert len(said) == SHOWN + 1
    assert said[-1]["step"] == f"... and {1000 - SHOWN} more like these"


def test_a_kernel_that_stays_silent_is_told_once(said: Hearing) -> None:
    """Until it says something else, or a look comes about."""
    account = Account()
    for _ in range(3):
        account.give_up("no IPVS")
    account.give_up("no answer")
    account.give([], (), [], whole=False)
    account.give_up("no answer")
    assert [e["error"] for e in said] == ["no IPVS", "no answer", "no answer"]
