"""When entries of IPVS end: what the settings do that docs/sync.md tells of, on a real kernel."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from tests.lab.network import Network, topology
from tests.lab.servers import real_server

pytestmark = pytest.mark.ipvs

VIP = "192.0.2.100"
SILENCE = 1.0
"""Seconds after which nobody answers: the kernels are neighbours."""


@dataclass(frozen=True, slots=True)
class Site:
    """A director that knows one server of two, in front of both, and a client."""

    net: Network

    def set(self, **settings: int) -> None:
        """Settings of net.ipv4.vs."""
        for name, value in settings.items():
            self.net["lb1"].sysctl(f"net.ipv4.vs.{name}", value)

    def table(self, *lines: str) -> None:
        """Commands of ipvsadm, in which R1 and R2 are the servers."""
        for line in lines:
            words = line.replace("R1", "-r 10.0.1.11").replace("R2", "-r 10.0.1.12")
            self.net["lb1"].run("ipvsadm", *words.split())

    def connect(self, port: int = 0, *, to: int = 7007) -> socket.socket:
        """A TCP connection, from a port of the client's."""
        with self.net["client"].entered():
            return socket.create_connection((VIP, to), SILENCE, ("192.0.2.10", port))

    def datagrams(self) -> socket.socket:
        """A UDP socket."""
        with self.net["client"].entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(SILENCE)
        sock.connect((VIP, 7007))
        return sock


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Both servers listen; the director holds the address, and has no service yet."""
    async with topology(servers=2) as net:
        net["lb1"].ip(f"address add {VIP}/32 dev front")
        for node in net.servers:
            await real_server(node)
        yield Site(net)


def said(sock: socket.socket) -> str:
    """Who answers. Raises TimeoutError, ConnectionResetError."""
    sock.sendall(b"hello\n")
    return sock.recv(100).split()[0].decode()


def asked(sock: socket.socket) -> str:
    """Who answers over HTTP and then closes the connection, before the client does."""
    with sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(4096):
            answer += data
    return answer.splitlines()[-1].decode()


TCP, UDP = f"-t {VIP}:7007", f"-u {VIP}:7007"


@contextlib.contextmanager
def removed(site: Site) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP and a UDP client of the first server, which is then removed; the second is there."""
    for service in (TCP, UDP):
        site.table(f"-A {service} -s rr", f"-a {service} R1 -m")
    with site.connect() as stream, site.datagrams() as datagrams:
        assert (said(stream), said(datagrams)) == ("rs1", "rs1")
        for service in (TCP, UDP):
            site.table(f"-a {service} R2 -m", f"-d {service} R1")
        yield stream, datagrams


async def test_a_removed_server_ends_its_connections(site: Site) -> None:
    """`expire_nodest_conn = 1`: a TCP client is reset, a UDP client gets another server."""
    site.set(expire_nodest_conn=1)
    with removed(site) as (stream, datagrams):
        # From Linux 5.9 on they end at once, without a packet.
        async with asyncio.timeout(10):
            while "10.0.1.11" in site.net["lb1"].run("ipvsadm", "-Lnc"):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.05)
        with pytest.raises(ConnectionResetError):
            said(stream)
        assert said(datagrams) == "rs2"


async def test_a_removed_server_keeps_its_connections(site: Site) -> None:
    """`expire_nodest_conn = 0`: packets vanish, for a UDP client too; once it is back all goes on."""
    site.set(expire_nodest_conn=0)
    with removed(site) as (stream, datagrams):
        for sock in (stream, datagrams):
            with pytest.raises(TimeoutError):
                said(sock)
        for service in (TCP, UDP):
            site.table(f"-a {service} R1 -m")
        stream.settimeout(10)
        assert (said(stream), said(datagrams)) == ("rs1", "rs1")


async def test_persistence_and_a_drained_server(site: Site) -> None:
    """`expire_quiescent_template`: with 0 a client that comes again gets the drained one, with 1 another.

    What is open goes on either way.
    """
    site.table(f"-A {TCP} -s rr -p 300", f"-a {TCP} R1 -m")
    with site.connect() as first:
        assert said(first) == "rs1"
        site.table(f"-a {TCP} R2 -m", f"-e {TCP} R1 -m -w 0")
        for value, server in ((0, "rs1"), (1, "rs2")):
            site.set(expire_quiescent_template=value)
            for _ in range(3):
                with site.connect() as again:
                    assert said(again) == server
        assert said(first) == "rs1"


HTTP = f"-t {VIP}:8080"


async def test_a_port_that_is_used_again_is_a_new_connection(site: Site) -> None:
    """`conn_reuse_mode = 1`: it is scheduled, at once, also with `conntrack = 1` (from Linux 5.9 on)."""
    site.set(conn_reuse_mode=1)
    for conntrack, port in ((0, 40000), (1, 40001)):
        site.set(conntrack=conntrack)
        site.table("-C", f"-A {HTTP} -s rr", f"-a {HTTP} R1 -m")
        assert asked(site.connect(port, to=8080)) == "rs1"
        assert "TIME_WAIT" in site.net["lb1"].run("ipvsadm", "-Lnc")
        site.table(f"-a {HTTP} R2 -m")
        # A first packet that is dropped is sent again after a second, which is too late.
        assert asked(site.connect(port, to=8080)) == "rs2"


async def test_a_port_that_is_used_again_may_be_the_old_connection(site: Site) -> None:
    """`conn_reuse_mode = 0`: it comes to its former server, whosever turn it is.

    Where that is drained or removed, it comes to another with `expire_nodest_conn = 1`; with 0 to the drained
    one, and to nobody.
    """
    site.set(conn_reuse_mode=0)
    site.table(f"-A {HTTP} -s rr", f"-a {HTTP} R1 -m")
    ports = iter(range(40000, 40005))
    for port in range(40000, 40005):
        assert asked(site.connect(port, to=8080)) == "rs1"
    site.table(f"-a {HTTP} R2 -m")
    assert asked(site.connect(next(ports), to=8080)) == "rs1"
    site.table(f"-e {HTTP} R1 -m -w 0")
    for value, server in ((0, "rs1"), (1, "rs2")):
        site.set(expire_nodest_conn=value)
        assert asked(site.connect(next(ports), to=8080)) == server
    site.set(expire_nodest_conn=0)
    site.table(f"-d {HTTP} R1")
    with pytest.raises(TimeoutError):
        site.connect(next(ports), to=8080)
    site.set(expire_nodest_conn=1)
    assert asked(site.connect(next(ports), to=8080)) == "rs2"
