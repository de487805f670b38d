"""Tests of lvsha.daemon.doctor.forward."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from lvsha.daemon.doctor.forward import judge
from lvsha.kernel.forwarding import Gate
from lvsha.model import Mode
from tests.lab.facts import facts
from tests.lab.services import config, server, service

CFG = config(service(server(11), server(12)))
DOCKER = Gate("iptables", "ip filter FORWARD", frozenset({4}))


def test_no_gate_no_word() -> None:
    """Where nothing drops what is forwarded, nothing is said."""
    assert list(judge(CFG, facts(CFG))) == []


def test_a_policy_that_drops() -> None:
    """A warning that names servers and chain, and the command."""
    (found,) = judge(CFG, facts(CFG, gates=(DOCKER,)))
    assert (found.severity, found.subject) == ("warning", "service web")
    assert found.finding.startswith(
        "answers of rs11, rs12 are dropped by the chain ip filter FORWARD, unless"
    )
    assert found.command == "iptables -I FORWARD -s 10.0.0.11,10.0.0.12 -j ACCEPT"


def test_every_chain_counts() -> None:
    """One that accepts does not help against another that drops."""
    own = Gate("nft", "inet own f", frozenset({4, 6}), ("back",))
    half = replace(DOCKER, admitted=(ip_network("10.0.0.11/32"),))
    fine, wrong = judge(CFG, facts(CFG, gates=(own, half)))
    assert (fine.severity, wrong.severity) == ("ok", "warning")
    assert wrong.command == "iptables -I FORWARD -s 10.0.0.12 -j ACCEPT"


def test_firewalld_is_not_written_past() -> None:
    """It owns its table: its own program is named."""
    gate = Gate("nft", "inet firewalld filter_FORWARD", frozenset({4, 6}))
    (found,) = judge(CFG, facts(CFG, gates=(gate,)))
    assert found.command.startswith("firewall-cmd ")


@pytest.mark.parametrize("mode", [Mode.DR, Mode.TUN])
def test_answers_that_go_another_way(mode: Mode) -> None:
    """Servers that answer their clients directly are nobody's to forward; fullnat's are."""
    cfg = config(service(replace(server(11), mode=mode)))
    assert list(judge(cfg, facts(cfg, gates=(DOCKER,)))) == []
    fullnat = config(service(replace(server(11), mode=Mode.FULLNAT)))
    assert [f.severity for f in judge(fullnat, facts(fullnat, gates=(DOCKER,)))] == ["warning"]


def test_the_other_family() -> None:
    """A chain of IPv6 is never met by servers of IPv4."""
    six = Gate("ip6tables", "ip6 filter FORWARD", frozenset({6}))
    assert list(judge(CFG, facts(CFG, gates=(six,)))) == []
