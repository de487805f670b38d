"""Tests of lvsha.daemon.doctor.vrrp."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lvsha.config import NodeConfig, SpeakerConfig
from lvsha.daemon.doctor.vrrp import judge
from lvsha.speaker.messages import State
from tests.lab.facts import bad, facts, pair, report, status
from tests.lab.services import config

CFG = pair(config())


def found(**changes: Any) -> list[tuple[str, str, str]]:
    """What is not well with an instance that stands so."""
    seen = facts(CFG, report=report(status(**changes)))
    return [(f.severity, f.subject, f.finding) for f in bad(judge(CFG, seen))]


def test_a_speaker_that_answers_is_well() -> None:
    """It and each instance are told."""
    assert [f.subject for f in judge(CFG, facts(CFG))] == ["speaker", "vrrp.public"]
    assert found() == []


def test_no_vrrp_needs_no_speaker() -> None:
    """Nothing is said."""
    assert list(judge(config(), facts(config()))) == []


def test_a_speaker_that_does_not_answer() -> None:
    """One finding, and nothing about its instances."""
    assert [(f.severity, f.subject) for f in judge(CFG, facts(CFG, report=None))] == [("error", "speaker")]


def test_a_speaker_without_its_privileges() -> None:
    """What it lacks is named, unless the configuration does not ask for it."""
    lacking = facts(CFG, report=report(realtime=False))
    (info,) = bad(judge(CFG, lacking))
    assert (info.severity, "without real-time priority:" in info.finding) == ("info", True)
    content = replace(CFG, speaker=SpeakerConfig(realtime=False))
    assert bad(judge(content, lacking)) == []


def test_a_fault_says_why() -> None:
    """The tracker and its words."""
    assert found(state=State.FAULT, faults={"interface back": "back has no carrier"}) == [
        ("error", "vrrp.public", "may not be master: interface back: back has no carrier")
    ]


def test_an_instance_that_is_held() -> None:
    """Somebody forgot to release it."""
    assert [(s, "held back" in words) for s, _, words in found(held=True)] == [("warning", True)]


@pytest.mark.parametrize(
    ("reason", "severity", "words"),
    [
        ("auth_window", "error", "the clocks of the directors differ"),
        ("auth_digest", "error", "do not prove who sent them: 7 of reason auth_digest"),
        ("password", "error", "do not prove who sent them: 7 of reason password"),
        ("checksum", "warning", "refused adverts: 7 of reason checksum"),
    ],
)
def test_refused_adverts_are_told_by_their_cause(reason: str, severity: str, words: str) -> None:
    """A clock, a key, or settings that differ."""
    ((how, _, sentence),) = found(dropped={reason: 7})
    assert how == severity
    assert words in sentence


def test_what_the_speaker_told_and_is_not_over() -> None:
    """Two masters are no matter of the counters: who is one hears of the other by its own words."""
    seen = facts(CFG, alarms=("vrrp.public: 192.0.2.2 is master as well",))
    (two,) = bad(judge(CFG, seen))
    assert (two.severity, two.subject) == ("error", "pair")
    assert two.finding == "vrrp.public: 192.0.2.2 is master as well"


def test_a_node_that_is_alone_in_the_file() -> None:
    """[nodes] with one name is worth knowing."""
    alone = replace(CFG, nodes={"lb1": NodeConfig("lb1")})
    assert [f.subject for f in bad(judge(alone, facts(alone)))] == ["pair"]
