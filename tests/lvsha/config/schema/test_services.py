"""Tests of `lvsha.config.schema.services`."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from checks.tcp import Tcp
from lvsha.config import CheckConfig, PersistenceConfig, ServerConfig, ServiceConfig
from lvsha.model import Family, Mode, Protocol, Tunnel, TunnelFlag, TunnelKind
from tests.lab.desk import Desk


def test_every_key(desk: Desk) -> None:
    """Every key of a service and of a server reaches its attribute."""
    config = desk.load(
        """
        [services.web]
        address = "192.0.2.100"
        port = 80
        protocol = "udp"
        mode = "tun"
        scheduler = "sh"
        flags = ["sh-port"]
        one_packet = true
        persistence = { timeout = "6m", netmask = 24, engine = "sip" }
        on_failure = "quiesce"
        floor = 1
        check = "none"
        [[services.web.servers]]
        name = "one"
        address = "10.0.0.11"
        port = 80
        weight = 10
        upper = 200
        lower = 100
        tunnel = { kind = "gue", port = 6080, checksum = "remote" }
        check = { kind = "tcp", interval = 5, fast_interval = 1, timeout = "500ms", rise = 1, fall = 2, jitter = 0, port = 81, address = "10.0.0.9" }
        [[services.web.fallback]]
        address = "10.0.0.12"
        mode = "dr"
        """  # noqa: E501 (an inline table is one line)
    )
    check = CheckConfig("tcp", Tcp(), 5.0, 1.0, 0.5, 1, 2, 0.0, 81, ip_address("10.0.0.9"))
    one = ServerConfig(
        name="one",
        address=ip_address("10.0.0.11"),
        port=80,
        mode=Mode.TUN,
        weight=10,
        upper=200,
        lower=100,
        tunnel=Tunnel(TunnelKind.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM),
        check=check,
    )
    sorry = ServerConfig("10.0.0.12", ip_address("10.0.0.12"), 80, Mode.DR)
    assert config.services["web"] == ServiceConfig(
        name="web",
        family=Family.IPV4,
        address=ip_address("192.0.2.100"),
        port=80,
        protocol=Protocol.UDP,
        fwmark=None,
        mode=Mode.TUN,
        scheduler="sh",
        flags=("sh-port",),
        one_packet=True,
        persistence=PersistenceConfig(360, 24, "sip"),
        on_failure="quiesce",
        floor=1,
        servers=(one,),
        fallback=(sorry,),
    )


def service(line: str) -> str:
    """A service with one more line, and a line in its server."""
    own, _, server = line.partition("|")
    return (
        f'[services.a]\naddress = "192.0.2.1"\nport = 80\ncheck = "none"\n{own}\n'
        f'[[services.a.servers]]\naddress = "10.0.0.1"\n{server}\n'
    )


WRONG = [
    ('mode = "masq"', "mode", 'must be one of nat, dr, tun, fullnat, not "masq"'),
    ('protocol = "icmp"', "protocol", "must be one of tcp, udp, sctp"),
    ('scheduler = "wlcc"', "scheduler", 'not "wlcc"'),
    ('flags = ["shport"]', "flags[0]", 'not "shport"'),
    ('on_failure = "inhibit"', "on_failure", "must be remove or quiesce"),
    ("floor = -1", "floor", "must be at least 0, not -1"),
    ('persistence = "5m"', "persistence", 'must be a table, not "5m"'),
    ('persistence = { timeout = "32d" }', "persistence.timeout", "must be within 1s and 31d, not 32d"),
    ("persistence = { timeout = 0.5 }", "persistence.timeout", "must be whole seconds, not 500ms"),
    ('persistence = { engine = "h323" }', "persistence.engine", 'must be sip, not "h323"'),
    ("|weight = 65536", "servers[0].weight", "must be at most 65535, not 65536"),
    ("|weight = 1.5", "servers[0].weight", "must be a whole number, not 1.5"),
    ("|port = 65536", "servers[0].port", "must be at most 65535"),
    ("|upper = -1", "servers[0].upper", "must be at least 0"),
    ('|tunnel = "gue"', "servers[0].tunnel", 'must be a table, not "gue"'),
    ('|tunnel = { kind = "vxlan" }', "servers[0].tunnel.kind", "must be one of ipip, gue, gre"),
    ("|wieght = 1", "servers[0].wieght", "is not a known key"),
    ("one_packet = 1", "one_packet", "must be true or false, not 1"),
]


@pytest.mark.parametrize(("line", "key", "message"), WRONG)
def test_wrong_values(desk: Desk, line: str, key: str, message: str) -> None:
    """Each value is held to its range or its words, and the message says which."""
    problem = desk.error(service(line))
    assert problem.path == f"services.a.{key}"
    assert message in problem.message


@pytest.mark.parametrize("mark", [0, 2**32])
def test_mark_out_of_range(desk: Desk, mark: int) -> None:
    """A mark is a number of 32 bits, and 0 is no mark."""
    problem = desk.report(f"[services.a]\nfwmark = {mark}\n").errors[0]
    assert problem.path == "services.a.fwmark"


def test_servers_that_are_no_list(desk: Desk) -> None:
    """`[services.a.servers]` in single brackets is the usual slip."""
    problem = desk.error(
        '[services.a]\naddress = "192.0.2.1"\nport = 80\n[services.a.servers]\naddress = "10.0.0.1"\n'
    )
    assert (problem.path, problem.message) == ("services.a.servers", "must be a list, not a table")
    assert "[[services.a.servers]]" in problem.hint
