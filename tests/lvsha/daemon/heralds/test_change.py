"""Tests of lvsha.daemon.heralds.change: what a program is told, and in which words."""

from __future__ import annotations

from dataclasses import replace

from lvsha.daemon.heralds.change import Change, Kind, Subject
from lvsha.speaker.messages import State

CHANGE = Change(
    subject=Subject(Kind.INSTANCE, "public"),
    state=State.MASTER,
    before=State.BACKUP,
    priority=200,
    why="no advert of 192.0.2.2 for 3.400 s",
    node="lb1",
)


def test_the_arguments_are_keepaliveds() -> None:
    """TYPE NAME STATE PRIORITY, types and states in capitals, a stop as STOP."""
    assert CHANGE.arguments() == ("INSTANCE", "public", "MASTER", "200")
    stop = replace(CHANGE, subject=Subject(Kind.GROUP, "site"), state=State.INIT, priority=100)
    assert stop.arguments() == ("GROUP", "site", "STOP", "100")


def test_the_environment_tells_the_rest() -> None:
    """The state before, why, on which node, and how many changes this one stands for."""
    assert replace(CHANGE, joined=2).environment() == {
        "LVSHA_TYPE": "INSTANCE",
        "LVSHA_NAME": "public",
        "LVSHA_STATE": "MASTER",
        "LVSHA_BEFORE": "BACKUP",
        "LVSHA_PRIORITY": "200",
        "LVSHA_WHY": "no advert of 192.0.2.2 for 3.400 s",
        "LVSHA_NODE": "lb1",
        "LVSHA_JOINED": "2",
    }


def test_a_first_word_has_no_before() -> None:
    """After a start nothing came before, and what no variable can hold is left out of it."""
    first = replace(CHANGE, before=None, why="a\0b").environment()
    assert (first["LVSHA_BEFORE"], first["LVSHA_WHY"]) == ("", "a b")


def test_a_subject_is_named_in_events() -> None:
    """By what it is and its name."""
    assert str(Subject(Kind.DIRECTOR, "lb1")) == "director lb1"
