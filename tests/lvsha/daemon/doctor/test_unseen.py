"""Tests of lvsha.daemon.doctor.unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvsha.config import CheckConfig
from lvsha.daemon.doctor.unseen import judge
from lvsha.model import Mode
from tests.lab.facts import facts
from tests.lab.services import CHECK, config, server, service

LED = replace(CHECK, through="vip")
AUDIT = replace(CHECK, kind="realserver")


@pytest.mark.parametrize(
    ("mode", "fault"),
    [(Mode.NAT, "a gateway"), (Mode.DR, "an address that is missing on lo"), (Mode.TUN, "a tunnel")],
)
def test_what_a_plain_check_does_not_see_is_told(mode: Mode, fault: str) -> None:
    """For each mode another fault; a server without any check is named too."""
    servers = (replace(server(11), mode=mode), replace(server(12, check=None), mode=mode))
    (found,) = judge(cfg := config(service(*servers)), facts(cfg))
    assert (found.severity, found.command) == ("info", 'give their check through = "vip"')
    assert found.finding.startswith(f"no check of rs11, rs12 goes the clients' way: {fault}")


@pytest.mark.parametrize("check", [LED, AUDIT], ids=["led", "audit"])
def test_a_check_that_sees_it_is_enough(check: CheckConfig) -> None:
    """One through the service's address, or one that audits the server."""
    cfg = config(service(replace(server(11, check=check), mode=Mode.DR)))
    assert list(judge(cfg, facts(cfg))) == []


def test_only_those_that_are_not_looked_at_are_named() -> None:
    """Others of the same service, and of mode fullnat, are not."""
    some = (server(11, check=LED), server(12), replace(server(13), mode=Mode.FULLNAT))
    (found,) = judge(cfg := config(service(*some)), facts(cfg))
    assert "no check of rs12 goes" in found.finding


def test_a_firewall_mark_has_no_address_to_ask() -> None:
    """So nothing is asked of whoever uses one."""
    cfg = config(replace(service(server(11)), address=None, fwmark=10))
    assert list(judge(cfg, facts(cfg))) == []
