"""Tests of `lvsha.config.resolve.realservers`: what a check of real servers takes from the service."""

from __future__ import annotations

import pytest

from checks.audit import Encapsulation
from checks.realserver import Realserver
from lvsha.config import CheckConfig, Config
from tests.lab.desk import Desk

CHECK = """
[checks.ready]
kind = "realserver"
user = "audit"
key = "/etc/lvsha/audit"
known_hosts = "/etc/lvsha/known_hosts"
{more}
[servers]
rs1 = {{ address = "10.0.1.11" }}
"""
SERVICE = """
[services.{name}]
address = "{vip}"
port = 80
mode = "{mode}"
check = "ready"
servers = [{{ server = "rs1"{server} }}]
"""


def text(mode: str, *, vip: str = "192.0.2.100", server: str = "", name: str = "web", more: str = "") -> str:
    """A configuration of one service."""
    return CHECK.format(more=more) + SERVICE.format(name=name, vip=vip, mode=mode, server=server)


def check(config: Config, service: str = "web") -> tuple[CheckConfig, Realserver]:
    """The check of a service's server."""
    found = config.services[service].servers[0].check
    assert found is not None
    assert isinstance(found.check, Realserver)
    return found, found.check


def test_direct_routing(desk: Desk) -> None:
    """Mode and address are the service's; SSH answers on its own port, not on the service's."""
    config, realserver = check(desk.load(text("dr")))
    assert (realserver.mode, realserver.vips, realserver.local) == ("dr", ("192.0.2.100",), "")
    assert config.port == 22


@pytest.mark.parametrize(
    ("more", "service"),
    [('protocol = "tcp"', "10.0.1.11:80"), ('protocol = "udp"', "")],
)
def test_the_port_of_the_service(desk: Desk, more: str, service: str) -> None:
    """A TCP service's port must accept connections as well: there is but one check of a server."""
    _, realserver = check(desk.load(text("dr") + f"{more}\n"))
    assert realserver.service == service


def test_a_tunnel(desk: Desk) -> None:
    """So are a server's own mode and encapsulation; tunnels end at the server, whatever is probed."""
    server = ', mode = "tun", tunnel = { kind = "gue", port = 6080, checksum = "remote" }'
    _, realserver = check(desk.load(text("nat", server=server, more='address = "10.9.9.9"')))
    assert realserver.mode == "tun"
    assert realserver.tunnel == Encapsulation("gue", 6080, "remote")
    assert realserver.local == "10.0.1.11"


def test_one_check_of_two_services(desk: Desk) -> None:
    """Each has its own address looked for."""
    other = SERVICE.format(name="mail", vip="192.0.2.101", mode="dr", server="")
    config = desk.load(text("dr") + other)
    assert check(config)[1].vips == ("192.0.2.100",)
    assert check(config, "mail")[1].vips == ("192.0.2.101",)


def test_what_is_written_counts(desk: Desk) -> None:
    """Nothing is overwritten."""
    more = 'port = 2222\nmode = "tun"\nvips = ["192.0.2.200", "192.0.2.201"]\nlocal = "10.9.9.9"\n'
    more += 'service = "10.0.1.11:8080"'
    config, realserver = check(desk.load(text("dr", more=more)))
    assert realserver.mode == "tun"
    assert realserver.vips == ("192.0.2.200", "192.0.2.201")
    assert realserver.local == "10.9.9.9"
    assert realserver.service == "10.0.1.11:8080"
    assert config.port == 2222


@pytest.mark.parametrize("mode", ["nat", "fullnat"])
def test_modes_that_need_nothing(desk: Desk, mode: str) -> None:
    """Such a server has nothing to be looked at."""
    problems = {problem.path: problem.message for problem in desk.report(text(mode)).errors}
    assert f"{mode} needs nothing of a server" in problems["services.web.servers[0].check"]


def test_a_firewall_mark(desk: Desk) -> None:
    """It has no address, so the check must name them."""
    marked = text("dr").replace('address = "192.0.2.100"\nport = 80', "fwmark = 7")
    problem = desk.error(marked)
    assert problem.hint == 'write vips = ["..."] into the check'
    assert desk.report(marked.replace('user = "audit"', 'user = "audit"\nvips = "192.0.2.1"')).errors == ()


def test_what_does_not_go_together(desk: Desk) -> None:
    """What the check says and what the service says may contradict each other."""
    problem = desk.error(text("dr", more='device = "tunl0"'))
    assert (problem.path, problem.message) == (
        "services.web.servers[0].check",
        "device: is of mode tun only",
    )
