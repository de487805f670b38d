"""One director on a real kernel: the table is programmed, kept, drained and adopted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.director import directing
from tests.lab.network import Network, topology

pytestmark = pytest.mark.ipvs

UNCHECKED = """
[services.web]
address = "192.0.2.100"
port = 80
mode = "nat"
scheduler = "rr"
check = "none"
servers = [
    { name = "rs1", address = "10.0.1.11", weight = 1 },
    { name = "rs2", address = "10.0.1.12", weight = 2 },
    { name = "rs3", address = "10.0.1.13", weight = 3 },
]
"""


@pytest.fixture
def net() -> Iterator[Network]:
    """A client, a director and three servers."""
    with topology(servers=3) as built:
        yield built


async def test_a_configuration_is_programmed(net: Network, tmp_path: Path) -> None:
    """What `ipvsadm` saves is what the configuration says."""
    async with directing(net["lb1"], UNCHECKED, tmp_path) as lb1:
        assert lb1.table().splitlines() == [
            "-A -t 192.0.2.100:80 -s rr",
            "-a -t 192.0.2.100:80 -r 10.0.1.11:80 -m -w 1",
            "-a -t 192.0.2.100:80 -r 10.0.1.12:80 -m -w 2",
            "-a -t 192.0.2.100:80 -r 10.0.1.13:80 -m -w 3",
        ]


async def test_an_emptied_table_is_restored_and_reported(net: Network, tmp_path: Path) -> None:
    """`ipvsadm -C` by hand: everything is back at the next look, and said."""
    async with directing(net["lb1"], UNCHECKED, tmp_path) as lb1:
        before = lb1.table()
        net["lb1"].run("ipvsadm", "-C")
        steps = await lb1.ask("POST", "/v1/look")
        assert lb1.table() == before
        await lb1.event("drift.repaired", count=4)
        assert len(steps) > 0
