"""Real servers that `lvsha-cli realserver setup` alone has prepared, behind a director with live traffic."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.client import Client, start_client
from tests.lab.director import Director, directing
from tests.lab.network import Network, Node, topology
from tests.lab.process import Result, run
from tests.lab.servers import real_server
from tests.lab.sshd import Sshd, start_sshd

pytestmark = [pytest.mark.ipvs, pytest.mark.slow]

FOUR, SIX = "192.0.2.100", "2001:db8:1::100"
BOTH = ("--vip", FOUR, "--vip", SIX)
MODULES = ("ipip", "sit", "ip_gre", "ip6_tunnel", "ip6_gre", "fou")
"""Loaded before anything is compared: each brings devices, and modules stay when a set-up is undone."""

SERVICE = """
[services.{name}]
address = "{vip}"
port = 8080
mode = "{mode}"
scheduler = "rr"
check = {check}
servers = [{servers}]
"""
HTTP = '{ kind = "http", interval = "200ms", timeout = "2s", rise = 1, fall = 2 }'


def service(
    name: str, vip: str, mode: str, servers: dict[str, str], *, check: str = HTTP, more: str = ""
) -> str:
    """The table of one service, with servers by name and address."""
    entries = ", ".join(f'{{ name = "{n}", address = "{a}"{more} }}' for n, a in servers.items())
    return SERVICE.format(name=name, vip=vip, mode=mode, check=check, servers=entries)


async def setup(node: Node, state: Path, *options: str) -> Result:
    """`lvsha-cli realserver setup` on a node; the nodes share one file system, so each has its own state."""
    place = ("--no-persist", "--state", str(state / str(node)))
    return await run(node, "realserver", "setup", *place, *options, module="lvsha.cli", within=60)


async def check(node: Node, *options: str) -> Result:
    """`lvsha-cli realserver check` on a node."""
    return await run(node, "realserver", "check", *options, module="lvsha.cli")


async def undo(node: Node, state: Path) -> Result:
    """`lvsha-cli realserver undo` on a node."""
    return await run(node, "realserver", "undo", "--state", str(state / str(node)), module="lvsha.cli")


@dataclass(frozen=True, slots=True)
class Site:
    """A director with both VIPs, real servers that nobody has prepared yet, and a client."""

    net: Network
    lb1: Director
    client: Client

    async def serving(self) -> dict[str, set[str]]:
        """The servers that answer on each VIP."""
        return {vip: {await self.client.ask(vip, 8080) for _ in range(4)} for vip in (FOUR, SIX)}

    async def up(self, *servers: str) -> None:
        """Wait until these are in service, in both services."""
        for name in servers:
            for one in ("four", "six"):
                await self.lb1.event("server.up", service=one, server=name)
        await self.lb1.ask("POST", "/v1/look")


@asynccontextmanager
async def site(net: Network, config: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Everything runs; nothing is prepared."""
    async with net:
        # As a VRRP instance would hold them.
        net["lb1"].ip(
            f"address add {FOUR}/32 dev front", f"address add {SIX}/128 dev front nodad preferred_lft 0"
        )
        for node in net.servers:
            await real_server(node)
        async with directing(net["lb1"], config, tmp_path) as lb1:
            yield Site(net, lb1, await start_client(net["client"]))


# --- direct routing -----------------------------------------------------------------------------

ON_FRONT = {
    FOUR: {"rs1": "192.0.2.11", "rs2": "192.0.2.12"},
    SIX: {"rs1": "2001:db8:1::11", "rs2": "2001:db8:1::12"},
}
DIRECT = service("four", FOUR, "dr", ON_FRONT[FOUR]) + service("six", SIX, "dr", ON_FRONT[SIX])


def wire() -> Network:
    """Director, servers and client on one wire."""
    return topology(servers=2, server_segments=("front",))


async def test_direct_routing(tmp_path: Path) -> None:
    """Both families are served, and whoever asks for a VIP is told the director's hardware address."""
    async with site(wire(), DIRECT, tmp_path) as there:
        for node in there.net.servers:
            done = await setup(node, tmp_path, "--mode", "dr", *BOTH)
            assert (done.status, done.output.splitlines()[-1]) == (0, "all is well"), done
        await there.up("rs1", "rs2")
        for _ in range(3):
            there.net["client"].ip("neighbour flush dev front")
            assert await there.serving() == {FOUR: {"rs1", "rs2"}, SIX: {"rs1", "rs2"}}
        neighbours = there.net["client"].run("ip", "neighbour", "show", "dev", "front").splitlines()
        told = {line.split()[0]: line.split()[2] for line in neighbours if "lladdr" in line}
        assert told[FOUR] == told[SIX] == hardware_address(there.net["lb1"])


def hardware_address(node: Node) -> str:
    """Of a node's interface `front`."""
    return str(json.loads(node.run("ip", "-json", "link", "show", "dev", "front"))[0]["address"])


# --- tunnels ------------------------------------------------------------------------------------


def wrong(output: str) -> list[str]:
    """What is wrong, but for the MSS: this kernel has no nf_tables to make it smaller with, and says so."""
    found = [line for line in output.splitlines() if line.startswith(("error", "warning"))]
    return [line for line in found if not line.startswith("warning  MSS (IPv")]


OUTER = {4: "10.0.1.11", 6: "2001:db8:2::11"}
LONG = "x" * 6000
"""A header that takes several packets, each of which would not fit into the wire once it is wrapped."""


def apart() -> Network:
    """The servers behind the director, with a way of their own back to the clients."""
    net = topology(servers=1, gateway=254)
    net.node("way", forward=True, front=254, back=254)
    return net


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize(
    ("options", "tunnel"),
    [
        ([], '{ kind = "ipip" }'),
        (["--tunnel", "gue", "--port", "6080"], '{ kind = "gue", port = 6080 }'),
        (
            ["--tunnel", "gue", "--port", "6080", "--checksum", "remote"],
            '{ kind = "gue", port = 6080, checksum = "remote" }',
        ),
        (["--tunnel", "gre"], '{ kind = "gre" }'),
        (["--tunnel", "gre", "--checksum", "checksum"], '{ kind = "gre", checksum = "checksum" }'),
    ],
    ids=["ipip", "gue", "gue-remote", "gre", "gre-checksum"],
)
async def test_tunnels(tmp_path: Path, options: list[str], tunnel: str, outer: int) -> None:
    """Either family inside either family; requests that are too long for the wire arrive as well."""
    more = f', mode = "tun", tunnel = {tunnel}'
    server = {"rs1": OUTER[outer]}
    config = service("four", FOUR, "nat", server, more=more) + service("six", SIX, "nat", server, more=more)
    async with site(apart(), config, tmp_path) as there:
        rs1 = there.net["rs1"]
        # A strict default of the distribution, which would drop everything that comes out of the tunnel.
        rs1.sysctl("net.ipv4.conf.all.rp_filter", 1)
        rs1.sysctl("net.ipv4.conf.default.rp_filter", 1)
        done = await setup(rs1, tmp_path, "--mode", "tun", "--director", OUTER[outer][:-1], *BOTH, *options)
        assert (done.status, wrong(done.output)) == (0, []), done
        await there.up("rs1")
        assert await there.serving() == {FOUR: {"rs1"}, SIX: {"rs1"}}
        for vip in (FOUR, f"[{SIX}]"):
            url = f"http://{vip}:8080/"
            answer = there.net["client"].run("curl", "-sS", "-m", "15", "-H", f"X-Long: {LONG}", url)
            assert answer == "rs1"
        assert rs1.sysctl("net.ipv4.conf.all.rp_filter") == "1"


async def test_a_device_that_is_there(tmp_path: Path) -> None:
    """`--device tunl0`: the kernel's own device is taken, and left as it was when all is undone."""
    more = ', mode = "tun"'
    config = service("four", FOUR, "nat", {"rs1": OUTER[4]}, more=more)
    async with site(apart(), config, tmp_path) as there:
        rs1 = there.net["rs1"]
        rs1.run("modprobe", "--all", *MODULES)
        # A device that has once been up keeps its settings of IPv6 and its queue for ever.
        rs1.ip("link set dev tunl0 up", "link set dev tunl0 down")
        before = condition(rs1)
        done = await setup(rs1, tmp_path, "--mode", "tun", "--device", "tunl0", "--vip", FOUR)
        assert done.status == 0, done
        assert "tunl0" in rs1.run("ip", "address", "show", "to", FOUR)
        await there.lb1.event("server.up", service="four", server="rs1")
        await there.lb1.ask("POST", "/v1/look")
        assert await there.client.ask(FOUR, 8080) == "rs1"
        assert (await undo(rs1, tmp_path)).status == 0
        assert condition(rs1) == before


# --- what is wrong is said ----------------------------------------------------------------------

AUDIT = """{{ kind = "realserver", user = "root", key = "{key}", host_key = "{host_key}", interval = "3s",
 timeout = "60s", rise = 1, fall = 1 }}"""


async def test_a_server_that_would_steal_the_address(tmp_path: Path) -> None:
    """With ARP left wrong the command, the command over SSH and the check say so, and the remedy helps."""
    net = wire()
    (tmp_path / "ssh").mkdir()
    async with net:
        rs1 = net["rs1"]
        await real_server(rs1)
        rs1.ip(f"address add {FOUR}/32 dev lo")
        sshd = await start_sshd(rs1, tmp_path / "ssh")
        told = await check(rs1, "--mode", "dr", "--vip", FOUR)
        assert told.status == 1
        assert "net.ipv4.conf.front.arp_ignore is 0" in told.output
        assert "sysctl -w net.ipv4.conf.all.arp_announce=2" in told.output
        config = service("four", FOUR, "dr", {"rs1": "192.0.2.11"}, check=audit(sshd).replace("\n", ""))
        async with directing(net["lb1"], config, tmp_path) as lb1:
            down = await lb1.event("server.down", within=60, server="rs1")
            assert "net.ipv4.conf.front.arp_ignore is 0" in down["detail"]
            # How to get in stands in the check of that server.
            look = ("realserver", "check", "rs1", "--ssh", "--timeout", "60s")
            over = await lb1.cli(*look, within=60)
            assert (over.status, over.output) == (1, told.output), over
            assert (await setup(rs1, tmp_path, "--mode", "dr", "--vip", FOUR)).status == 0
            await lb1.event("server.up", within=60, server="rs1")
            over = await lb1.cli(*look, within=60)
            assert (over.status, over.output.splitlines()[-1]) == (0, "all is well"), over
            mark = await lb1.mark()
            rs1.sysctl("net.ipv4.conf.all.arp_ignore", 0)
            down = await lb1.event("server.down", since=mark, within=60, server="rs1")
            assert "sysctl -w net.ipv4.conf.all.arp_ignore=1" in down["detail"]
            nobody = await lb1.cli("realserver", "check", "rs7", "--ssh")
            assert nobody.status == 4
            await sshd.process.stop()
            nothing = await lb1.cli(*look, within=60)
            assert (nothing.status, "refused" in nothing.errors) == (3, True), nothing


def audit(sshd: Sshd) -> str:
    """The check, as a service has it."""
    return AUDIT.format(key=sshd.user_key, host_key=sshd.host_key)


# --- back to what it was ------------------------------------------------------------------------


def condition(node: Node) -> list[str]:
    """All of a node that a set-up could touch: settings, devices, addresses, routes, ports."""
    settings = node.run("sysctl", "-a", "--pattern", r"^net\.(ipv4|ipv6|core)\.", check=False).splitlines()
    # What the kernel counts or draws at random is no setting.
    counted = ("fib_info", "route.gc", "tcp_mem", "udp_mem", "fastopen_key", "stable_secret", "default_qdisc")
    kept = [line for line in settings if not any(word in line for word in counted)]
    assert len(kept) > 300
    asked = ("-details link", "address", "-4 route show table all", "-6 route show table all", "fou show")
    shown = [line for words in asked for line in node.run("ip", *words.split()).splitlines()]
    return [*kept, *shown]


async def test_undo_leaves_nothing(tmp_path: Path) -> None:
    """After set-ups of every kind over one another, one undo brings back every setting, device and route."""
    async with topology(servers=1) as net:
        rs1 = net["rs1"]
        rs1.run("modprobe", "--all", *MODULES)
        rs1.sysctl("net.ipv4.conf.back.arp_ignore", 3)
        rs1.sysctl("net.ipv4.conf.all.rp_filter", 1)
        before = condition(rs1)
        ways: list[list[str]] = [
            ["--mode", "dr", *BOTH],
            ["--mode", "tun", *BOTH],
            ["--mode", "tun", "--tunnel", "gue", "--port", "6080", *BOTH],
            ["--mode", "tun", "--tunnel", "gre", "--vip", SIX, "--local", "2001:db8:2::11"],
            ["--mode", "dr", "--interface", "back", "--vip", FOUR],
        ]
        for way in ways:
            done = await setup(rs1, tmp_path, *way)
            assert done.status == 0, done
            again = await setup(rs1, tmp_path, *way)
            told = (again.status, again.output.splitlines()[0], wrong(again.output))
            assert told == (0, "nothing to do", []), again
        assert condition(rs1) != before
        assert (await undo(rs1, tmp_path)).status == 0
        assert condition(rs1) == before
        assert (await undo(rs1, tmp_path)).output == "nothing to do"


async def test_it_outlives_a_reboot(tmp_path: Path) -> None:
    """What `setup` wrote sets up a machine that has forgotten everything; undo also removes the files."""
    files = [
        Path("/etc/lvsha/realserver.toml"),
        Path("/etc/sysctl.d/90-lvsha-realserver.conf"),
        Path("/etc/systemd/system/lvsha-realserver.service"),
        Path("/etc/systemd/system/multi-user.target.wants/lvsha-realserver.service"),
    ]
    state = ("--state", str(tmp_path / "state"))
    async with topology(servers=1) as net:
        options = ("--mode", "tun", "--tunnel", "gue", "--port", "6080", "--vip", FOUR, *state)
        done = await run(net["rs1"], "realserver", "setup", *options, module="lvsha.cli")
        assert done.status == 0, done
        assert all(file.exists() for file in files)
    async with topology(servers=1) as net:
        rs1 = net["rs1"]
        rs1.run("modprobe", "--all", *MODULES)
        before = condition(rs1)
        # In the order of a boot.
        rs1.run("sysctl", "--load", str(files[1]), check=False)
        start = next(line for line in files[2].read_text().splitlines() if line.startswith("ExecStart="))
        done = await run(rs1, *start.partition(" ")[2].split(), *state, module="lvsha.cli")
        assert done.status == 0, done
        assert "lvsha-ipip" in rs1.run("ip", "address", "show", "to", FOUR)
        done = await run(rs1, "realserver", "check", module="lvsha.cli")
        assert (done.status, wrong(done.output)) == (0, [])
        done = await run(rs1, "realserver", "undo", *state, module="lvsha.cli")
        assert done.status == 0, done
        assert not any(file.exists() or file.is_symlink() for file in files)
        assert condition(rs1) == before
