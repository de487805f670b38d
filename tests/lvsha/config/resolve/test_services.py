"""Tests of `lvsha.config.resolve.services`."""

from __future__ import annotations

import pytest

from lvsha.config import CheckConfig, ServerConfig
from lvsha.model import AddressKey, Family, FwmarkKey, Mode
from tests.lab.desk import Desk

MACHINES = """
[checks.own]
kind = "tcp"
expect = "own"
[checks.all]
kind = "tcp"
expect = "all"
[checks.machine]
kind = "tcp"
expect = "machine"
[servers.rs1]
address = "10.0.0.11"
weight = 5
check = "machine"
[servers.rs2]
address = "10.0.0.12"
"""
HEAD = '[services.web]\naddress = "192.0.2.100"\nport = 80\n'


def servers(desk: Desk, text: str) -> tuple[ServerConfig, ...]:
    """The servers of the service."""
    service = desk.load(MACHINES + HEAD + text).services["web"]
    return service.servers + service.fallback


def expected(check: CheckConfig | None) -> str | None:
    """What tells the checks apart."""
    return getattr(check.check, "expect", None) if check else None


def test_a_named_server(desk: Desk) -> None:
    """A name stands for address and weight; the service gives the rest, the entry has the last word."""
    one, two, three = servers(
        desk,
        """
        mode = "fullnat"
        local_addresses = ["10.0.0.100"]
        [[services.web.servers]]
        server = "rs1"
        [[services.web.servers]]
        server = "rs2"
        port = 8080
        weight = 7
        mode = "nat"
        [[services.web.servers]]
        address = "10.0.0.13"
        """,
    )
    assert [(s.name, str(s.key), s.mode, s.weight) for s in (one, two, three)] == [
        ("rs1", "10.0.0.11:80", Mode.FULLNAT, 5),
        ("rs2", "10.0.0.12:8080", Mode.NAT, 7),
        ("10.0.0.13", "10.0.0.13:80", Mode.FULLNAT, 1),
    ]


def test_weight_nought_is_a_weight(desk: Desk) -> None:
    """A written 0 is not the same as nothing written."""
    (one,) = servers(desk, '[[services.web.servers]]\nserver = "rs1"\nweight = 0\n')
    assert one.weight == 0


CHECKS = [
    ("", "", "machine"),
    ('check = "all"', "", "all"),
    ('check = "all"', 'check = "own"', "own"),
    ("", 'check = "own"', "own"),
    ('check = "none"', "", None),
    ('check = "all"', 'check = "none"', None),
]


@pytest.mark.parametrize(("service", "entry", "check"), CHECKS)
def test_which_check(desk: Desk, service: str, entry: str, check: str | None) -> None:
    """The entry's check comes first, then the service's, then the machine's; "none" is an answer too."""
    (one,) = servers(desk, f'{service}\n[[services.web.servers]]\nserver = "rs1"\n{entry}\n')
    assert expected(one.check) == check


def test_the_check_of_a_fallback_server(desk: Desk) -> None:
    """A server of last resort does another job, so the service's check is not its own."""
    found = servers(
        desk,
        """
        check = "all"
        [[services.web.fallback]]
        server = "rs1"
        [[services.web.fallback]]
        server = "rs2"
        [[services.web.fallback]]
        address = "10.0.0.13"
        check = "own"
        """,
    )
    assert [expected(server.check) for server in found] == ["machine", None, "own"]


def test_a_mark_and_its_servers(desk: Desk) -> None:
    """A firewall-mark service has no port, and its servers keep the one the client asked for."""
    config = desk.load(
        """
        [services.a]
        fwmark = 7
        check = "none"
        [[services.a.servers]]
        address = "10.0.0.11"
        [services.b]
        fwmark = 7
        family = "ipv6"
        check = "none"
        [[services.b.servers]]
        address = "2001:db8:1::1"
        """
    )
    assert config.services["a"].key == FwmarkKey(Family.IPV4, 7)
    assert config.services["b"].key == FwmarkKey(Family.IPV6, 7)
    assert config.services["a"].servers[0].port == 0


def test_family_of_an_address(desk: Desk) -> None:
    """The address says it; a family beside it may only agree."""
    text = '[services.web]\naddress = "2001:db8::1"\nport = 80\ncheck = "none"\nfamily = "ipv6"\n'
    service = desk.load(text).services["web"]
    assert isinstance(service.key, AddressKey)
    assert service.family is Family.IPV6
    problem = desk.error(text.replace('"ipv6"', '"ipv4"'))
    assert (problem.path, problem.message) == ("services.web.family", "is ipv4, but the address is not")


WRONG = [
    ("[services.web]", "services.web", "has neither an address nor a firewall mark"),
    ('[services.web]\naddress = "192.0.2.1"', "services.web.port", "is missing"),
    ("[services.web]\nfwmark = 1\nport = 80", "services.web.port", "does not go with fwmark = 1"),
    ('[services.web]\nfwmark = 1\nprotocol = "tcp"', "services.web.protocol", "does not go with fwmark = 1"),
    ('[services.web]\nfwmark = 1\naddress = "192.0.2.1"', "services.web.address", "does not go with fwmark"),
    (HEAD + "[[services.web.servers]]", "services.web.servers[0]", "names no server and has no address"),
    (
        HEAD + '[[services.web.servers]]\nname = "x"',
        "services.web.servers[0]",
        "names no server and has no address",
    ),
    (
        HEAD + '[[services.web.servers]]\nserver = "rs1"\naddress = "10.0.0.1"',
        "services.web.servers[0].address",
        'server "rs1" has its own address',
    ),
    (
        HEAD + '[[services.web.servers]]\nserver = "rs1"\nname = "x"',
        "services.web.servers[0].name",
        'server "rs1" has its own name',
    ),
    (
        HEAD + '[[services.web.servers]]\nserver = "rs3"',
        "services.web.servers[0].server",
        'there is no server "rs3"',
    ),
    (
        HEAD + '[[services.web.servers]]\nserver = "rs1"\ncheck = "x"',
        "services.web.servers[0].check",
        'there is no check "x"',
    ),
    (
        HEAD + 'check = "x"\n[[services.web.servers]]\nserver = "rs1"',
        "services.web.check",
        "there is no check",
    ),
]


@pytest.mark.parametrize(("text", "path", "message"), WRONG)
def test_what_cannot_be_looked_up(desk: Desk, text: str, path: str, message: str) -> None:
    """One error for each thing that is not clear, however many servers it concerns."""
    problem = desk.error(MACHINES + text)
    assert problem.path == path
    assert message in problem.message


def test_a_broken_server_hides_nothing(desk: Desk) -> None:
    """The other servers of the service are judged, each by its own index."""
    text = HEAD + 'mode = "dr"\ncheck = "none"\n'
    for line in ("weight = -1", "port = 81", "wieght = 1\nport = 82"):
        text += f'[[services.web.servers]]\naddress = "10.0.0.1"\n{line}\n'
    found = [problem.path.removeprefix("services.web.") for problem in desk.report(text).errors]
    assert found == ["servers[0].weight", "servers[1].port", "servers[2].wieght", "servers[2].port"]


def test_a_broken_named_server_is_told_once(desk: Desk) -> None:
    """Who names a server that is wrong is not wrong, and neither is a floor that counts it."""
    text = (
        HEAD
        + 'check = "none"\nfloor = 1\n[servers.a]\naddress = "x"\n[[services.web.servers]]\nserver = "a"\n'
    )
    assert desk.error(text).path == "servers.a.address"


def test_unused_servers(desk: Desk) -> None:
    """A machine that no service names is told."""
    text = '[servers.a]\naddress = "10.0.0.1"\n'
    problem = desk.warning(text)
    assert (problem.path, problem.message) == ("servers.a", "is used by no service")
