"""The choice of a kernel, and what the chosen one can do."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from tests.lab.client import start_client
from tests.lab.kernel import OWN_UML, AtHand, Kind, NoKernelError, choose, own_uml, uml
from tests.lab.network import Network, topology
from tests.lab.servers import real_server

VIP = "192.0.2.100"
EVERYTHING = AtHand(root=True, ipvs=True, nftables=True, uml=True, qemu=True)
GUESTS = AtHand(root=True, ipvs=False, nftables=True, uml=True, qemu=True)
NOTHING = AtHand(root=True, ipvs=False, nftables=True, uml=False, qemu=False)
USER = AtHand(root=False, ipvs=True, nftables=True, uml=False, qemu=False)


@pytest.mark.parametrize(
    ("suite", "at_hand", "wanted", "kind"),
    [
        ("ipvs", EVERYTHING, None, Kind.NATIVE),
        ("nft", EVERYTHING, None, Kind.NATIVE),
        ("net", GUESTS, None, Kind.NATIVE),
        ("net", GUESTS, "uml", Kind.NATIVE),
        ("ipvs", GUESTS, None, Kind.UML),
        ("nft", GUESTS, None, Kind.QEMU),
        ("ipvs", EVERYTHING, "qemu", Kind.QEMU),
    ],
)
def test_the_nearest_able_kernel_is_chosen(
    suite: str, at_hand: AtHand, wanted: str | None, kind: Kind
) -> None:
    """Native before User-Mode Linux before QEMU, if able; the operator's word before that."""
    assert choose(suite, at_hand, wanted) is kind


@pytest.mark.parametrize(
    ("suite", "at_hand", "wanted", "advice"),
    [
        ("ipvs", NOTHING, None, "tests/lab/setup"),
        ("ipvs", GUESTS, "native", "LVSHA_LAB_KERNEL=native"),
        ("nft", EVERYTHING, "uml", "LVSHA_LAB_KERNEL=uml"),
        ("ipvs", EVERYTHING, "xen", "LVSHA_LAB_KERNEL=xen"),
        ("net", USER, None, "as root"),
        ("ipvs", USER, None, "as root"),
    ],
)
def test_no_kernel_is_an_error_with_advice(
    suite: str, at_hand: AtHand, wanted: str | None, advice: str
) -> None:
    """A suite without a kernel says what it looked for and what to do."""
    with pytest.raises(NoKernelError, match=advice):
        choose(suite, at_hand, wanted)


def test_the_operator_may_bring_a_user_mode_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names another program than Debian's, and that it is one's own is known."""
    monkeypatch.delenv(OWN_UML, raising=False)
    assert (uml(), own_uml()) == ("linux.uml", False)
    monkeypatch.setenv(OWN_UML, "/opt/linux")
    assert (uml(), own_uml()) == ("/opt/linux", True)


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """A client, a director with the VIP, three servers behind it."""
    async with topology(servers=3) as built:
        built["lb1"].ip(f"addr add {VIP}/32 dev front")
        for server in built.servers:
            await real_server(server)
        yield built


@pytest.mark.ipvs
async def test_ipvs_balances_real_traffic(net: Network) -> None:
    """A NAT service made by hand spreads requests evenly over three real servers."""
    rules = [f"-A -t {VIP}:80 -s rr"]
    rules += [f"-a -t {VIP}:80 -r {server.address('back')}:8080 -m" for server in net.servers]
    net["lb1"].run("ipvsadm", "-R", stdin="\n".join(rules))
    client = await start_client(net["client"])
    served = [await client.ask(VIP, 80) for _ in range(6)]
    assert sorted(served) == ["rs1", "rs1", "rs2", "rs2", "rs3", "rs3"]


@pytest.mark.nft
async def test_ipvs_and_nftables_work_together(net: Network) -> None:
    """FULLNAT: nf_tables rewrites the source of what IPVS forwards, so servers see the director's address."""
    lb1 = net["lb1"]
    lb1.sysctl("net.ipv4.vs.conntrack", 1)
    rules = f"-A -t {VIP}:70 -s rr\n-a -t {VIP}:70 -r 10.0.1.11:7007 -m"
    lb1.run("ipvsadm", "-R", stdin=rules)
    lb1.run("nft", "-f", "-", stdin=_SOURCE_NAT)
    with net["client"].entered(), socket.create_connection((VIP, 70), timeout=60) as connection:
        connection.sendall(b"hi\n")
        server, seen, _port, said = connection.recv(100).split()
    assert (server, seen, said) == (b"rs1", b"10.0.1.1", b"hi")


_SOURCE_NAT = f"""
table ip lab {{
  chain source {{
    type nat hook postrouting priority srcnat;
    meta l4proto tcp ct original ip daddr {VIP} ct original proto-dst 70 snat to 10.0.1.1;
  }}
}}
"""
