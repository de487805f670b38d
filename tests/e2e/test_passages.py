"""Checks that go the clients' way, on a real kernel: what a plain check of the server cannot see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.answering import DNS, DOMAIN, HTTPS, SMTP, UDP, answering
from tests.lab.director import Director, directing
from tests.lab.network import Network, Node, topology
from tests.lab.servers import real_server
from tests.lab.sshd import start_sshd

pytestmark = pytest.mark.ipvs

VIP, VIP6 = "192.0.2.100", "2001:db8:1::100"
CONFIG = """
[checks.led]
kind = "http"
path = "/healthz"
through = "vip"
interval = "300ms"
timeout = "250ms"
fall = 2
rise = 1

[checks.straight]
kind = "tcp"
interval = "300ms"
timeout = "2s"

[services.led]
address = "{vip}"
port = 8080
mode = "{mode}"
scheduler = "rr"
check = "led"
servers = [ {{ name = "rs1", address = "{rs1}" }}, {{ name = "rs2", address = "{rs2}" }} ]

[services.straight]
address = "{vip}"
port = 7007
mode = "{mode}"
scheduler = "rr"
check = "straight"
servers = [ {{ name = "rs1", address = "{rs1}" }}, {{ name = "rs2", address = "{rs2}" }} ]
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A director with one service that is checked the clients' way and one that is not."""

    net: Network
    lb1: Director

    async def falls(self, name: str) -> str:
        """Wait until a server leaves the service that is led; the detail. The other service keeps it."""
        assert self.lb1.process is not None
        down = await self.lb1.event("server.down", service="led", server=name)
        await self.lb1.ask("POST", "/v1/look")
        states = {(s["service"], s["name"]): s["state"] for s in await self.lb1.ask("GET", "/v1/servers")}
        assert states["straight", name] == "up"
        return str(down["detail"])

    async def up(self, *, since: int = 0, names: tuple[str, ...] = ("rs1", "rs2")) -> None:
        """Wait until servers are in service the clients' way."""
        for name in names:
            await self.lb1.event("server.up", since=since, service="led", server=name)


@asynccontextmanager
async def site(mode: str, directory: Path, *, family: int = 4) -> AsyncIterator[Site]:
    """Servers that are ready for the mode; the director holds the address."""
    segment = "back" if mode == "nat" else "front"
    # Deprecated, or the director would speak to its servers from this very address (RFC 6724, rule 8).
    vip, more = (VIP, "") if family == 4 else (VIP6, "nodad preferred_lft 0")
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(servers=2, server_segments=(segment,)))
        net["lb1"].ip(f"address add {vip}/{32 if family == 4 else 128} dev front {more}")
        for node in net.servers:
            prepare(node, mode, vip)
            await real_server(node)
        addresses = {name: net[name].address(segment, family) for name in ("rs1", "rs2")}
        text = CONFIG.format(vip=vip, mode=mode, **addresses)
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, directory))
        made = Site(net, lb1)
        await made.up()
        yield made


def prepare(node: Node, mode: str, vip: str) -> None:
    """What the mode asks of a server."""
    prefix = 32 if "." in vip else 128
    match mode:
        case "dr":
            node.sysctl("net.ipv4.conf.all.arp_ignore", 1)
            node.sysctl("net.ipv4.conf.all.arp_announce", 2)
            node.ip(f"address add {vip}/{prefix} dev lo")
        case "tun":
            node.run("modprobe", "ipip")
            node.sysctl("net.ipv4.conf.tunl0.rp_filter", 0)
            node.sysctl("net.ipv4.conf.all.arp_ignore", 1)
            node.sysctl("net.ipv4.conf.all.arp_announce", 2)
            node.ip("link set tunl0 up", f"address add {vip}/{prefix} dev tunl0")


async def test_a_routed_server_without_the_address_leaves(tmp_path: Path) -> None:
    """Mode dr: VIP missing on lo, on a director that holds the address and on one that does not."""
    async with site("dr", tmp_path) as s:
        assert s.net["lb1"].sysctl("net.ipv4.conf.front.accept_local") == "1"
        s.net["rs2"].ip(f"address del {VIP}/32 dev lo")
        assert "192.0.2.100:8080 from 192.0.2.1 with mark" in await s.falls("rs2")
        mark = await s.lb1.mark()
        s.net["lb1"].ip(f"address del {VIP}/32 dev front")
        s.net["rs2"].ip(f"address add {VIP}/32 dev lo")
        await s.up(since=mark, names=("rs2",))
        s.net["rs1"].ip(f"address del {VIP}/32 dev lo")
        await s.falls("rs1")


async def test_a_wrapped_server_without_its_tunnel_leaves(tmp_path: Path) -> None:
    """Mode tun: the tunnel device is down, which no check of the server's own address can know."""
    async with site("tun", tmp_path) as s:
        s.net["rs2"].ip("link set tunl0 down")
        await s.falls("rs2")
        mark = await s.lb1.mark()
        s.net["lb1"].ip(f"address del {VIP}/32 dev front")
        s.net["rs2"].ip("link set tunl0 up")
        await s.up(since=mark, names=("rs2",))
        s.net["rs1"].ip("link set tunl0 down")
        await s.falls("rs1")


async def test_a_masqueraded_server_with_a_wrong_gateway_leaves(tmp_path: Path) -> None:
    """Mode nat: the answer never comes back, to the holder of the address and to the other one alike."""
    async with site("nat", tmp_path) as s:
        s.net["rs2"].ip("route replace default via 10.0.1.77")
        await s.falls("rs2")
        mark = await s.lb1.mark()
        s.net["lb1"].ip(f"address del {VIP}/32 dev front")
        s.net["rs2"].ip("route replace default via 10.0.1.1")
        await s.up(since=mark, names=("rs2",))
        s.net["rs1"].ip("route replace default via 10.0.1.77")
        await s.falls("rs1")


async def test_ipv6_is_led_too(tmp_path: Path) -> None:
    """Mode dr over IPv6, by the holder of the address."""
    async with site("dr", tmp_path, family=6) as s:
        s.net["rs2"].ip(f"address del {VIP6}/128 dev lo")
        assert f"[{VIP6}]:8080 from 2001:db8:1::1 with mark" in await s.falls("rs2")


async def test_the_ways_are_kept_like_everything_else(tmp_path: Path) -> None:
    """An emptied table gets them back, a reload without them takes them out, and the doctor knows them."""
    async with site("dr", tmp_path) as s:
        before = s.lb1.table()
        assert before.count("-A -f 1819") == 2
        s.net["lb1"].run("ipvsadm", "-C")
        await s.lb1.ask("POST", "/v1/look")
        assert sorted(s.lb1.table().splitlines()) == sorted(before.splitlines())
        assert not [f for f in await s.lb1.ask("GET", "/v1/doctor") if f["subject"] == "table"]
        text = CONFIG.format(vip=VIP, mode="dr", rs1="192.0.2.11", rs2="192.0.2.12")
        await s.lb1.reload(text.replace('through = "vip"\n', ""))
        await s.lb1.event("reload.done")
        await s.lb1.ask("POST", "/v1/look")
        assert "-f" not in s.lb1.table()


KINDS = {
    "https": f'port = {HTTPS}\ncheck = {{ kind = "https", tls = {{ verify = false }} }}',
    "smtp": f'port = {SMTP}\ncheck = {{ kind = "smtp" }}',
    "ssh": 'port = 22\ncheck = { kind = "ssh", banner_only = true }',
    "dns": f'port = {DNS}\nprotocol = "udp"\ncheck = {{ kind = "dns", name = "{DOMAIN}", answer = "^203" }}',
    "udp": f'port = {UDP}\nprotocol = "udp"\ncheck = {{ kind = "udp", send = "hello", expect = "hello" }}',
}
SERVICE = """
[services.{kind}]
address = "192.0.2.100"
mode = "dr"
scheduler = "rr"
servers = [ {{ name = "rs1", address = "192.0.2.11" }} ]
{more}
"""


async def test_every_kind_is_led(tmp_path: Path) -> None:
    """Mode dr, by the holder of the address: what answers there alone is up, and without the address down."""
    way = 'through = "vip", interval = "300ms", timeout = "2s", fall = 1, rise = 1, '
    text = "".join(
        SERVICE.format(kind=kind, more=more.replace("{ ", f"{{ {way}", 1)) for kind, more in KINDS.items()
    )
    async with topology(servers=1, server_segments=("front",)) as net:
        net["lb1"].ip(f"address add {VIP}/32 dev front")
        prepare(net["rs1"], "dr", VIP)
        await answering(net["rs1"], VIP, tmp_path)
        await start_sshd(net["rs1"], tmp_path, options=f"ListenAddress {VIP}")
        async with directing(net["lb1"], text, tmp_path) as lb1:
            for kind in KINDS:
                up = await lb1.event("server.up", service=kind)
                assert f"{VIP}:" in up["detail"], up
                assert "from 192.0.2.1 with mark" in up["detail"], up
            net["rs1"].ip(f"address del {VIP}/32 dev lo")
            for kind in KINDS:
                await lb1.event("server.down", service=kind)
