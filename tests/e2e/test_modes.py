"""The four modes on a real kernel: what a client, a server and an operator see of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.cells import broken, seen
from tests.lab.modes import CASES, MAPS, MODES, PORT, VIPS, Mode, site
from tests.lab.network import Node

pytestmark = [pytest.mark.ipvs, pytest.mark.slow]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", MODES)
async def test_the_mode_keeps_its_promises(tmp_path: Path, mode: Mode) -> None:
    """TCP and UDP over IPv4 and IPv6 through all that may happen; `bench.modes` shows the same as a table."""
    found = await seen(mode, tmp_path, flows=6)
    assert [words for row in found.rows for words in broken(row)] == []
    assert [row.case for row in found.rows] == [*CASES]
    assert ("keeps its port" in found.refusal) == (mode not in MAPS), found.refusal
    # A verdict is a matter of the table alone, also where there is source NAT.
    assert {step.split(" server ")[0] for step in found.steps} == {"delete", "add"}


def neighbour(node: Node, address: str, machine: Node) -> None:
    """A node sends what is for an address to a machine, whatever it hears."""
    (link,) = json.loads(machine.run("ip", "-json", "link", "show", "dev", "front"))
    node.ip(f"neighbour replace {address} lladdr {link['address']} dev front nud permanent")


async def test_a_director_without_the_address_spoils_nothing(tmp_path: Path) -> None:
    """Mode fullnat: a packet that meets who does not hold the address stays the client's, and is forgotten.

    So it is for a moment at every failover, by the old master when it has let go, and by the new one before
    it has the address. Here packets come by lb2 before, and by lb1 afterwards, all of them.
    """
    async with site("fullnat", tmp_path) as s:
        client = s.net["client"]
        for family, vip in VIPS.items():
            neighbour(client, vip, s.net["lb2"])
            for director in s.net.directors:
                # It is asked for from the service's address, and would answer that by way of the other.
                neighbour(director, str(client.address("front", family)), client)
        await s.hold(3)
        for vip in VIPS.values():
            neighbour(client, vip, s.net["lb1"])
        await s.hold(3)
        await s.synced(s.lb2)
        await s.flows.mark()
        await s.hand_over(s.lb1, s.lb2)
        fates = await s.flows.settle()
        assert sum(fate.count for fate in fates.values()) == 6 * len(CASES)
        assert {key: fate for key, fate in fates.items() if fate.alive < fate.count} == {}
        for case in CASES:
            assert await s.clients[case].ask(case.vip, PORT, case.transport)
