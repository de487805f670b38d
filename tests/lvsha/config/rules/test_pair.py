"""Tests of `lvsha.config.rules.pair`."""

from __future__ import annotations

import pytest

from tests.lab.desk import Desk

NODES = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
"""
PUBLIC = """
[vrrp.public]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]
"""
GATEWAY = """
[vrrp.gateway]
interface = "eth1"
vrid = 52
addresses = ["10.0.0.1/24"]
"""
SERVICE = """
[services.web]
address = "192.0.2.100"
port = 80
check = "none"
[[services.web.servers]]
address = "10.0.0.11"
"""


def pair(nodes: str, vrrp: str = PUBLIC) -> str:
    """Both, with the second node's table changed."""
    return NODES.replace('priority = 100\naddress = "192.0.2.2"\n', nodes) + vrrp


def test_two_nodes_of_one_address(desk: Desk) -> None:
    """A node's address is its own."""
    problem = desk.error(pair('priority = 100\naddress = "192.0.2.1"\n'), "lb1")
    assert (problem.path, problem.line) == ("nodes.lb2.address", 7)
    assert "192.0.2.1 is the address of node lb1 too" in problem.message


PEER = f'[peer]\nkey = "hex:{"ab" * 32}"\n'


def test_overrides_that_hold_on_one_node_only(desk: Desk) -> None:
    """Two nodes with services should tell each other what an operator says."""
    services = SERVICE.replace("10.0.0.11", "192.0.2.11")
    problem = desk.warning(NODES + PUBLIC + services, "lb1")
    assert (problem.path, problem.line) == ("nodes", 2)
    assert "there is no [peer]" in problem.message
    assert desk.warnings(NODES + PEER + PUBLIC + services, "lb1") == []


def test_peers_of_two_families(desk: Desk) -> None:
    """A connection from an IPv4 address leads to an IPv4 address."""
    problem = desk.error(pair('address = "2001:db8::2"\n') + PEER, "lb1")
    assert problem.path == "nodes.lb2.address"
    assert "2001:db8::2 is of another family than 192.0.2.1" in problem.message
    problem = desk.error(NODES + PEER + 'listen = "::"\n', "lb1")
    assert problem.path == "peer.listen"
    assert ":: is of another family than the node's address 192.0.2.1" in problem.message


def test_two_owners(desk: Desk) -> None:
    """Priority 255 is for one node, and the other node's view counts as well as one's own."""
    text = NODES.replace("priority = 200", "priority = 255").replace("priority = 100", "priority = 255")
    problem = desk.error(text + PUBLIC, "lb2")
    assert problem.path == "nodes.lb2.priority"
    assert "both have priority 255 in vrrp.public" in problem.message


def test_tie(desk: Desk) -> None:
    """A tie is allowed, and told, because addresses decide it."""
    problem = desk.warning(NODES.replace("priority = 100", "priority = 200") + PUBLIC, "lb1")
    assert "both have priority 200 in vrrp.public: the higher address decides" in problem.message


@pytest.mark.parametrize(
    ("tracks", "moves"),
    [
        ('{ interface = "eth1", weight = -50 }', False),
        ('{ interface = "eth1", weight = -100 }', False),
        ('{ interface = "eth1", weight = -101 }', True),
        ('{ interface = "eth1", weight = -60 }, { gateway = "192.0.2.254", weight = -60 }', True),
        ('{ interface = "eth1", weight = 120 }', True),
        ('{ interface = "eth1", weight = 20 }', False),
        ('{ interface = "eth1", weight = -50 }, { gateway = "192.0.2.254" }', True),
        ('{ file = "/run/priority", weight = 1 }', True),
    ],
)
def test_weights_that_move_nothing(desk: Desk, tracks: str, moves: bool) -> None:
    """Trackers whose weights together do not reach the other node's priority are told; a fault reaches it."""
    text = NODES + PUBLIC + f"track = [{tracks}]\n"
    assert (desk.warnings(text, "lb1") == []) is moves
    if not moves:
        problem = desk.warning(text, "lb2")
        assert problem.path == "vrrp.public.track"
        assert "nothing moves" in problem.message


def test_no_tie_within_one_node(desk: Desk) -> None:
    """Instances of one node may have one priority."""
    assert desk.warnings(NODES + PUBLIC + GATEWAY, "lb1") == []


def test_a_mistake_of_the_other_node(desk: Desk) -> None:
    """The file is shared, so what only bites on the other node is found here too."""
    problem = desk.error(pair("priority = 255\n") + "preempt = false\n", "lb1")
    assert problem.path == "vrrp.public.preempt"


def test_lease_of_the_last_backup(desk: Desk) -> None:
    """The lease must last until the node of the lowest priority takes over, and that is told once."""
    problem = desk.error(pair("priority = 1\n", PUBLIC + 'lease = "3s"\n'), "lb1")
    assert problem.path == "vrrp.public.lease"
    assert "3s is shorter than the 4.00 s" in problem.message


def test_tracked_service_that_is_not_there(desk: Desk) -> None:
    """A tracker names a service, and the nearest one is offered."""
    problem = desk.error(
        PUBLIC + 'track = [{ service = "wep" }]\n' + SERVICE.replace("10.0.0.11", "192.0.2.11")
    )
    assert problem.path == "vrrp.public.track[0].service"
    assert (problem.message, problem.hint) == ('there is no service "wep"', "did you mean web?")


def test_tracked_service_with_too_few_servers(desk: Desk) -> None:
    """More servers than there are can never be in service."""
    text = (
        PUBLIC + 'track = [{ service = "web", at_least = 2 }]\n' + SERVICE.replace("10.0.0.11", "192.0.2.11")
    )
    problem = desk.error(text)
    assert problem.path == "vrrp.public.track[0].at_least"
    assert "is 2, but web has only 1 servers" in problem.message


def test_address_that_does_not_move(desk: Desk) -> None:
    """A service whose address no instance holds stays behind at a failover."""
    text = PUBLIC + SERVICE.replace("192.0.2.100", "192.0.2.200").replace("10.0.0.11", "192.0.2.11")
    problem = desk.warning(text)
    assert problem.path == "services.web.address"
    assert "192.0.2.200 is held by no VRRP instance" in problem.message


def test_refused_packets(desk: Desk) -> None:
    """Accept = false would drop a service's packets before IPVS sees them."""
    problem = desk.error(PUBLIC + "accept = false\n" + SERVICE.replace("10.0.0.11", "192.0.2.11"))
    assert problem.path == "vrrp.public.accept"
    assert "services.web would get no packet" in problem.message


def test_an_owner_refuses_no_packets(desk: Desk) -> None:
    """Its addresses are its own, so accept = false means nothing to it."""
    text = PUBLIC + "accept = false\npriority = 255\n" + SERVICE.replace("10.0.0.11", "192.0.2.11")
    assert desk.warnings(text) == []


def test_nat_without_a_gateway_that_moves(desk: Desk) -> None:
    """Replies of NAT servers come back through their gateway, which must be on the master."""
    problem = desk.warning(PUBLIC + SERVICE)
    assert problem.path == "services.web"
    assert "no VRRP instance holds an address in the network of 10.0.0.11" in problem.message


def test_gateway_that_moves_by_itself(desk: Desk) -> None:
    """The gateway and the service's address belong into one group."""
    problem = desk.warning(PUBLIC + GATEWAY + SERVICE)
    assert "is held by an instance that may fail over without vrrp.public" in problem.message


GROUPED = PUBLIC + 'group = "front"\n' + GATEWAY + 'group = "front"\n'
INSIDE = PUBLIC.replace(
    '["192.0.2.100/24"]', '["192.0.2.100/24", { address = "10.0.0.1/24", interface = "eth1" }]'
)


@pytest.mark.parametrize("vrrp", [GROUPED, INSIDE])
def test_gateway_that_moves_along(desk: Desk, vrrp: str) -> None:
    """In one group, or held by the same instance, it moves along."""
    assert desk.warnings(vrrp + SERVICE) == []


@pytest.mark.parametrize("mode", ["dr", "tun", "fullnat"])
def test_modes_that_need_no_gateway(desk: Desk, mode: str) -> None:
    """Only NAT servers answer through the director."""
    more = f'port = 80\nmode = "{mode}"\n'
    if mode == "fullnat":
        more += 'local_addresses = [{ address = "10.0.0.100/24", interface = "eth1" }]\n'
    assert desk.warnings(PUBLIC + SERVICE.replace("port = 80", more)) == []


def test_one_director_needs_none_of_this(desk: Desk) -> None:
    """Without VRRP nothing moves."""
    assert desk.warnings(SERVICE) == []
