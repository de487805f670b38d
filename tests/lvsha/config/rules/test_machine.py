"""Tests of `lvsha.config.rules.machine`."""

from __future__ import annotations

import pytest

from tests.lab.desk import Desk

SYNC = '[sync]\ninterface = "eth1"\n'
TUNNEL = """
[services.web]
address = "192.0.2.100"
port = 80
check = "none"
mode = "tun"
[[services.web.servers]]
address = "2001:db8:1::1"
"""
FULLNAT = TUNNEL.replace('"tun"', '"fullnat"\nlocal_addresses = ["10.0.0.100"]').replace(
    "2001:db8:1::1", "10.0.0.11"
)

WRONG = [
    (SYNC + 'group = "192.0.2.1"', "sync.group", "is not a multicast group", "224.0.0.81"),
    (
        SYNC + 'group = "ff02::81"\nmaxlen = 65500',
        "sync.maxlen",
        "is 65500, and a UDP packet carries 65487",
        "smaller",
    ),
    (SYNC + TUNNEL, "services.web.servers[0]", "the kernel has no connection sync", "take [sync] out"),
    (
        SYNC + "[ipvs]\nsysctl = { backup_only = 1 }",
        "ipvs.sysctl.backup_only",
        "stops the kernel from directing",
        "leave it out",
    ),
    (
        '[ipvs]\nsysctl = { sync_threshold = "50 3" }',
        "ipvs.sysctl.sync_threshold",
        "the first below",
        '"3 50"',
    ),
    ("[ipvs]\nsysctl = { sync_threshold = 3 }", "ipvs.sysctl.sync_threshold", "takes two numbers", '"3 50"'),
    ('[ipvs]\nsysctl = { conntrack = "1 1" }', "ipvs.sysctl.conntrack", "takes one number", "without quotes"),
    (
        "[ipvs]\nsysctl = { conntrack = 0 }" + FULLNAT,
        "ipvs.sysctl.conntrack",
        "mode fullnat of web needs it to be 1",
        "leave it out",
    ),
]


@pytest.mark.parametrize(("text", "path", "message", "hint"), WRONG)
def test_wrong(desk: Desk, text: str, path: str, message: str, hint: str) -> None:
    """Each mix that cannot work is one error, at its key, with the reason and what to do."""
    problem = desk.error(text)
    assert problem.path == path
    assert message in problem.message
    assert hint in problem.hint


RIGHT = [
    SYNC + 'group = "ff02::81"\nmaxlen = 65487',
    SYNC + "maxlen = 65507",
    TUNNEL,
    "[ipvs]\nsysctl = { backup_only = 1, conntrack = 0 }",
    SYNC + "[ipvs]\nsysctl = { backup_only = 0 }",
    '[ipvs]\nsysctl = { sync_threshold = "3 50" }',
    '[ipvs]\nsysctl = { sync_threshold = "3 0" }',
    "[ipvs]\nsysctl = { conntrack = 1 }" + FULLNAT,
]


@pytest.mark.parametrize("text", RIGHT)
def test_right(desk: Desk, text: str) -> None:
    """The same settings where they mean something are accepted without a word."""
    assert desk.warnings(text) == []


def test_fullnat_sets_what_it_needs(desk: Desk) -> None:
    """Without conntrack there is no source NAT, so the mode brings it, and only that mode does."""
    assert desk.load(FULLNAT).ipvs.sysctl == {"conntrack": 1}
    assert desk.load(TUNNEL).ipvs.sysctl == {}


def test_unknown_sysctl(desk: Desk) -> None:
    """A kernel may know a sysctl that lvsha does not, so that is a warning, and names the nearest."""
    problem = desk.warning("[ipvs]\nsysctl = { con_reuse_mode = 1 }")
    assert (problem.path, problem.hint) == ("ipvs.sysctl.con_reuse_mode", "did you mean conn_reuse_mode?")


def test_group_beyond_the_link(desk: Desk) -> None:
    """Sync messages are not authenticated, so a wider scope is told."""
    assert "reaches beyond the link" in desk.warning(SYNC + 'group = "ff05::81"').message
