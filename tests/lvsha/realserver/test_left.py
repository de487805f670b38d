"""Tests of `lvsha.realserver.left`."""

from __future__ import annotations

import pytest

from checks.audit import Severity
from checks.audit.facts import Conf4
from checks.audit.steps import AddAddress, SetSysctl, Step
from lvsha.realserver.left import open_after
from tests.lab.realserver import server

HUSHED = (SetSysctl("all", "arp_ignore", 1, 0), SetSysctl("all", "arp_announce", 2, 0))
THERE = (("192.0.2.100/32", "lo"),)


def test_an_address_that_was_there_before() -> None:
    """It stays on lo, and the server answers for it: a warning, with what removes it."""
    (found,) = open_after(server(addresses=THERE), HUSHED)
    assert (found.severity, found.setting) == (Severity.WARNING, "address 192.0.2.100")
    assert found.commands == ["ip address del 192.0.2.100/32 dev lo"]


@pytest.mark.parametrize(
    ("addresses", "conf", "back"),
    [
        ((), {}, HUSHED),
        ((("192.0.2.100/32", "eth0"), ("2001:db8::100/128", "lo")), {}, HUSHED),
        (THERE, {"all": Conf4(1, 2, 0)}, HUSHED),
        (THERE, {}, (AddAddress("192.0.2.101", "lo"),)),
    ],
    ids=["nothing", "elsewhere", "still", "as before"],
)
def test_no_warning(
    addresses: tuple[tuple[str, str], ...], conf: dict[str, Conf4], back: tuple[Step, ...]
) -> None:
    """Where nothing is left, where the server keeps still by itself, and where no setting was taken back."""
    assert list(open_after(server(addresses=addresses, conf=conf), back)) == []
