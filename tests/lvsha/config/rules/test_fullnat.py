"""Tests of `lvsha.config.rules.fullnat`."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from lvsha.config.settings.vrrp import VipConfig
from lvsha.model import AddressKey, Protocol, ServerKey, source_nat
from tests.lab.desk import Desk

PUBLIC = """
[vrrp.public]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]
"""
INSIDE = """
[vrrp.inside]
interface = "eth1"
vrid = 52
addresses = ["10.0.0.100/24"]
"""
LENT = '[{ address = "10.0.0.100/24", interface = "eth1" }]'
PATH = "services.web.local_addresses"


def service(local: str | None = '["10.0.0.100"]', *, more: str = "", mode: str = "fullnat") -> str:
    """A service with one server and these local addresses."""
    lines = f"local_addresses = {local}\n" if local is not None else ""
    return f"""
[services.web]
address = "192.0.2.100"
port = 80
check = "none"
mode = "{mode}"
{lines}{more}
[[services.web.servers]]
address = "10.0.0.11"
"""


WRONG = [
    (service(None), PATH, "is missing: mode fullnat sends", "interface"),
    (service(mode="nat"), PATH, "of no use without mode fullnat", 'add mode = "fullnat"'),
    (service('["2001:db8::1"]'), f"{PATH}[0]", "of another family than the servers", "an IPv4 address"),
    (service('["0.0.0.0"]'), f"{PATH}[0]", "no address that a server could answer to", ""),
    (service('["127.0.0.1"]'), f"{PATH}[0]", "no address that a server could answer to", ""),
    (service('["10.0.0.11"]'), f"{PATH}[0]", "is the address of services.web.servers[0]", "no other machine"),
    (
        service('["10.0.0.100", "10.0.0.101", "10.0.0.100/24"]'),
        f"{PATH}[2]",
        "is named twice",
        "keep one of the two",
    ),
    (service(more='protocol = "sctp"'), "services.web.protocol", "is for tcp and udp", 'mode = "nat"'),
    (
        service(more='protocol = "udp"\none_packet = true'),
        "services.web.one_packet",
        "the kernel expects no replies",
        "leave it out",
    ),
    (service(LENT), f"{PATH}[0]", "no VRRP instance holds 192.0.2.100", "put it there yourself"),
    (PUBLIC + service(), f"{PATH}[0]", "is held by no VRRP instance", "interface"),
    (
        PUBLIC + INSIDE + service(),
        f"{PATH}[0]",
        "is held by vrrp.inside, which may fail over without vrrp.public",
        "the same group",
    ),
    (
        PUBLIC + service(LENT).replace('address = "192.0.2.100"\nport = 80', "fwmark = 7"),
        f"{PATH}[0]",
        "a service with a firewall mark has no address",
        "put it there yourself",
    ),
    (
        PUBLIC + service('[{ address = "10.0.0.255/24", interface = "eth1" }]'),
        f"{PATH}[0]",
        "is the broadcast address of 10.0.0.0/24",
        "",
    ),
]


@pytest.mark.parametrize(("text", "path", "message", "hint"), WRONG)
def test_wrong(desk: Desk, text: str, path: str, message: str, hint: str) -> None:
    """Each mix that cannot work is one error, at its key, with the reason and what to do."""
    problem = desk.error(text)
    assert problem.path == path
    assert message in problem.message
    assert hint in problem.hint


GROUPED = PUBLIC + 'group = "front"\n' + INSIDE + 'group = "front"\n'
EXCLUDED = PUBLIC + 'excluded = [{ address = "10.0.0.100/24", interface = "eth1" }]\n'

RIGHT = [
    service(),
    PUBLIC + service(LENT),
    EXCLUDED + service(),
    EXCLUDED + service(LENT),
    GROUPED + service(),
    GROUPED + service(LENT),
    service('["10.0.0.100", "10.0.0.101"]', more="strip_timestamps = false"),
    service(more='protocol = "udp"'),
]


@pytest.mark.parametrize("text", RIGHT)
def test_right(desk: Desk, text: str) -> None:
    """The same settings where they mean something are accepted without a word."""
    assert desk.warnings(text) == []


def test_a_local_address_that_stays_behind(desk: Desk) -> None:
    """With a firewall mark nobody can say which instance it belongs to, but it must belong to one."""
    text = PUBLIC + service().replace('address = "192.0.2.100"\nport = 80', "fwmark = 7")
    problem = desk.warning(text)
    assert problem.path == f"{PATH}[0]"
    assert "is held by no VRRP instance" in problem.message


def test_a_local_address_that_is_a_services(desk: Desk) -> None:
    """It works, but what a server sends to a local address by itself is dropped."""
    problem = desk.warning(service('["192.0.2.100"]'))
    assert problem.path == f"{PATH}[0]"
    assert "is the address of services.web, which servers then cannot use" in problem.message


def test_more_than_the_kernel_can_choose_from(desk: Desk) -> None:
    """32 addresses are a pool, 33 are not."""
    many = [f"10.0.1.{n}" for n in range(1, 34)]
    assert desk.warnings(service(str(many[:32]).replace("'", '"'))) == []
    assert desk.error(service(str(many).replace("'", '"'))).path == PATH


def test_where_servers_differ(desk: Desk) -> None:
    """A server of another mode beside one of fullnat is fine, and has no source NAT."""
    text = service() + '[[services.web.servers]]\naddress = "192.0.2.12"\nmode = "dr"\n'
    text += '[[services.web.fallback]]\naddress = "10.0.0.13"\nport = 81\n'
    web = desk.load(text).services["web"]
    key = AddressKey(Protocol.TCP, ip_address("192.0.2.100"), 80)
    servers = [ServerKey(ip_address("10.0.0.11"), 80), ServerKey(ip_address("10.0.0.13"), 81)]
    assert web.source_nat == source_nat(key, [ip_address("10.0.0.100")], servers)


def test_no_source_nat_without_the_mode(desk: Desk) -> None:
    """Mode nat has no source NAT."""
    assert desk.load(service(None, mode="nat")).services["web"].source_nat is None


def test_the_instance_of_the_service_holds_what_it_is_lent(desk: Desk) -> None:
    """It is put on the interface that the service says, by the instance that holds its address."""
    config = desk.load(PUBLIC + service(LENT))
    assert config.vrrp["public"].excluded == (VipConfig(ip_interface("10.0.0.100/24"), "eth1"),)


def test_services_share_what_they_lend(desk: Desk) -> None:
    """Two services with one local address lend it once, even to two instances of a group."""
    other = '[vrrp.other]\ninterface = "eth0"\nvrid = 53\naddresses = ["192.0.2.101/24"]\ngroup = "front"\n'
    second = service(LENT).replace("web", "more").replace("192.0.2.100", "192.0.2.101")
    config = desk.load(PUBLIC + 'group = "front"\n' + other + service(LENT) + second)
    held = [vip.address.ip for one in config.vrrp.values() for vip in one.excluded]
    assert held == [ip_address("10.0.0.100")]


def test_one_local_address_for_two_places(desk: Desk) -> None:
    """Services whose addresses fail over apart cannot share a local address."""
    other = '[vrrp.other]\ninterface = "eth0"\nvrid = 53\naddresses = ["192.0.2.101/24"]\n'
    second = service(LENT).replace("web", "more").replace("192.0.2.100", "192.0.2.101")
    problems = desk.report(PUBLIC + other + service(LENT) + second).errors
    held = next(problem for problem in problems if problem.path == "services.more.local_addresses[0]")
    assert held.message == "10.0.0.100 is held by services.web.local_addresses[0] already"


def test_the_other_node_is_looked_at_too(desk: Desk) -> None:
    """A mistake is told once, though it bites on both nodes."""
    nodes = "[nodes.lb1]\npriority = 200\n[nodes.lb2]\npriority = 100\n"
    assert desk.error(nodes + PUBLIC + service(), "lb1").path == f"{PATH}[0]"
