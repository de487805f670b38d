"""Tests of `lvsha.config.resolve.passages`: which mark leads a probe to which server."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.config import Config, Passage
from lvsha.config.resolve.passages import MARKS, Lead, allot
from lvsha.model import Family, Method, Server, ServerKey, Tunnel, TunnelKind
from tests.lab.desk import Desk

BASE = 0x6C760000
WEB = """
[checks.vip]
kind = "tcp"
through = "vip"
[services.web]
address = "192.0.2.100"
port = 80
mode = "{mode}"
check = "vip"
servers = [{servers}]
"""
SERVERS = '{ name = "rs1", address = "10.0.0.11" }, { name = "rs2", address = "10.0.0.12" }'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Where files are written."""
    return Desk(tmp_path)


def passages(config: Config) -> dict[str, Passage | None]:
    """The passage of each server, by service and name."""
    return {f"{n}/{s.name}": s.passage for n, v in config.services.items() for s in (*v.servers, *v.fallback)}


def lead(number: int, method: Method = Method.ROUTE) -> Lead:
    """Where a mark leads."""
    return Lead(Family.IPV4, ServerKey(ip_address(number), 80), Server(method, 1))


def test_a_probe_asks_the_service_and_is_led_to_its_server(desk: Desk) -> None:
    """Address and port are the service's, the one destination is the server, in its own way and weight 1."""
    found = passages(desk.load(WEB.format(mode="dr", servers=SERVERS)))["web/rs1"]
    assert found is not None
    assert (str(found.address), found.port) == ("192.0.2.100", 80)
    assert (str(found.key), found.server) == ("10.0.0.11:80", Server(Method.ROUTE, 1))
    assert BASE <= found.mark < BASE + MARKS


def test_a_masqueraded_probe_comes_out_at_the_servers_port(desk: Desk) -> None:
    """The server's port, or the check's where it has one."""
    server = '{ address = "10.0.0.11", port = 8080 }'
    found = passages(desk.load(WEB.format(mode="nat", servers=server)))["web/10.0.0.11"]
    assert found is not None
    assert (found.port, found.key.port) == (80, 8080)
    own = '{ address = "10.0.0.11", port = 8080, check = { kind = "tcp", port = 81, through = "vip" } }'
    found = passages(desk.load(WEB.format(mode="nat", servers=own)))["web/10.0.0.11"]
    assert found is not None
    assert (found.port, found.key.port) == (81, 81)


def test_a_tunnel_is_the_servers_own(desk: Desk) -> None:
    """The probe is wrapped as clients' packets are."""
    server = '{ address = "10.0.0.11", tunnel = { kind = "gue", port = 6080 } }'
    found = passages(desk.load(WEB.format(mode="tun", servers=server)))["web/10.0.0.11"]
    assert found is not None
    assert found.server == Server(Method.TUNNEL, 1, tunnel=Tunnel(TunnelKind.GUE, 6080))


def test_a_plain_check_has_none(desk: Desk) -> None:
    """Without the key nothing is added to the table."""
    text = WEB.format(mode="dr", servers=SERVERS).replace('through = "vip"\n', "")
    assert set(passages(desk.load(text)).values()) == {None}


def test_a_mark_stays_when_others_come_and_go(desk: Desk) -> None:
    """A reload that adds servers and services moves no mark, and both nodes of a pair agree."""
    one = passages(desk.load(WEB.format(mode="dr", servers=SERVERS)))["web/rs2"]
    more = WEB.format(mode="dr", servers=SERVERS + ', { name = "rs0", address = "10.0.0.1" }')
    api = WEB.format(mode="nat", servers=SERVERS).partition("[services.web]")[2]
    grown = more + "[services.api]" + api.replace("port = 80", "port = 81")
    assert passages(desk.load(grown, "lb2"))["web/rs2"] == one


def test_two_services_share_the_way_to_one_server(desk: Desk) -> None:
    """Same server, port and method: one mark, whatever address is asked."""
    second = WEB.format(mode="dr", servers=SERVERS).partition("[services.web]")[2]
    text = WEB.format(mode="dr", servers=SERVERS) + "[services.web2]" + second.replace(".100", ".101")
    found = passages(desk.load(text))
    first, other = found["web/rs1"], found["web2/rs1"]
    assert first is not None
    assert other is not None
    assert first.mark == other.mark
    assert first.address != other.address


def test_marks_are_apart() -> None:
    """Of thousands no two are the same, and all are within the range."""
    marks = allot([lead(n) for n in range(2**24, 2**24 + 5000)], 1000)
    assert len(set(marks.values())) == 5000
    assert all(1000 <= m < 1000 + MARKS for m in marks.values())


def test_the_order_of_the_file_decides_nothing() -> None:
    """Collisions are settled by what the marks lead to."""
    some = [lead(n) for n in range(2**24, 2**24 + 2000)]
    assert allot(some, 1) == allot(reversed(some), 1)


def test_another_way_to_the_same_server_has_another_mark() -> None:
    """A server that changes its mode is never probed half one way, half the other."""
    direct, nat = lead(2**24), lead(2**24, Method.MASQUERADE)
    marks = allot([direct, nat], 1)
    assert marks[direct] != marks[nat]
