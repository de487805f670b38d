"""Tests of `lvsha.config.rules.servers`."""

from __future__ import annotations

import pytest

from tests.lab.desk import Desk


def service(*servers: str, own: str = 'address = "192.0.2.100"\nport = 80', check: str = '"none"') -> str:
    """A service with these servers."""
    entries = "\n".join(f"[[services.web.servers]]\n{server}" for server in servers)
    return f"[services.web]\n{own}\ncheck = {check}\n{entries}\n"


ONE = 'address = "10.0.0.11"\n'
TWO = 'address = "10.0.0.12"\n'
SIX = 'address = "2001:db8:1::1"\n'
MARK = "fwmark = 7"
EVERY = 'address = "192.0.2.100"\nport = 0\npersistence = {}'

LOCAL = 'address = "192.0.2.100"\nport = 80\nlocal_addresses = ["10.0.0.100"]'

WRONG = [
    (service(ONE + 'port = 8080\nmode = "dr"'), "port", "changes only the MAC address", "leave it out"),
    (service(ONE + 'port = 8080\nmode = "tun"'), "port", "wraps the packet as it is", "leave it out"),
    (service(ONE + "port = 0"), "port", "is 0, no port", "the service's port is meant"),
    (
        service(ONE + "port = 80", own=EVERY),
        "port",
        "keeps the port that the client asked for",
        "leave it out",
    ),
    (service(ONE + 'port = 80\nmode = "dr"', own=MARK), "port", "the mark may cover many", "leave it out"),
    (
        service(ONE + "port = 80", own=MARK + "\npersistence = {}"),
        "port",
        "a persistent service with a firewall mark keeps the port",
        "take persistence out",
    ),
    (service(SIX), "address", "is of another family than the service", 'use mode = "tun"'),
    (service('address = "0.0.0.0"'), "address", "0.0.0.0 is no server's address", "unicast"),
    (service(ONE + "tunnel = {}"), "tunnel", "is of no use with mode nat", 'add mode = "tun"'),
    (service(ONE + 'mode = "tun"\ntunnel = { kind = "gue" }'), "tunnel.port", "is missing", "such as 6080"),
    (
        service(ONE + 'mode = "tun"\ntunnel = { kind = "gre", port = 6080 }'),
        "tunnel.port",
        "gre has no port",
        "",
    ),
    (
        service(ONE + 'mode = "tun"\ntunnel = { checksum = "checksum" }'),
        "tunnel.checksum",
        "ipip has no header",
        "leave it out",
    ),
    (
        service(ONE + 'mode = "tun"\ntunnel = { kind = "gre", checksum = "remote" }'),
        "tunnel.checksum",
        "is of gue only",
        'checksum = "checksum"',
    ),
    (service(ONE + "upper = 10\nlower = 20"), "lower", "20 is more than upper (10)", "smaller than upper"),
    (service(ONE + "lower = 20"), "lower", "20 is more than upper (0)", "set upper as well"),
    (
        service(ONE, own=MARK, check='{ kind = "tcp" }'),
        "check",
        "the tcp check has no port to ask",
        "give the check a port",
    ),
]


@pytest.mark.parametrize(("text", "key", "message", "hint"), WRONG)
def test_wrong(desk: Desk, text: str, key: str, message: str, hint: str) -> None:
    """Each mix that cannot work is one error, at its key, with the reason and what to do."""
    problem = desk.error(text)
    assert problem.path == f"services.web.servers[0].{key}"
    assert message in problem.message
    assert hint in problem.hint


RIGHT = [
    service(ONE + "port = 8080"),
    service(ONE + 'port = 8080\nmode = "fullnat"', own=LOCAL),
    service(ONE + 'port = 80\nmode = "dr"'),
    service(ONE + 'mode = "tun"\ntunnel = { kind = "gue", port = 6080, checksum = "remote" }'),
    service(ONE + 'mode = "tun"\ntunnel = { kind = "gre", checksum = "checksum" }'),
    service(SIX + 'mode = "tun"'),
    service(ONE + "port = 8080", own=MARK),
    service(ONE, own=EVERY),
    service(ONE + "upper = 20\nlower = 20"),
    service(ONE, ONE + "port = 8080", TWO),
    service(ONE, own=MARK, check='{ kind = "tcp", port = 80 }'),
]


@pytest.mark.parametrize("text", RIGHT)
def test_right(desk: Desk, text: str) -> None:
    """The same settings where they mean something are accepted without a word."""
    assert desk.warnings(text) == []


def test_one_server_twice(desk: Desk) -> None:
    """The kernel holds one server of one address and port in a service."""
    problem = desk.error(service(ONE, TWO, ONE + "weight = 2"))
    assert problem.path == "services.web.servers[2]"
    assert "is 10.0.0.11:80, and so is services.web.servers[0]" in problem.message


def test_fallback_keeps_the_same_rules(desk: Desk) -> None:
    """A fallback server lives in the same kernel service: no second entry, no other port with DR."""
    text = service(ONE, own='address = "192.0.2.100"\nport = 80\nmode = "dr"')
    text += "[[services.web.fallback]]\n" + ONE + "[[services.web.fallback]]\n" + TWO + "port = 81\n"
    same, port = desk.report(text).errors
    assert (same.path, port.path) == ("services.web.fallback[0]", "services.web.fallback[1].port")
    assert "and so is services.web.servers[0]" in same.message


def test_named_server_of_another_family(desk: Desk) -> None:
    """Where a server is named, the name is what has to change."""
    text = '[servers.six]\naddress = "2001:db8:1::1"\n' + service('server = "six"')
    assert desk.error(text).path == "services.web.servers[0].server"
