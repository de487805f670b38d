"""The four modes on a real kernel: what a client, a server and an operator see of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.modes import CASES, PORT, VIPS, site
from tests.lab.network import Node

pytestmark = pytest.mark.ipvs


def neighbour(node: Node, address: str, machine: Node) -> None:
    """A node sends what is for an address to a machine, whatever it hears."""
    (link,) = json.loads(machine.run("ip", "-json", "link", "show", "dev", "front"))
    node.ip(f"neighbour replace {address} lladdr {link['address']} dev front nud permanent")


@pytest.mark.parametrize("by", ["lb1", "lb2"])
async def test_a_director_without_the_address_spoils_nothing(tmp_path: Path, by: str) -> None:
    """Mode fullnat, packets that meet whoever does not hold the address: both take them for the client's.

    So it is for a moment at every failover: they come by the old master (lb1) when it has let go, by the new
    one (lb2) before it has the address.
    """
    async with site("fullnat", tmp_path) as s:
        client = s.net["client"]
        for family, vip in VIPS.items():
            neighbour(client, vip, s.net[by])
            # It is asked for from the service's address, and answers that by way of the other.
            neighbour(s.net["lb1"], str(client.address("front", family)), client)
        await s.hold(4)
        await s.synced(s.lb2)
        await s.flows.mark()
        await s.hand_over(s.lb1, s.lb2)
        fates = await s.flows.settle()
        assert sum(fate.alive for fate in fates.values()) == 4 * len(CASES), fates
        for case in CASES:
            assert await s.clients[case].ask(case.vip, PORT, case.transport)
