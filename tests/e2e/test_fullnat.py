"""A pair in mode fullnat on a real kernel with iptables: traffic, drift, and what outlives a failover."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio

from lvsha.kernel.sourcenat.pool import by_iptables
from tests.lab import fullnat
from tests.lab.client import Kind, start_client
from tests.lab.director import Director, directing
from tests.lab.fullnat import DNS, ECHO, POOL, POOL6, VIP, VIP6, WEB, Site, local, syn
from tests.lab.kept import Kept
from tests.lab.network import topology
from tests.lab.process import spawn
from tests.lab.servers import real_server

SERVICES = ("web", "echo", "dns", "web6", "echo6", "dns6")

pytestmark = [pytest.mark.ipvs, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tmp_path: Path) -> AsyncIterator[Site]:
    """The pair with everything up, and two local addresses of each family; nobody has used it."""
    async with fullnat.site(tmp_path, fullnat.config()) as site:
        yield site


def rules(site: Site, node: str = "lb1") -> str:
    """The chains of both families as iptables saves them, without counters and dates."""
    text = "".join(site.net[node].run(f"{name}-legacy-save") for name in ("iptables", "ip6tables"))
    return "\n".join(line.split(" [")[0] for line in text.splitlines() if not line.startswith("#"))


def chosen(client: str, pool: Sequence[str]) -> str:
    """The local address that iptables chooses."""
    address = ip_address(client)
    return local(client, pool) if address.version == 4 else pool[by_iptables(address, len(pool))]


async def test_connections_outlive_a_crash_and_the_way_back(fresh: Site) -> None:
    """200 established connections over IPv4 and IPv6: every one goes on, on the other director and back."""
    await fresh.client.hold(VIP, ECHO, 150)
    await fresh.client.hold(VIP6, ECHO, 50)
    await fresh.synced(fresh.lb2, 200)
    await fresh.crash(fresh.lb1, fresh.lb2)
    assert await fresh.client.alive(patience=10) == 200
    await fresh.client.hold(VIP, ECHO, 10)
    await fresh.back(fresh.lb1)
    # 100 kB each way on each: the first director's conntrack knows sequence numbers of long ago.
    for _ in range(20):
        assert await fresh.client.alive(patience=20, size=5000) == 210
    await fresh.synced(fresh.lb1, 210)
    await fresh.hand_over(fresh.lb2, fresh.lb1)
    assert await fresh.client.alive(patience=10) == 210
    assert await fresh.client.alive(patience=10) == 210


async def test_who_only_listens_outlives_a_crash_too(fresh: Site) -> None:
    """Downloads in their midst: the client is silent, the server reaches it through the other director."""
    downloads = [
        await spawn(
            fresh.net["client"],
            *("curl", "-sf", "-o", "/dev/null", "-w", "%{size_download}\n"),
            f"http://{host}/download?bytes=300000&seconds=12",
        )
        for host in [VIP] * 5 + [f"[{VIP6}]"] * 5
    ]
    await fresh.synced(fresh.lb2, 10)
    await fresh.crash(fresh.lb1, fresh.lb2)
    told = await fresh.lb2.event("connections.taken_up")
    assert told["connections"] == 10
    for download in downloads:
        assert await download.wait(within=30) == 0
        assert download.output == ["300000"]


async def test_connections_with_one_port_outlive_a_crash_all(tmp_path: Path) -> None:
    """Clients with the same ports, one local address and one server: some are given another port.

    The other director is told which, and has it when it takes over, and so on the way back.
    """
    text = fullnat.config(pool=POOL[:1], pool6=POOL6[:1], servers=1) + fullnat.PEER
    async with fullnat.site(tmp_path, text) as site:
        for number, count in ((11, 30), (12, 10)):
            await site.client.hold(VIP, ECHO, count, source=f"192.0.2.{number}", source_port=40000)
            await site.client.hold(VIP6, ECHO, count, source=f"2001:db8:1::{number}", source_port=40000)
        await site.synced(site.lb2, 80)
        await collided(site.lb1, made=20, known=20)
        await collided(site.lb2, made=0, known=20)
        await site.crash(site.lb1, site.lb2)
        assert await site.client.alive() == 80
        await site.back(site.lb1)
        # Each of these needs another port, too, and finds it on the second director.
        await site.client.hold(VIP, ECHO, 15, source="192.0.2.13", source_port=40000)
        await collided(site.lb1, made=0, known=35)
        await site.synced(site.lb1, 95)
        await site.hand_over(site.lb2, site.lb1)
        assert await site.client.alive() == 95


async def collided(director: Director, **numbers: int) -> None:
    """Wait until a director counts so many connections whose port was changed."""
    names = {"made": "lvsha_port_collisions_total", "known": "lvsha_port_collisions_known"}
    deadline = time.monotonic() + 40
    while (found := {what: await director.metric(names[what]) for what in numbers}) != numbers:
        assert time.monotonic() < deadline, f"{director.name}: {found} instead of {numbers}"
        await asyncio.sleep(0.3)  # nobody is told


ALONE = """
[services.mixed]
address = "192.0.2.100"
port = 7
mode = "fullnat"
scheduler = "rr"
local_addresses = ["10.0.1.100", "10.0.1.101"]
strip_timestamps = false
check = "none"
servers = [
    { name = "rs1", address = "10.0.1.11", port = 7007 },
    { name = "rs2", address = "10.0.1.12", port = 7007, mode = "nat" },
]
[services.marked]
fwmark = 7
mode = "fullnat"
scheduler = "rr"
local_addresses = ["10.0.1.101"]
check = "none"
servers = [{ name = "rs1", address = "10.0.1.11", port = 7007 }, { name = "rs2", address = "10.0.1.12" }]
[services.every]
address = "192.0.2.102"
port = 0
mode = "fullnat"
persistence = {}
local_addresses = ["10.0.1.100"]
check = "none"
servers = [{ name = "rs1", address = "10.0.1.11" }]
"""


async def test_services_of_other_kinds(tmp_path: Path) -> None:
    """One director: a server of another mode, a firewall mark, every port; and timestamps that may stay."""
    async with topology(servers=2) as net:
        lb1 = net["lb1"]
        lb1.ip("address add 192.0.2.100/24 dev front", "address add 192.0.2.102/24 dev front")
        lb1.ip(*(f"address add {address}/24 dev back" for address in POOL))
        lb1.ip("address add 192.0.2.101/24 dev front")
        mark = "-t mangle -A PREROUTING -d 192.0.2.101 -j MARK --set-mark 7"
        lb1.run("iptables-legacy", *mark.split())
        for name in ("rs1", "rs2"):
            await real_server(net[name])
        async with directing(lb1, ALONE, tmp_path) as director:
            await director.ask("POST", "/v1/look")
            client = await start_client(net["client"])
            mixed = [await client.served(VIP, ECHO, "tcp") for _ in range(4)]
            assert {(a.server, a.seen) for a in mixed} == {
                ("rs1", local("192.0.2.10")),
                ("rs2", "192.0.2.10"),
            }
            marked = [await client.served("192.0.2.101", 7007, "tcp") for _ in range(4)]
            assert {(a.server, a.seen) for a in marked} == {("rs1", POOL[1]), ("rs2", POOL[1])}
            assert (await client.served("192.0.2.101", 7007, "udp")).seen == POOL[1]
            assert (await client.served("192.0.2.102", 8080)).seen == POOL[0]
            assert (await client.served("192.0.2.102", 7007, "tcp")).seen == POOL[0]
            assert "TS val" in await syn(net, client, VIP, local("192.0.2.10"))


# --- what leaves the pair as it was ----------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept[Site]]:
    """The pair for those who put back what they change: it takes a guest twelve seconds to make."""
    kept = Kept(lambda: fullnat.site(tmp_path_factory.mktemp("site"), fullnat.config()), condition)
    yield kept
    await kept.close()


@pytest_asyncio.fixture(loop_scope="module")
async def site(kept: Kept[Site]) -> AsyncIterator[Site]:
    """The pair with everything up, and two local addresses of each family."""
    async with kept.lent() as site:
        yield site


async def condition(site: Site) -> object:
    """Configuration, processes, tables, rules and addresses of both directors."""
    await site.client.release()
    return [
        (
            director.file.read_text(),
            director.process is not None and director.process.status,
            sorted(director.table().splitlines()),
            rules(site, name),
            sorted(director.node.run("ip", "-brief", "address").split()),
        )
        for name, director in (("lb1", site.lb1), ("lb2", site.lb2))
    ]


async def test_servers_see_the_local_address_that_the_hash_says(site: Site) -> None:
    """TCP and UDP, IPv4 and IPv6: every client has one local address, and both directors agree on it."""
    requests: list[tuple[str, int, Kind]] = [
        (VIP, WEB, "http"),
        (VIP, DNS, "udp"),
        (VIP6, WEB, "http"),
        (VIP6, DNS, "udp"),
    ]
    for successor in (site.lb2, None):
        for address, port, kind in requests:
            clients = [f"2001:db8:1::{n}" if ":" in address else f"192.0.2.{n}" for n in range(11, 19)]
            answers = [await site.client.served(address, port, kind, source=client) for client in clients]
            pool = POOL6 if ":" in address else POOL
            assert {answer.seen for answer in answers} == {*pool}
            assert [answer.seen for answer in answers] == [chosen(c, pool) for c in clients]
            assert {answer.server for answer in answers} == {"rs1", "rs2"}
        if successor is not None:
            await site.hand_over(site.lb1, successor)
    await site.hand_over(site.lb2, site.lb1)


async def test_what_somebody_else_did_to_the_rules_is_repaired_and_told(site: Site) -> None:
    """Flushed, deleted from, added to: put right at the next look, and what is not lvsha's is left alone."""
    node = site.net["lb1"]
    node.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-s", "198.51.100.1", "-j", "ACCEPT")
    before = rules(site)
    for table, words, why in (
        ("nat", "-F", "chain LVSHA-SOURCE was changed"),
        ("nat", "-D POSTROUTING 1", "what leads from the table nat to lvsha's chains was changed"),
        ("nat", "-A LVSHA-SOURCE -j ACCEPT", "chain LVSHA-SOURCE was changed"),
        ("mangle", "-F LVSHA-SERVERS", "chain LVSHA-SERVERS was changed"),
    ):
        mark = await site.lb1.mark()
        node.run("iptables-legacy", "-t", table, *words.split())
        if words == "-F":
            node.run(
                "iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-s", "198.51.100.1", "-j", "ACCEPT"
            )
        await site.lb1.ask("POST", "/v1/look")
        told = await site.lb1.event("drift.repaired", since=mark)
        assert "set source NAT for 6 services from 4 addresses" in told["steps"][0]
        assert why in told["steps"][0] or words == "-F"
        assert rules(site) == before
    assert (await site.client.served(VIP, WEB, source="192.0.2.11")).seen == local("192.0.2.11")
    node.run("iptables-legacy", "-t", "nat", "-D", "POSTROUTING", "-s", "198.51.100.1", "-j", "ACCEPT")


async def test_nothing_is_left_when_the_mode_is_no_longer_used(site: Site) -> None:
    """A reload without the mode removes the rules, after the servers they were for."""
    node = site.net["lb1"]
    node.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-s", "198.51.100.1", "-j", "ACCEPT")
    mark = await site.lb1.mark()
    await site.lb1.reload(fullnat.CONFIG)
    await site.lb1.event("reload.done", since=mark)
    await site.lb1.ask("POST", "/v1/look")
    assert "LVSHA" not in rules(site)
    assert "-A POSTROUTING -s 198.51.100.1/32 -j ACCEPT" in rules(site)
    assert site.lb1.process is not None
    steps = [e["step"] for e in site.lb1.process.events[mark:] if e["event"] == "step.applied"]
    assert steps[-1] == "set source NAT for nothing"
    assert steps[0].startswith("delete service")
    node.run("iptables-legacy", "-t", "nat", "-D", "POSTROUTING", "-s", "198.51.100.1", "-j", "ACCEPT")
    await site.lb1.reload(fullnat.config())
    for service in SERVICES:
        for server in ("rs1", "rs2"):
            name = server + "six" if service.endswith("6") else server
            await site.lb1.event("server.up", since=mark, service=service, server=name)
    await site.lb1.ask("POST", "/v1/look")


async def test_timestamps_are_taken_out_of_the_handshake(site: Site) -> None:
    """Behind one address the clocks of many clients would meet, so no connection has timestamps at all."""
    for address, source, pool in ((VIP, "192.0.2.10", POOL), (VIP6, "2001:db8:1::10", POOL6)):
        seen = chosen(source, pool)
        assert "TS val" not in await syn(site.net, site.client, address, seen, source=source)


async def test_a_restart_changes_nothing(site: Site) -> None:
    """What an earlier daemon left is read back as it was written: no step, no drift."""
    before = rules(site)
    assert site.lb1.process is not None
    await site.lb1.process.kill()
    process = await site.lb1.start()
    await process.event("daemon.ready", within=60)
    await site.lb1.ask("POST", "/v1/look")
    assert rules(site) == before
    assert not [e for e in process.events if e["event"] in ("step.applied", "drift.repaired")]
