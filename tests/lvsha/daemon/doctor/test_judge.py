"""Tests of lvsha.daemon.doctor.judge: all is well where all is well, and everything that was seen is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvsha.config import Config
from lvsha.daemon.doctor import Facts, judge
from lvsha.model import Mode
from tests.lab.facts import bad, facts, pair, vrrp
from tests.lab.services import CHECK, config, server, service

MODES = [Mode.NAT, Mode.DR, Mode.TUN]


def site(mode: Mode) -> Config:
    """A pair with two servers in one mode, checked the clients' way, and a floating gateway."""
    led = replace(CHECK, through="vip")
    servers = [replace(server(n, check=led), mode=mode, port=80) for n in (11, 12)]
    return pair(config(replace(service(*servers), mode=mode)), vrrp("192.0.2.100/24", "10.0.0.254/24"))


@pytest.mark.parametrize("mode", [Mode.NAT, Mode.DR])
def test_nothing_is_found_where_nothing_is_wrong(mode: Mode) -> None:
    """A site that is as it should be has `ok` findings alone, and several of them."""
    cfg = site(mode)
    found = judge(cfg, facts(cfg))
    assert bad(found) == []
    assert len(found) > 8


@pytest.mark.parametrize("mode", MODES)
def test_everything_that_is_missing_is_told_without_failing(mode: Mode) -> None:
    """Of a machine of which nothing could be seen nothing is claimed to be well but what needs no looking."""
    cfg = site(mode)
    assert bad(judge(cfg, Facts()))


def test_a_director_of_nothing_is_well() -> None:
    """No service, no VRRP: nothing to look at."""
    assert judge(config(), Facts()) == []


@pytest.mark.parametrize("mode", MODES)
def test_every_mended_thing_has_a_command_or_a_reason(mode: Mode) -> None:
    """What is an error says in a sentence of some length what it is about."""
    cfg = site(mode)
    for finding in bad(judge(cfg, Facts())):
        assert len(finding.finding) > 15, finding
        assert finding.subject, finding
