"""Tests of `lvsha.config.rules.outsiders`."""

from __future__ import annotations

import pytest

from tests.lab.desk import Desk

NODES = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
vrrp.public.address = "192.0.2.12"
"""
PUBLIC = """
[vrrp.public]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]
excluded = ["192.0.2.101/24"]
"""
OUTSIDE = "192.0.2.254"


@pytest.mark.parametrize(
    ("address", "node"), [("192.0.2.1", "lb1"), ("192.0.2.2", "lb2"), ("192.0.2.12", "lb2")]
)
@pytest.mark.parametrize(("held", "place"), [("192.0.2.100", "addresses"), ("192.0.2.101", "excluded")])
def test_a_nodes_own_address_does_not_move(
    desk: Desk, address: str, node: str, held: str, place: str
) -> None:
    """What a node is reached by stays with it: as a virtual address it would be taken from it."""
    problem = desk.error(NODES + PUBLIC.replace(held, address), "lb1")
    assert problem.path == f"vrrp.public.{place}[0]"
    assert f"{address} is node {node}'s own address" in problem.message
    assert "another address" in problem.hint


@pytest.mark.parametrize(
    ("witness", "why"),
    [
        ("192.0.2.100", "192.0.2.100 is held by vrrp.public"),
        ("192.0.2.101", "192.0.2.101 is held by vrrp.public"),
        ("192.0.2.1", "192.0.2.1 is node lb1"),
        ("192.0.2.2", "192.0.2.2 is node lb2"),
    ],
)
def test_a_witness_stands_outside(desk: Desk, witness: str, why: str) -> None:
    """One that goes when the master goes would have nobody take over."""
    problem = desk.error(NODES + PUBLIC + f'witness = "{witness}"\n', "lb1")
    assert problem.path == "vrrp.public.witness"
    assert why in problem.message


@pytest.mark.parametrize("gateway", ["192.0.2.100", "192.0.2.1", "192.0.2.12"])
def test_a_gateway_stands_outside(desk: Desk, gateway: str) -> None:
    """What only the pair itself answers for says nothing about the way out."""
    track = f'track = [{{ interface = "eth1" }}, {{ gateway = "{gateway}" }}]\n'
    problem = desk.error(NODES + PUBLIC + track, "lb1")
    assert problem.path == "vrrp.public.track[1].gateway"
    assert gateway in problem.message


def test_what_is_outside_is_well(desk: Desk) -> None:
    """A router as witness and gateway, and addresses that are nobody's own."""
    text = PUBLIC + f'witness = "{OUTSIDE}"\ntrack = [{{ gateway = "{OUTSIDE}" }}]\n'
    assert desk.warnings(NODES + text, "lb1") == []
