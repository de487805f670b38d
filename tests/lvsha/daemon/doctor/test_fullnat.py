"""Tests of lvsha.daemon.doctor.fullnat."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from lvsha.config import Config, PeerConfig
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.fullnat import COUNT, EVENTS, MAX, judge
from lvsha.kernel.addresses import OURS
from lvsha.model import Mode, SourceNatState
from lvsha.speaker.messages import State
from tests.lab.facts import FRONT, bad, facts, held, pair, report, status, vrrp
from tests.lab.services import config, server, service

LOCAL = ip_address("10.0.0.100")
WEB = replace(service(replace(server(11), mode=Mode.FULLNAT)), mode=Mode.FULLNAT, local_addresses=(LOCAL,))
ALONE = pair(config(WEB), vrrp("192.0.2.100/24", "10.0.0.100/24"))
PEER = PeerConfig(b"k" * 32, ip_address("10.0.0.1"), ip_address("10.0.0.1"), {}, 8850)
CFG = replace(ALONE, peer=PEER)


def spoiled(name: str, value: str) -> Facts:
    """All is well but for one setting."""
    well = facts(CFG)
    return replace(well, sysctls={**well.sysctls, name: value})


def serious(cfg: Config, seen: Facts) -> list[tuple[str, str]]:
    """Severity and subject of what is worse than worth knowing."""
    return [(f.severity, f.subject) for f in bad(judge(cfg, seen)) if f.severity != "info"]


def test_all_is_well_and_the_capacity_is_told() -> None:
    """One address carries 64,500 connections to a server's port."""
    assert serious(CFG, facts(CFG)) == []
    (info,) = bad(judge(CFG, facts(CFG)))
    assert info.finding == "1 local address carries about 64500 connections to each server's port"


def test_no_word_without_the_mode() -> None:
    """Connection tracking is nobody's business elsewhere."""
    cfg = config(service(server(11)))
    assert list(judge(cfg, facts(cfg))) == []


def test_rules_that_somebody_changed() -> None:
    """The difference is told as the kernel's side tells it."""
    well = facts(CFG)
    altered = replace(well.observed, source_nat=SourceNatState(altered="the table lvsha is gone"))
    (found,) = [f for f in judge(CFG, replace(well, observed=altered)) if f.severity == "error"]
    assert found.finding == "is not as it should be: the table lvsha is gone"


def test_a_connection_table_that_fills_up() -> None:
    """At four fifths it is time to make it larger."""
    assert serious(CFG, spoiled(COUNT, "209000")) == []
    assert serious(CFG, spoiled(COUNT, "210000")) == [("warning", MAX)]


def test_ports_that_are_changed_are_told_to_a_peer() -> None:
    """Not without `[peer]`, nor where connection tracking tells of nothing; one alone has nobody to tell."""
    assert serious(CFG, spoiled(EVENTS, "2")) == []
    assert serious(CFG, spoiled(EVENTS, "0")) == [("warning", EVENTS)]
    (unheard, _) = bad(judge(ALONE, facts(ALONE)))
    assert (unheard.severity, unheard.subject) == ("info", "source NAT")
    assert "over [peer]" in unheard.finding
    single = config(WEB)
    assert "port than" not in " ".join(f.finding for f in judge(single, facts(single)))


def test_a_local_address_that_is_not_here() -> None:
    """A master must have it, a backup must not."""
    own = (held("192.0.2.1/24", FRONT), held("192.0.2.100/24", FRONT, mark=OURS))
    assert serious(CFG, facts(CFG, held=own)) == [("error", "service web")]
    backup = report(status(state=State.BACKUP))
    assert serious(CFG, facts(CFG, held=own[:1], report=backup)) == []
