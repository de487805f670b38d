"""`lvsha-cli doctor` on a real kernel: what is really wrong is found, with the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.director import Director, directing
from tests.lab.keepalived import keepalived, vrrp_instance
from tests.lab.network import Network, topology
from tests.lab.servers import real_server

pytestmark = [pytest.mark.ipvs, pytest.mark.slow]

VIP = "192.0.2.100"
NODES = """
[nodes.lb1]
address = "192.0.2.1"
[nodes.lb2]
address = "192.0.2.2"
[speaker]
realtime = false
"""
VRRP = """
[vrrp.public]
interface = "front"
vrid = 51
interval = "200ms"
addresses = ["192.0.2.100/24"]
"""
GATEWAY = 'excluded = [{ address = "10.0.1.254/24", interface = "back" }]\n'
WEB = """
[services.web]
address = "192.0.2.100"
port = 8080
mode = "{mode}"
scheduler = "wlc"
check = {{ kind = "tcp", interval = "500ms", timeout = "3s" }}
servers = [ {{ name = "rs1", address = "{rs1}" }} ]
"""


@dataclass(frozen=True, slots=True)
class Ward:
    """A director and what is found about it."""

    net: Network
    lb1: Director

    async def found(self) -> dict[str, tuple[str, str, str]]:
        """What is worse than worth knowing: subject -> severity, sentence, command."""
        shown = await self.lb1.ask("GET", "/v1/doctor")
        return {
            f["subject"]: (f["severity"], f["finding"], f["command"])
            for f in shown
            if f["severity"] in ("warning", "error")
        }

    def mend(self, command: str) -> None:
        """Do what the doctor says."""
        self.net["lb1"].run(*shlex.split(command))


@asynccontextmanager
async def ward(
    text: str, directory: Path, *, servers: str = "back", alone: bool = False
) -> AsyncIterator[Ward]:
    """A director with one server, in service."""
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(servers=1, gateway=254, server_segments=(servers,)))
        if alone:
            net["lb1"].ip(f"address add {VIP}/32 dev front")
        await real_server(net["rs1"])
        lb1 = await stack.enter_async_context(
            directing(net["lb1"], text, directory, name=None if alone else "lb1")
        )
        made = Ward(net, lb1)
        await lb1.event("server.up", server="rs1")
        if not alone:
            await lb1.event("vip.added", address="192.0.2.100/24")
        await lb1.ask("POST", "/v1/look")
        yield made


async def test_a_site_that_is_well_is_well(tmp_path: Path) -> None:
    """Nothing is found, and the command says how much was looked at and ends with 0."""
    text = NODES + VRRP + GATEWAY + WEB.format(mode="nat", rs1="10.0.1.11")
    async with ward(text, tmp_path) as w:
        assert await w.found() == {}
        result = await w.lb1.cli("doctor")
        assert result.status == 0, result
        assert "all is well: " in result.output
        verbose = (await w.lb1.cli("doctor", "--verbose")).output
        assert "the default gateway of rs1 must be 10.0.1.254, which moves with 192.0.2.100" in verbose


async def test_what_is_wrong_is_found_and_mended(tmp_path: Path) -> None:
    """Forwarding off, a permanent address, an emptied table: each is found, and gone by its own command."""
    text = NODES + VRRP + GATEWAY + WEB.format(mode="nat", rs1="10.0.1.11")
    async with ward(text, tmp_path) as w:
        lb1 = w.net["lb1"]
        lb1.sysctl("net.ipv4.ip_forward", 0)
        lb1.run("ipvsadm", "-C")
        lb1.ip("address replace 192.0.2.100/32 dev front")
        found = await w.found()
        assert found["net.ipv4.ip_forward"] == (
            "error",
            "is 0, needed is 1",
            "sysctl -w net.ipv4.ip_forward=1",
        )
        assert found["service web"][0] == "error"
        assert found[f"address {VIP}"][2] == "ip address del 192.0.2.100/32 dev front"
        assert (await w.lb1.cli("doctor")).status == 1
        w.mend(found["net.ipv4.ip_forward"][2])
        w.mend(found[f"address {VIP}"][2])
        assert found["service web"][2] == "lvsha-cli look"
        await w.lb1.cli("look")
        assert await w.found() == {}
        lb1.sysctl("net.ipv4.conf.back.forwarding", 0)
        ((subject, (severity, _, command)),) = (await w.found()).items()
        assert (subject, severity) == ("server web/rs1", "error")
        w.mend(command)
        assert await w.found() == {}


async def test_a_pair_without_a_floating_gateway(tmp_path: Path) -> None:
    """Mode nat: nothing in the servers' network moves with the address."""
    async with ward(NODES + VRRP + WEB.format(mode="nat", rs1="10.0.1.11"), tmp_path) as w:
        ((subject, (severity, sentence, command)),) = (await w.found()).items()
        assert (subject, severity) == ("service web", "error")
        assert "no address in 10.0.1.0/24, where rs1 are, moves with 192.0.2.100" in sentence
        assert command.startswith('add "10.0.1.254/24" to [vrrp.public] excluded')


async def test_one_armed_nat_and_a_strict_filter(tmp_path: Path) -> None:
    """Servers and clients on one link: redirects are switched off, and found when somebody switches them on;
    so is the way back to the world by another link.
    """
    text = WEB.format(mode="nat", rs1="192.0.2.11")
    async with ward(text, tmp_path, servers="front", alone=True) as w:
        lb1, name = w.net["lb1"], "net/ipv4/conf/front/send_redirects"
        await w.lb1.event("sysctl.changed", before="1", after="0")
        (told,) = (f for f in await w.lb1.ask("GET", "/v1/doctor") if f["subject"] == "settings")
        assert f"{name} = 0 (was 1)" in told["finding"]
        lb1.sysctl("net.ipv4.conf.all.send_redirects", 1)
        lb1.sysctl("net.ipv4.conf.all.rp_filter", 1)
        lb1.ip("route add default via 10.0.1.77")
        found = await w.found()
        assert "rp_filter drops them" in found[f"address {VIP}"][1]
        assert "redirects" in found["service web"][1]
        for _, _, command in found.values():
            w.mend(command)
        assert await w.found() == {}


async def test_routed_servers_must_be_neighbours_that_answer(tmp_path: Path) -> None:
    """Mode dr: a server behind a router, and one that is not there."""
    far = '{ name = "far", address = "203.0.113.9" }, { name = "gone", address = "192.0.2.77" }, '
    text = WEB.format(mode="dr", rs1="192.0.2.11").replace('{ name = "rs1"', far + '{ name = "rs1"')
    async with ward(text, tmp_path, servers="front", alone=True) as w:
        w.net["lb1"].ip("route add 203.0.113.0/24 via 10.0.1.11")
        found = await w.found()
        assert found.keys() == {"server web/far", "server web/gone"}
        assert (
            "203.0.113.9 is behind 10.0.1.11, and direct routing reaches neighbours only"
            in found["server web/far"][1]
        )
        assert (
            "192.0.2.77 does not answer for itself on front: no answer to ARP" in found["server web/gone"][1]
        )


@pytest.mark.parametrize("other", [False, True], ids=["holder", "other"])
async def test_a_server_that_does_not_keep_still(tmp_path: Path, other: bool) -> None:
    """Mode dr: ARP left as it is; found by the holder of the address and by the other one, and mended."""
    text = NODES + VRRP + WEB.format(mode="dr", rs1="192.0.2.11")
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(topology(directors=2, servers=1, server_segments=("front",)))
        await real_server(net["rs1"])
        lb1 = await stack.enter_async_context(directing(net["lb1"], text, tmp_path, name="lb1"))
        await lb1.event("vip.added", address="192.0.2.100/24")
        w = Ward(net, lb1)
        if other:
            w = Ward(net, await stack.enter_async_context(directing(net["lb2"], text, tmp_path, name="lb2")))
        await w.lb1.event("server.up", server="rs1")
        await w.lb1.ask("POST", "/v1/look")
        assert await w.found() == {}
        net["rs1"].ip(f"address add {VIP}/32 dev lo")
        found = await w.found()
        severity, sentence, command = found.pop(f"ARP for {VIP}")
        assert severity == "error"
        assert sentence.startswith("rs1 (")
        prefix, _, remedy = command.partition(": ")
        assert prefix == "on rs1"
        net["rs1"].run(*shlex.split(remedy))
        # The holder's speaker has heard the other answer, too, and that is told for a while.
        assert {*found, *await w.found()} <= (set() if other else {"pair"})


async def test_a_tunnel_without_room(tmp_path: Path) -> None:
    """Mode tun over links of equal size: the numbers, until the link to the server carries more."""
    async with ward(WEB.format(mode="tun", rs1="10.0.1.11"), tmp_path, alone=True) as w:
        (found,) = [f for f in await w.lb1.ask("GET", "/v1/doctor") if f["subject"] == "server web/rs1"][1:]
        assert found["finding"].startswith("back carries 1500 octets, ipip takes 20: 1480 are left")
        assert (found["severity"], "--set-mss 1440" in found["command"]) == ("info", True)
        w.net["lb1"].ip("link set back mtu 1520")
        (found,) = [f for f in await w.lb1.ask("GET", "/v1/doctor") if f["subject"] == "server web/rs1"][1:]
        assert found["severity"] == "ok"


async def test_another_writer_of_the_table(tmp_path: Path) -> None:
    """A keepalived that runs beside it is named; one in another namespace is none of its business."""
    async with ward(WEB.format(mode="nat", rs1="10.0.1.11"), tmp_path, alone=True) as w:
        text = vrrp_instance(vips=("192.0.2.222/24",), priority=100, interval=1.0)
        async with keepalived(w.net["client"], tmp_path / "elsewhere", text):
            assert await w.found() == {}
        async with keepalived(w.net["lb1"], tmp_path / "here", text) as other:
            await other.enters("BACKUP")
            assert list(await w.found()) == ["program keepalived"]
