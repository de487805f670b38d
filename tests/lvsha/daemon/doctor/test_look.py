"""Tests of lvsha.daemon.doctor.look: what is seen on a node of a network, and what is then found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.config import Config
from lvsha.daemon.doctor import Facts, judge, look
from lvsha.daemon.doctor.look import others
from lvsha.kernel.neighbours import Answer
from lvsha.kernel.routes import Way
from lvsha.model import Observed
from tests.lab.desk import Desk
from tests.lab.network import Network, Node, topology

VIP = "192.0.2.100"
CONFIG = """
[services.web]
address = "192.0.2.100"
port = 80
mode = "{mode}"
check = "none"
servers = [ {{ name = "rs1", address = "10.0.1.11" }}, {{ name = "gone", address = "10.0.1.77" }},
            {{ name = "far", address = "203.0.113.1" }} ]
"""


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """A director and one server."""
    async with topology(servers=1) as net:
        yield net


def config(tmp_path: Path, mode: str) -> Config:
    """A service with a server that is there, one that is not, and one that no route leads to."""
    return Desk(tmp_path).load(CONFIG.format(mode=mode))


async def see(node: Node, cfg: Config) -> Facts:
    """What the doctor sees on a node. It opens its sockets in the namespace of the thread that it runs in."""

    def there() -> Facts:
        with node.entered():
            return asyncio.run(look(cfg, Observed()))

    return await asyncio.to_thread(there)


@pytest.mark.net
async def test_ways_and_neighbours_are_seen(net: Network, tmp_path: Path) -> None:
    """The server that answers is known although nothing was ever sent to it, the missing one is silent."""
    seen = await see(net["lb1"], config(tmp_path, "dr"))
    index = seen.index("back")
    assert index is not None
    answers = {str(a): n.answer for (a, i), n in seen.neighbours.items() if i == index}
    assert answers["10.0.1.11"] is Answer.KNOWN
    assert answers["10.0.1.77"] is not Answer.KNOWN
    assert isinstance(seen.ways[ip_address("10.0.1.11")], Way)
    assert not isinstance(seen.ways[ip_address("203.0.113.1")], Way)


@pytest.mark.net
async def test_what_is_seen_is_judged(net: Network, tmp_path: Path) -> None:
    """On a real node: the silent server, the far one and the missing address are errors, rs1 is well."""
    cfg = config(tmp_path, "dr")
    found = {f.subject: f.severity for f in judge(cfg, await see(net["lb1"], cfg))}
    assert found["server web/rs1"] == "ok"
    assert found["server web/gone"] == "error"
    assert found["server web/far"] == "error"
    assert found[f"address {VIP}"] == "error"


@pytest.mark.net
async def test_settings_are_seen_as_they_are(net: Network, tmp_path: Path) -> None:
    """The node's own values, of its own interfaces."""
    lb1 = net["lb1"]
    lb1.sysctl("net.ipv4.ip_forward", 0)
    lb1.sysctl("net.ipv4.conf.front.rp_filter", 1)
    cfg = config(tmp_path, "nat")
    seen = await see(lb1, cfg)
    assert seen.number("net.ipv4.ip_forward") == 0
    assert seen.number("net/ipv4/conf/front/rp_filter") == 1
    found = {f.subject: f for f in judge(cfg, seen)}
    assert found["net.ipv4.ip_forward"].command == "sysctl -w net.ipv4.ip_forward=1"


@pytest.mark.net
async def test_a_firewall_that_forwards_nothing_is_seen(net: Network, tmp_path: Path) -> None:
    """As docker leaves it: a warning in mode nat, until its own command was run; of no matter to mode dr."""
    lb1, cfg = net["lb1"], config(tmp_path, "nat")
    lb1.run("iptables", "-P", "FORWARD", "DROP")
    (found,) = [f for f in judge(cfg, await see(lb1, cfg)) if "FORWARD" in f.finding]
    assert found.severity == "warning"
    direct = judge(config(tmp_path, "dr"), await see(lb1, config(tmp_path, "dr")))
    assert [f for f in direct if "FORWARD" in f.finding] == []
    lb1.run("sh", "-c", found.command)
    (found,) = [f for f in judge(cfg, await see(lb1, cfg)) if "FORWARD" in f.finding]
    assert found.severity == "ok"


@pytest.mark.net
async def test_looking_changes_nothing(net: Network, tmp_path: Path) -> None:
    """Addresses, routes and settings are what they were."""
    lb1 = net["lb1"]
    before = lb1.run("ip", "address"), lb1.run("ip", "route"), lb1.sysctl("net.ipv4.ip_forward")
    await see(lb1, config(tmp_path, "nat"))
    assert before == (lb1.run("ip", "address"), lb1.run("ip", "route"), lb1.sysctl("net.ipv4.ip_forward"))


def process(proc: Path, name: str, comm: str, namespace: Path) -> None:
    """A process as /proc shows it."""
    (proc / name / "ns").mkdir(parents=True)
    (proc / name / "comm").write_text(f"{comm}\n")
    os.link(namespace, proc / name / "ns/net")


def test_only_programs_of_this_namespace_count(tmp_path: Path) -> None:
    """A keepalived in a container of its own writes a table of its own."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.touch()
    there.touch()
    proc = tmp_path / "proc"
    process(proc, "self", "python3", here)
    process(proc, "10", "keepalived", there)
    process(proc, "11", "bash", here)
    assert others(proc) == frozenset()
    process(proc, "12", "keepalived", here)
    (proc / "13").mkdir()
    assert others(proc) == frozenset({"keepalived"})
