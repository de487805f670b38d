"""Tests of lvsha.daemon.doctor.claims."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon.doctor import Facts
from lvsha.daemon.doctor.claims import judge, questions
from lvsha.kernel.neighbours import Answer, Neighbour
from lvsha.speaker.messages import State
from lvsha.wire.owners import Question
from tests.lab.facts import BACK, FRONT, MAC, facts, held, pair, report, status, vrrp
from tests.lab.services import config, server, service

VIP, MASTER = (ip_address(f"192.0.2.{n}") for n in (100, 2))
RS, PEER = "02:00:00:00:00:11", "02:00:00:00:00:02"
CFG = pair(config(service(server(11), server(12))))
BACKUP = report(status(state=State.BACKUP, master=str(MASTER)))


def backup(cfg: Config = CFG, **changes: Any) -> Facts:
    """Another director is master, and has the address."""
    usual = {"report": BACKUP, "held": (held("192.0.2.1/24", FRONT), held("10.0.0.1/24", BACK))}
    return facts(cfg, **(usual | changes))


def judged(seen: Facts, cfg: Config = CFG) -> FindingView:
    """The one finding."""
    (finding,) = judge(cfg, seen)
    return finding


def test_a_master_asks_for_its_address_alone() -> None:
    """On the interface where clients come in, from an address that stays here."""
    (question,) = questions(CFG, facts(CFG))
    assert question == Question(VIP, "front", ip_address("192.0.2.1"), MAC)


def test_another_director_asks_for_the_master_too() -> None:
    """By the address of its adverts, on the same interface."""
    assert [q.address for q in questions(CFG, backup())] == [VIP, MASTER]


def test_without_an_own_address_nothing_can_be_asked() -> None:
    """Nor where the interface is down, or nothing is configured."""
    assert questions(CFG, facts(CFG, held=(held("192.0.2.100/24", FRONT),))) == []
    well = facts(CFG)
    down = {i: replace(link, up=False) for i, link in well.links.items()}
    assert questions(CFG, replace(well, links=down)) == []
    assert questions(config(), facts(config())) == []
    assert list(judge(CFG, facts(CFG))) == [], "and what could not be asked is not judged"


def test_a_holder_hears_nobody_else() -> None:
    """Silence is well, and so is an answer of an interface of its own."""
    for answers in ((), (MAC.hex(":"),)):
        assert judged(facts(CFG, owners={VIP: frozenset(answers)})).severity == "ok"


def test_a_server_that_answers_is_named() -> None:
    """With the command for it, if the neighbour table knows where it is."""
    seen = facts(CFG, owners={VIP: frozenset({RS})})
    found = judged(seen)
    assert (found.severity, found.command) == ("error", f"ip neighbour show nud all | grep {RS}")
    assert found.finding.startswith(f"{RS} answers as well")
    known = Neighbour(server(11).address, BACK, Answer.KNOWN, RS)
    found = judged(replace(seen, neighbours={(known.address, BACK): known}))
    assert found.finding.startswith(f"rs11 ({RS}) answers as well")
    assert found.command.startswith("on rs11: sysctl -w net.ipv4.conf.all.arp_ignore=1")


def test_the_master_may_answer_and_nobody_else() -> None:
    """On the other director: the master by its own address, or by the virtual router's."""
    well = {VIP: frozenset({PEER}), MASTER: frozenset({PEER})}
    assert judged(backup(owners=well)).severity == "ok"
    assert judged(backup(owners=well | {VIP: frozenset({PEER, RS})})).finding.startswith(f"{RS} answers")
    assert judged(backup(owners=well | {VIP: frozenset({RS})})).severity == "error"
    cfg = pair(config(service(server(11))), replace(vrrp(), virtual_mac=True))
    assert judged(backup(cfg, owners={VIP: frozenset({"00:00:5e:00:01:33"})}), cfg).severity == "ok"


def test_a_master_on_another_link_is_one_who_answers() -> None:
    """Its adverts come from elsewhere, so nobody knows where it is on this link: two are one too many."""
    unknown = {MASTER: frozenset[str]()}
    assert judged(backup(owners=unknown | {VIP: frozenset({PEER})})).severity == "ok"
    both = judged(backup(owners=unknown | {VIP: frozenset({PEER, RS})}))
    assert (both.severity, f"{PEER}, {RS} answer as well" in both.finding) == ("error", True)
