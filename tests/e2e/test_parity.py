"""The same services by lvsha and by Debian's keepalived leave the same table, to the letter."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.lab.director import directing
from tests.lab.keepalived import keepalived
from tests.lab.network import Node, topology

pytestmark = pytest.mark.ipvs

LVSHA = """
[services.nat]
address = "192.0.2.100"
port = 80
mode = "nat"
scheduler = "wlc"
check = "none"
servers = [
    { address = "10.0.1.11", port = 8080, weight = 3, upper = 100, lower = 80 },
    { address = "10.0.1.12", port = 8081, weight = 0 },
]

[services.routed]
address = "192.0.2.100"
port = 443
mode = "dr"
scheduler = "mh"
flags = ["mh-port", "mh-fallback"]
persistence = { timeout = "6m", netmask = "255.255.255.0" }
check = "none"
servers = [ { address = "192.0.2.11" }, { address = "192.0.2.12", weight = 2 } ]

[services.wrapped]
address = "192.0.2.101"
port = 25
mode = "tun"
scheduler = "wrr"
check = "none"
servers = [
    { address = "203.0.113.11" },
    { address = "203.0.113.12", tunnel = { kind = "gue", port = 6080 } },
    { address = "203.0.113.13", tunnel = { kind = "gre", checksum = "checksum" } },
]

[services.mixed]
address = "192.0.2.102"
port = 22
mode = "nat"
scheduler = "rr"
check = "none"
servers = [
    { address = "10.0.1.11" },
    { address = "192.0.2.11", mode = "dr" },
    { address = "203.0.113.11", mode = "tun" },
]

[services.dns]
address = "192.0.2.100"
port = 53
protocol = "udp"
mode = "nat"
scheduler = "sh"
flags = ["sh-port"]
one_packet = true
check = "none"
servers = [ { address = "10.0.1.11" } ]

[services.marked]
fwmark = 10
mode = "dr"
scheduler = "lblcr"
persistence = { timeout = "1m" }
check = "none"
servers = [ { address = "192.0.2.11" } ]

[services.six]
address = "2001:db8:1::100"
port = 80
mode = "dr"
scheduler = "sed"
check = "none"
servers = [ { address = "2001:db8:1::11" }, { address = "2001:db8:1::12", weight = 5 } ]
"""
KEEPALIVED = """
virtual_server 192.0.2.100 80 {
  lvs_sched wlc
  lvs_method NAT
  protocol TCP
  real_server 10.0.1.11 8080 { weight 3
    uthreshold 100
    lthreshold 80 }
  real_server 10.0.1.12 8081 { weight 0 }
}
virtual_server 192.0.2.100 443 {
  lvs_sched mh
  mh-port
  mh-fallback
  lvs_method DR
  protocol TCP
  persistence_timeout 360
  persistence_granularity 255.255.255.0
  real_server 192.0.2.11 443 { weight 1 }
  real_server 192.0.2.12 443 { weight 2 }
}
virtual_server 192.0.2.101 25 {
  lvs_sched wrr
  lvs_method TUN
  protocol TCP
  real_server 203.0.113.11 25 { weight 1 }
  real_server 203.0.113.12 25 { weight 1
    lvs_method TUN type gue port 6080 }
  real_server 203.0.113.13 25 { weight 1
    lvs_method TUN type gre csum }
}
virtual_server 192.0.2.102 22 {
  lvs_sched rr
  lvs_method NAT
  protocol TCP
  real_server 10.0.1.11 22 { weight 1 }
  real_server 192.0.2.11 22 { weight 1
    lvs_method DR }
  real_server 203.0.113.11 22 { weight 1
    lvs_method TUN }
}
virtual_server 192.0.2.100 53 {
  lvs_sched sh
  sh-port
  ops
  lvs_method NAT
  protocol UDP
  real_server 10.0.1.11 53 { weight 1 }
}
virtual_server fwmark 10 {
  lvs_sched lblcr
  lvs_method DR
  persistence_timeout 60
  real_server 192.0.2.11 0 { weight 1 }
}
virtual_server 2001:db8:1::100 80 {
  lvs_sched sed
  lvs_method DR
  protocol TCP
  real_server 2001:db8:1::11 80 { weight 1 }
  real_server 2001:db8:1::12 80 { weight 5 }
}
"""
LINES = 7 + 13


def table(node: Node) -> list[str]:
    """What `ipvsadm -Sn` saves, in an order of its own."""
    return sorted(node.run("ipvsadm", "-Sn").splitlines())


async def test_both_leave_the_same_table(tmp_path: Path) -> None:
    """Seven services in every mode, with flags, thresholds, tunnels, marks and IPv6."""
    async with topology(servers=0) as net:
        net.nodes["lb1"].ip("route add 203.0.113.0/24 via 192.0.2.254")
        async with keepalived(net["lb1"], tmp_path, KEEPALIVED, part="check"):
            async with asyncio.timeout(30):
                while len(theirs := table(net["lb1"])) < LINES:  # noqa: ASYNC110 - its log says less
                    await asyncio.sleep(0.1)
        assert any("--tun-type gue --tun-port 6080" in line for line in theirs)
        net["lb1"].run("ipvsadm", "-C")
        async with directing(net["lb1"], LVSHA, tmp_path) as lb1:
            assert table(lb1.node) == theirs


async def test_a_table_of_keepalived_is_taken_over_as_it_is(tmp_path: Path) -> None:
    """All that is wanted is there already, so nothing is changed: moving to lvsha costs no packet."""
    async with topology(servers=0) as net:
        net.nodes["lb1"].ip("route add 203.0.113.0/24 via 192.0.2.254")
        async with keepalived(net["lb1"], tmp_path, KEEPALIVED, part="check") as other:
            async with asyncio.timeout(30):
                while len(theirs := table(net["lb1"])) < LINES:  # noqa: ASYNC110 - its log says less
                    await asyncio.sleep(0.1)
            # Killed, it leaves the table; an orderly stop would empty it.
            await other.kill()
        async with directing(net["lb1"], LVSHA, tmp_path) as lb1:
            assert lb1.process is not None
            assert [e for e in lb1.process.events if e["event"] == "step.applied"] == []
            assert table(lb1.node) == theirs
