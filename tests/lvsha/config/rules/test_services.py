"""Tests of `lvsha.config.rules.services`."""

from __future__ import annotations

import pytest

from tests.lab.desk import Desk

SERVER = '\n[[services.web.servers]]\naddress = "{address}"\n'


def service(*lines: str, address: str = "192.0.2.100", server: str = "10.0.0.11") -> str:
    """A service with one server; the lines add to it."""
    own = [f'address = "{address}"', "port = 80", 'check = "none"']
    kept = [line for line in own if not any(new.split(" = ")[0] == line.split(" = ")[0] for new in lines)]
    return "\n".join(["[services.web]", *kept, *lines]) + SERVER.format(address=server)


MARK = '[services.web]\nfwmark = 7\ncheck = "none"\n'

WRONG = [
    (service(address="0.0.0.0"), "address", "0.0.0.0 is no address", "unicast"),
    (service(address="224.0.0.1"), "address", "224.0.0.1 is a multicast address", "unicast"),
    (service(address="127.0.0.1"), "address", "127.0.0.1 is a loopback address", "unicast"),
    (service("port = 0"), "port", "persistent services only", "add persistence"),
    (
        service('scheduler = "mh"', 'flags = ["sh-port"]'),
        "flags[0]",
        "sh-port is a flag of the scheduler sh, not of mh",
        'use scheduler = "sh"',
    ),
    (service('flags = ["flag-1"]'), "flags[0]", "the scheduler wlc looks at no flags", "leave the flag out"),
    (
        service('scheduler = "sh"', 'flags = ["sh-port", "flag-2"]'),
        "flags[1]",
        "flag-2 sets a bit that another flag here has set",
        "keep one",
    ),
    (service("one_packet = true"), "one_packet", "is for UDP", "leave it out"),
    (
        service("persistence = { netmask = 64 }"),
        "persistence.netmask",
        "64 is more than an IPv4 address has bits",
        "1 to 32",
    ),
    (
        service(
            'persistence = { netmask = "255.255.255.0" }', address="2001:db8::100", server="2001:db8:1::1"
        ),
        "persistence.netmask",
        "is a mask of IPv4, but the service is IPv6",
        "prefix length such as 64",
    ),
    (
        service('persistence = { engine = "sip" }'),
        "persistence.engine",
        "sip reads UDP only",
        'use protocol = "udp"',
    ),
    (service("floor = 2"), "floor", "is 2, but there are only 1 servers", "lower it"),
]


@pytest.mark.parametrize(("text", "key", "message", "hint"), WRONG, ids=[case[1] for case in WRONG])
def test_wrong(desk: Desk, text: str, key: str, message: str, hint: str) -> None:
    """Each mix that cannot work is one error, at its key, with the reason and what to do."""
    problem = desk.error(text)
    assert problem.path == f"services.web.{key}"
    assert message in problem.message
    assert hint in problem.hint


RIGHT = [
    service("port = 0", "persistence = {}"),
    service('scheduler = "sh"', 'flags = ["sh-port", "sh-fallback"]'),
    service('scheduler = "mh"', 'flags = ["mh-port", "flag-1", "flag-3"]'),
    service('protocol = "udp"', "one_packet = true", 'persistence = { engine = "sip" }'),
    service("persistence = { netmask = 64 }", address="2001:db8::100", server="2001:db8:1::1"),
    service('persistence = { netmask = "255.255.255.0" }'),
    MARK + "one_packet = true" + SERVER.format(address="10.0.0.11"),
    MARK + 'family = "ipv6"' + SERVER.format(address="2001:db8:1::1"),
]


@pytest.mark.parametrize("text", RIGHT)
def test_right(desk: Desk, text: str) -> None:
    """The same settings where they mean something are accepted without a word."""
    assert desk.warnings(text) == []


ODD = [
    ('[services.web]\naddress = "192.0.2.100"\nport = 80\ncheck = "none"', "has no servers"),
    (service().replace('check = "none"', ""), "has no health check"),
    (
        service('protocol = "udp"', "one_packet = true", "persistence = {}"),
        "with one_packet all packets of a client go to one server",
    ),
]


@pytest.mark.parametrize(("text", "message"), ODD)
def test_odd(desk: Desk, text: str, message: str) -> None:
    """What works but is hardly meant is a warning."""
    assert message in desk.warning(text).message


@pytest.mark.parametrize(
    "texts",
    [
        (service(), service().replace("web", "shop")),
        (MARK, MARK.replace("web", "shop")),
    ],
)
def test_two_services_of_one_key(desk: Desk, texts: tuple[str, str]) -> None:
    """The kernel would take the second for the first, so the second is refused."""
    problem = desk.error("\n".join(texts))
    assert problem.path == "services.shop"
    assert "and so is services.web" in problem.message


def test_one_address_for_many_services(desk: Desk) -> None:
    """Another port or protocol makes another service."""
    texts = [service(), service("port = 443"), service('protocol = "udp"')]
    text = "\n".join(text.replace("web", f"web{number}") for number, text in enumerate(texts))
    assert desk.warnings(text) == []
