"""Tests of `lvsha.config.resolve.vrrp`."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lvsha.config import KeyAuth, PasswordAuth
from tests.lab.desk import Desk

NODES = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb1.vrrp.special]
priority = 210
interface = "bond0"
address = "198.51.100.1"
[nodes.lb2]
address = "192.0.2.2"
[nodes.lb2.vrrp.special]
address = "198.51.100.2"
[nodes.lb3]
address = "192.0.2.3"
[nodes.lb3.vrrp.special]
address = "198.51.100.3"
priority = 50
"""


def instance(name: str, vrid: int, **settings: str) -> str:
    """An instance with these settings."""
    own = {"interface": '"eth0"', "vrid": str(vrid), "addresses": f'["192.0.2.{100 + vrid}/24"]', **settings}
    return f"[vrrp.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items())


PLAIN, SPECIAL = instance("plain", 1, unicast="true"), instance("special", 2, unicast="true")


@pytest.mark.parametrize(
    ("node", "priorities"), [("lb1", (200, 210)), ("lb2", (100, 100)), ("lb3", (100, 50))]
)
def test_priority_of_a_node(desk: Desk, node: str, priorities: tuple[int, int]) -> None:
    """A node's word for an instance comes first, then its own priority, then the instance's."""
    found = desk.load(NODES + PLAIN + SPECIAL, node).vrrp
    assert (found["plain"].priority, found["special"].priority) == priorities


def test_priority_of_an_instance(desk: Desk) -> None:
    """Where no node says otherwise the instance's own priority counts."""
    text = NODES + instance("plain", 1, priority="150", unicast="true") + SPECIAL
    assert desk.load(text, "lb2").vrrp["plain"].priority == 150
    assert desk.load(text, "lb1").vrrp["plain"].priority == 200


def test_interface_of_a_node(desk: Desk) -> None:
    """One node's cabling is its own; addresses without an interface follow."""
    text = NODES + PLAIN + SPECIAL
    one, two = (desk.load(text, node).vrrp["special"] for node in ("lb1", "lb2"))
    assert (one.interface, one.addresses[0].interface) == ("bond0", "bond0")
    assert (two.interface, two.addresses[0].interface) == ("eth0", "eth0")


def test_an_instance_without_an_interface(desk: Desk) -> None:
    """Every node must then name one; the node that does not is told."""
    text = NODES + instance("special", 2).replace('interface = "eth0"\n', "")
    problems = desk.report(text, "lb1").errors
    assert [problem.path for problem in problems] == ["vrrp.special.interface"] * 2
    assert [problem.hint for problem in problems] == [
        f'write interface = "..." here, or in [nodes.{node}.vrrp.special]' for node in ("lb2", "lb3")
    ]


def test_unicast_peers(desk: Desk) -> None:
    """The other nodes are the peers, by the address each has in this instance."""
    found = desk.load(NODES + PLAIN + SPECIAL, "lb2").vrrp
    assert found["plain"].address == ip_address("192.0.2.2")
    assert found["plain"].peers == (ip_address("192.0.2.1"), ip_address("192.0.2.3"))
    assert found["special"].address == ip_address("198.51.100.2")
    assert found["special"].peers == (ip_address("198.51.100.1"), ip_address("198.51.100.3"))


def test_explicit_peers(desk: Desk) -> None:
    """A list of all directors serves every one of them: a node is not its own peer."""
    text = (
        NODES
        + SPECIAL
        + instance("plain", 1, unicast="true", peers='["192.0.2.1", "192.0.2.2", "192.0.2.9"]')
    )
    assert desk.load(text, "lb1").vrrp["plain"].peers == (ip_address("192.0.2.2"), ip_address("192.0.2.9"))


def test_multicast_has_no_peers(desk: Desk) -> None:
    """The nodes' addresses are for unicast; the source is the interface's own unless one is named."""
    found = desk.load(NODES + instance("plain", 1) + instance("special", 2), "lb1").vrrp
    assert (found["plain"].peers, found["plain"].address) == ((), None)
    assert found["special"].address == ip_address("198.51.100.1")


def test_a_node_without_an_address(desk: Desk) -> None:
    """Unicast needs an address of every node, and of the instance's family."""
    text = NODES + instance("special", 2, unicast="true", addresses='["2001:db8::1/64"]')
    text = text.replace("198.51.100.1", "2001:db8::11").replace("198.51.100.2", "2001:db8::12")
    problem = desk.error(text.replace('address = "198.51.100.3"\n', ""), "lb1")
    assert (problem.path, problem.line) == ("nodes.lb3", 13)
    assert problem.message == "has no IPv6 address, but vrrp.special is unicast"


def test_an_override_of_an_instance_that_is_not_there(desk: Desk) -> None:
    """A node speaks of instances that exist."""
    problems = desk.report(NODES + instance("specials", 1), "lb1").errors
    assert {problem.path for problem in problems} == {f"nodes.lb{n}.vrrp.special" for n in (1, 2, 3)}
    assert {problem.hint for problem in problems} == {"did you mean specials?"}


def test_lease(desk: Desk) -> None:
    """`auto` outlasts any backup's wait, in whole seconds; `none` is for ever."""
    for interval, lease, seconds in (
        *(("1", '"auto"', 4), ("0.01", '"auto"', 2), ("2.5", '"auto"', 10)),
        *(("1", '"none"', None), ("1", '"30s"', 30)),
    ):
        found = desk.load(instance("a", 1, interval=interval, lease=lease)).vrrp["a"]
        assert found.lease == seconds


KEY = "0123456789abcdef0123456789abcdef"


def test_password(desk: Desk) -> None:
    """Version 2's password is text as it is sent."""
    text = instance("a", 1, version="2", auth='{ password = "secret12" }')
    assert desk.load(text).vrrp["a"].auth == PasswordAuth("secret12")


def test_keys(desk: Desk) -> None:
    """Several keys for a rotation, one of which signs."""
    auth = f'{{ keys = {{ 1 = "{KEY}", 2 = "hex:{"ab" * 32}" }}, active = 2 }}'
    found = desk.load(instance("a", 1, auth=auth)).vrrp["a"].auth
    assert found == KeyAuth({1: KEY.encode(), 2: b"\xab" * 32}, 2, "enforce", 5.0)


def test_one_key_signs_by_itself(desk: Desk) -> None:
    """Of one key there is nothing to choose."""
    found = desk.load(instance("a", 1, auth=f'{{ keys = {{ 7 = "{KEY}" }} }}')).vrrp["a"].auth
    assert isinstance(found, KeyAuth)
    assert found.active == 7


def test_window_follows_the_interval(desk: Desk) -> None:
    """Three intervals, and at least five seconds."""
    found = desk.load(instance("a", 1, interval="10", auth=f'{{ keys = {{ 1 = "{KEY}" }} }}')).vrrp["a"].auth
    assert isinstance(found, KeyAuth)
    assert found.window == 30.0


WRONG = [
    ("{ keys = {} }", "keys", "holds no key"),
    (f'{{ keys = {{ 256 = "{KEY}" }} }}', "keys.256", "is not a key id"),
    (f'{{ keys = {{ a = "{KEY}" }} }}', "keys.a", "is not a key id"),
    (f'{{ keys = {{ 1 = "{KEY}", 01 = "{KEY}" }}, active = 1 }}', "keys.01", "is key 1 once more"),
    (f'{{ keys = {{ 1 = "{KEY}", 2 = "{KEY}" }} }}', "active", "is missing"),
    (f'{{ keys = {{ 1 = "{KEY}" }}, active = 2 }}', "active", "there is no key 2"),
]


@pytest.mark.parametrize(("auth", "key", "message"), WRONG)
def test_wrong_keys(desk: Desk, auth: str, key: str, message: str) -> None:
    """Ids that are none, and a signer that is not there, are told at their place."""
    problems = {problem.path: problem.message for problem in desk.report(instance("a", 1, auth=auth)).errors}
    assert message in problems[f"vrrp.a.auth.{key}"]
    assert len(problems) == 1
