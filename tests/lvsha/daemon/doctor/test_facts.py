"""Tests of lvsha.daemon.doctor.facts: the questions that judgements ask of what was seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from lvsha.daemon.doctor.facts import Facts, holder_of, moving_with
from lvsha.kernel.addresses import OURS
from tests.lab.facts import BACK, FRONT, facts, held, pair, vrrp
from tests.lab.services import config, server, service

VIP, RS = ip_address("192.0.2.100"), server(11).address
CFG = pair(config(service(server(11))), vrrp("192.0.2.100/24", "10.0.0.100/24"))


def test_own_addresses_are_not_the_virtual_ones() -> None:
    """In a server's network, the address that stays here is told, the floating one is not."""
    assert [str(own) for own in facts(CFG).own(RS)] == ["10.0.0.1/24"]


def test_clients_come_in_where_the_address_is_or_would_be() -> None:
    """Held: its interface. Not held: the one that VRRP would put it on. No VRRP: the way to it."""
    well = facts(CFG)
    assert well.entry(VIP, CFG) == FRONT
    assert replace(well, held=()).entry(VIP, CFG) == FRONT
    alone = config(service(server(11)))
    assert facts(alone, held=(held("192.0.2.100/32", BACK, mark=OURS),)).entry(VIP, alone) == BACK
    assert facts(alone, held=()).entry(VIP, alone) == FRONT
    assert Facts().entry(VIP, alone) is None


def test_a_setting_that_is_no_number() -> None:
    """What is not there and what is two numbers is None."""
    seen = Facts(sysctls={"a": "3 50", "b": "-1"})
    assert (seen.number("a"), seen.number("b"), seen.number("c")) == (None, -1, None)


def test_what_moves_together() -> None:
    """An instance's own addresses, and those of its group; not those of strangers without a group."""
    inside = vrrp("10.0.0.100/24", name="inside", group="front")
    cfg = pair(config(), vrrp(group="front"), inside, vrrp("192.0.2.9/24", name="other"))
    holder = holder_of(VIP, cfg)
    assert holder is not None
    assert {str(a) for a in moving_with(holder, cfg)} == {"192.0.2.100/24", "10.0.0.100/24"}
    other = holder_of(ip_address("192.0.2.9"), cfg)
    assert other is not None
    assert {str(a) for a in moving_with(other, cfg)} == {"192.0.2.9/24"}
