"""One director on a real kernel with live traffic over NAT: servers come and go, nothing else notices."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.client import Client, start_client
from tests.lab.director import Director, directing
from tests.lab.network import Network, topology
from tests.lab.process import spawn, start
from tests.lab.servers import RealServer, real_server

pytestmark = [pytest.mark.ipvs, pytest.mark.slow]

VIP = "192.0.2.100"
WEB = """
[checks.web]
kind = "http"
path = "/healthz"
interval = "200ms"
timeout = "2s"
rise = 2
fall = 3

[servers]
rs1 = { address = "10.0.1.11" }
rs2 = { address = "10.0.1.12" }
rs3 = { address = "10.0.1.13" }

[services.web]
address = "192.0.2.100"
port = 80
mode = "nat"
scheduler = "rr"
check = "web"
servers = [
    { server = "rs1", port = 8080, weight = 1 },
    { server = "rs2", port = 8080, weight = 1 },
    { server = "rs3", port = 8080, weight = 1 },
]

[services.echo]
address = "192.0.2.100"
port = 7
mode = "nat"
scheduler = "rr"
check = { kind = "tcp", interval = "200ms", timeout = "2s" }
servers = [
    { server = "rs1", port = 7007 },
    { server = "rs2", port = 7007 },
    { server = "rs3", port = 7007 },
]
"""
ALL = {"rs1", "rs2", "rs3"}


@dataclass(frozen=True, slots=True)
class Site:
    """A director in front of three real servers, and a client."""

    net: Network
    lb1: Director
    rs: dict[str, RealServer]
    client: Client

    async def serving(self, service: int = 80, kind: str = "http", requests: int = 9) -> set[str]:
        """The servers that answer new connections."""
        return {await self.client.ask(VIP, service, kind) for _ in range(requests)}  # type: ignore[arg-type]

    async def up(self) -> None:
        """Wait until every server of both services is in service."""
        for service in ("web", "echo"):
            for name in ALL:
                await self.lb1.event("server.up", service=service, server=name)
        await self.lb1.ask("POST", "/v1/look")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The site with everything up."""
    async with topology(servers=3) as net:
        net["lb1"].ip(f"address add {VIP}/32 dev front")
        servers = {name: await real_server(net[name]) for name in sorted(ALL)}
        async with directing(net["lb1"], WEB, tmp_path) as lb1:
            site = Site(net, lb1, servers, await start_client(net["client"]))
            await site.up()
            yield site


async def test_a_failing_server_leaves_and_comes_back(site: Site) -> None:
    """A server that answers 500 leaves the table, says why, and is back after `rise` good answers."""
    mark = await site.lb1.mark()
    await site.rs["rs2"].answer(status=500)
    down = await site.lb1.event("server.down", since=mark, service="web", server="rs2")
    assert "500" in down["detail"]
    await site.lb1.event(
        "step.applied", since=mark, step="delete server 10.0.1.12:8080 of tcp 192.0.2.100:80"
    )
    assert await site.serving() == {"rs1", "rs3"}
    # The echo service has a check of its own, and that one is content.
    assert await site.serving(7, "tcp") == ALL
    mark = await site.lb1.mark()
    await site.rs["rs2"].answer()
    await site.lb1.event("service.ok", since=mark, service="web")
    await site.lb1.ask("POST", "/v1/look")
    assert await site.serving() == ALL


async def test_an_emptied_table_is_restored_and_reported(site: Site) -> None:
    """`ipvsadm -C` by hand: everything is back at the next look, and said as drift."""
    before = site.lb1.table()
    site.net["lb1"].run("ipvsadm", "-C")
    await site.lb1.ask("POST", "/v1/look")
    assert site.lb1.table() == before
    await site.lb1.event("drift.repaired", count=8)


async def test_a_drained_server_finishes_what_it_has(site: Site) -> None:
    """`lvsha-cli drain rs3`: no new connection reaches it, downloads finish, and the end is told."""
    held = await site.client.hold(VIP, 7, 6)
    assert held["rs3"] == 2
    downloads = [
        await spawn(
            site.net["client"],
            "curl",
            "-sf",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}\n",
            f"http://{VIP}/download?bytes=300000&seconds=3",
        )
        for _ in range(3)
    ]
    result = await site.lb1.cli("drain", "rs3", "--reason", "kernel update")
    assert result.status == 0, result
    assert "-a -t 192.0.2.100:80 -r 10.0.1.13:8080 -m -w 0" in site.lb1.table()
    assert "-a -t 192.0.2.100:7 -r 10.0.1.13:7007 -m -w 0" in site.lb1.table()
    assert await site.serving() == {"rs1", "rs2"}
    assert await site.client.alive() == 6
    for download in downloads:
        assert await download.wait() == 0
        assert download.output == ["300000"]
    (shown,) = [
        s for s in await site.lb1.ask("GET", "/v1/servers") if (s["service"], s["name"]) == ("web", "rs3")
    ]
    assert (shown["weight_now"], shown["override"]["reason"]) == (0, "kernel update")
    assert (await site.lb1.cli("undrain", "rs3")).status == 0
    assert await site.serving() == ALL


async def test_a_killed_director_costs_nothing(site: Site) -> None:
    """Kill -9 of the director under traffic: no request fails, no server flaps, the drain still holds."""
    await site.lb1.cli("drain", "rs3", "--reason", "disk")
    await site.client.hold(VIP, 7, 4)
    await site.client.load(VIP, 80, interval=0.02, patience=5)
    mark = await site.lb1.mark()
    table = site.lb1.table()
    os.kill(site.lb1.pid("director"), signal.SIGKILL)
    await site.lb1.event("process.exited", since=mark, process="director")
    await site.lb1.event("kernel.adopted", since=mark)
    await site.lb1.event("daemon.ready", since=mark, within=60)
    await site.lb1.ask("POST", "/v1/look")
    report = await site.client.finish()
    assert not report.failures
    assert report.served.keys() == {"rs1", "rs2"}
    assert site.lb1.table() == table
    assert await site.client.alive() == 4
    assert site.lb1.process is not None
    later = site.lb1.process.events[mark:]
    assert not [e for e in later if e["event"] in ("server.down", "step.applied", "drift.repaired")]


async def test_a_killed_daemon_leaves_the_table_as_it_is(site: Site, tmp_path: Path) -> None:
    """Kill -9 of everything and a new start: the table is adopted and traffic never stopped."""
    await site.lb1.cli("drain", "rs3", "--reason", "disk")
    await site.client.load(VIP, 80, interval=0.02, patience=5)
    table = site.lb1.table()
    assert site.lb1.process is not None
    await site.lb1.process.kill()
    assert site.lb1.table() == table
    process = await site.lb1.start()
    await process.event("daemon.ready", within=60)
    report = await site.client.finish()
    assert not report.failures
    assert site.lb1.table() == table


async def test_a_broken_configuration_never_reaches_the_kernel(site: Site) -> None:
    """A reload with mistakes is refused with all of them, and what was in force stays in force."""
    before = site.lb1.table()
    mark = await site.lb1.mark()
    await site.lb1.reload(WEB.replace('scheduler = "rr"', 'scheduler = "fastest"').replace("7007", "700700"))
    refused = await site.lb1.event("reload.refused", since=mark)
    assert len(refused["problems"]) == 5
    assert site.lb1.table() == before
    assert await site.serving() == ALL
    result = await site.lb1.cli("config", "check", str(site.lb1.file))
    assert result.status == 2


async def test_a_reload_changes_only_what_changed(site: Site) -> None:
    """A new weight and a removed server: established connections elsewhere go on."""
    await site.client.hold(VIP, 7, 6)
    mark = await site.lb1.mark()
    changed = WEB.replace(
        '{ server = "rs1", port = 8080, weight = 1 }', '{ server = "rs1", port = 8080, weight = 5 }'
    )
    changed = changed.replace('    { server = "rs2", port = 8080, weight = 1 },\n', "")
    await site.lb1.reload(changed)
    done = await site.lb1.event("reload.done", since=mark)
    assert done["changed"] == ["services.web changed"]
    assert "-r 10.0.1.11:8080 -m -w 5" in site.lb1.table()
    assert "10.0.1.12:8080" not in site.lb1.table()
    assert await site.client.alive() == 6
    assert await site.serving() == {"rs1", "rs3"}


async def test_an_override_ends_by_itself(site: Site) -> None:
    """`--for 1s` is over after a second, without another command."""
    mark = await site.lb1.mark()
    await site.lb1.cli("drain", "web/rs3", "--for", "1s")
    assert await site.serving() == {"rs1", "rs2"}
    await site.lb1.event("override.expired", since=mark, target="web/rs3")
    await site.lb1.ask("POST", "/v1/look")
    assert await site.serving() == ALL


async def test_a_server_that_is_quiesced_keeps_its_connections(site: Site) -> None:
    """`on_failure = "quiesce"`: weight 0 instead of removal, so what is established goes on."""
    await site.lb1.reload(WEB.replace("port = 7\n", 'port = 7\non_failure = "quiesce"\n'))
    await site.lb1.event("reload.done")
    await site.client.hold(VIP, 7, 6)
    mark = await site.lb1.mark()
    # The check fails while the connections live: the port is shut for newcomers only.
    site.net["rs3"].run("iptables-legacy", "-I", "INPUT", "-p", "tcp", "--syn", "-j", "DROP")
    await site.lb1.event("server.down", since=mark, service="echo", server="rs3")
    await site.lb1.ask("POST", "/v1/look")
    assert "-a -t 192.0.2.100:7 -r 10.0.1.13:7007 -m -w 0" in site.lb1.table()
    assert await site.client.alive() == 6


async def test_what_somebody_else_added_is_left_alone(site: Site) -> None:
    """A service that lvsha does not know stays, unless the configuration says otherwise."""
    site.net["lb1"].run("ipvsadm", "-A", "-u", "192.0.2.200:53", "-s", "rr")
    await site.lb1.ask("POST", "/v1/look")
    assert "192.0.2.200:53" in site.lb1.table()
    await site.lb1.reload(WEB + '\n[ipvs]\nunknown_services = "remove"\n')
    await site.lb1.event("reload.done")
    await site.lb1.ask("POST", "/v1/look")
    assert "192.0.2.200:53" not in site.lb1.table()


async def test_the_events_can_be_followed(site: Site) -> None:
    """`lvsha-cli events -f` shows what happens as it happens, one JSON object a line."""
    await site.lb1.cli("drain", "rs1")
    follower = await start(
        site.net["lb1"], "lvsha.cli", "--socket", str(site.lb1.socket), "--json", "events", "-f"
    )
    # What was before is told first; what comes after it can only be followed.
    await follower.event("override.set", target="rs1")
    await site.lb1.cli("disable", "rs2")
    event = await follower.event("override.set", target="rs2")
    assert event["kind"] == "disable"
    await follower.stop()
