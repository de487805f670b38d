"""Tests of `checks.audit.sysctls`: of two values the kernel takes the larger."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from checks.audit import Finding, Preparation, Severity
from checks.audit.facts import Conf4, Link
from checks.audit.steps import SetSysctl
from checks.audit.sysctls import arp, reverse_path
from tests.lab.realserver import ETHERNET, after, server

DR = Preparation("dr", ("192.0.2.100",))


def found(findings: list[Finding], name: str) -> Finding:
    """The finding about a setting."""
    return next(finding for finding in findings if finding.setting == name)


def test_nothing_is_set() -> None:
    """What the kernel begins with is wrong in both settings, and one value for all interfaces mends each."""
    ignore, announce = arp(DR, server())
    assert (ignore.setting, ignore.severity) == ("net.ipv4.conf.eth0.arp_ignore", Severity.ERROR)
    assert ignore.found == "0 (all 0, eth0 0: the larger one counts)"
    assert ignore.needed == "1"
    assert ignore.commands == ["sysctl -w net.ipv4.conf.all.arp_ignore=1"]
    assert announce.commands == ["sysctl -w net.ipv4.conf.all.arp_announce=2"]


def test_an_interface_of_its_own_mind() -> None:
    """A larger and wrong value of one interface counts there, whatever `all` says."""
    facts = server(conf={"all": Conf4(1, 2, 0), "eth0": Conf4(3, 0, 0)})
    ignore, announce = arp(DR, facts)
    assert ignore.mend == (SetSysctl("eth0", "arp_ignore", 1, 3),)
    assert announce.ok


def test_one_interface_alone() -> None:
    """Where interfaces are named, they are set and `all` is not; others are not looked at."""
    facts = server(Link("eth1", ETHERNET, 1500))
    findings = list(arp(replace(DR, interfaces=("eth1",)), facts))
    assert [finding.setting for finding in findings] == [
        "net.ipv4.conf.eth1.arp_ignore",
        "net.ipv4.conf.eth1.arp_announce",
    ]
    assert findings[0].commands == ["sysctl -w net.ipv4.conf.eth1.arp_ignore=1"]


def test_an_interface_that_is_missing() -> None:
    """A name that no interface has stops everything, and says which there are."""
    missing, *_ = arp(replace(DR, interfaces=("eth7",)), server())
    assert missing.stops
    assert missing.commands == ["interfaces here: eth0"]


def test_an_interface_that_is_down() -> None:
    """It steals nothing today: a warning, after those that are up."""
    facts = server(Link("aa0", frozenset({"BROADCAST"}), 1500))
    findings = list(arp(DR, facts))
    assert [(finding.setting, str(finding.severity)) for finding in findings] == [
        ("net.ipv4.conf.eth0.arp_ignore", "error"),
        ("net.ipv4.conf.eth0.arp_announce", "error"),
        ("net.ipv4.conf.aa0.arp_ignore", "warning"),
        ("net.ipv4.conf.aa0.arp_announce", "warning"),
    ]


def test_dots_in_a_name() -> None:
    """The setting of a VLAN's interface is named with slashes, as sysctl(8) wants it."""
    facts = server(Link("eth0.5", ETHERNET, 1500), conf={"eth0.5": Conf4(4, 0, 0)})
    finding = found(list(arp(DR, facts)), "net/ipv4/conf/eth0.5/arp_ignore")
    assert "sysctl -w net/ipv4/conf/eth0.5/arp_ignore=1" in finding.commands


def test_ipv6_needs_none_of_it() -> None:
    """ARP is of IPv4."""
    assert list(arp(Preparation("dr", ("2001:db8::100",)), server())) == []


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("every", "own"), list(product(range(9), range(9))))
def test_the_remedy_of_arp(every: int, own: int, alone: bool) -> None:
    """Whatever was set before, the remedy leaves nothing to be said; what is right is not touched."""
    wanted = replace(DR, interfaces=("eth0",)) if alone else DR
    facts = server(conf={"all": Conf4(every, every, 0), "eth0": Conf4(own, own, 0)})
    findings = list(arp(wanted, facts))
    for finding in findings:
        assert bool(finding.mend) != finding.ok
    mended = after(facts, *(step for finding in findings for step in finding.mend))
    assert all(finding.ok for finding in arp(wanted, mended))
    # arp_ignore 1, 2 and 8 are silent, of arp_announce only 2 is.
    assert findings[0].ok == (max(every, own) in (1, 2, 8))
    assert findings[1].ok == (max(every, own) == 2)


@pytest.mark.parametrize(("every", "own", "addressed"), list(product(range(3), range(3), [True, False])))
def test_the_remedy_of_the_reverse_path(every: int, own: int, addressed: bool) -> None:
    """A tunnel device ends up open; where it has an address, the other interfaces keep their strictness."""
    facts = server(conf={"all": Conf4(0, 0, every), "eth0": Conf4(0, 0, own)})
    finding = reverse_path(facts, "eth0", addressed=addressed)
    mended = after(facts, *finding.mend)
    counts = max(mended.ipv4["all"].rp_filter, mended.ipv4["eth0"].rp_filter)
    assert counts in ((0, 2) if addressed else (0,))
    assert reverse_path(mended, "eth0", addressed=addressed).ok
    if addressed:
        assert mended.ipv4["all"].rp_filter == every


def test_a_device_that_is_yet_to_be_made() -> None:
    """It will begin with what `default` says."""
    facts = server(conf={"default": Conf4(0, 0, 1)})
    finding = reverse_path(facts, "lvsha-ipip", addressed=True)
    assert finding.mend == (SetSysctl("lvsha-ipip", "rp_filter", 0, 1),)
