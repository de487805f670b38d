"""Tests of `lvsha.config.rules.vrrp`."""

from __future__ import annotations

import pytest

from lvsha.config.rules.vrrp import room
from lvsha.model import Family
from tests.lab.desk import Desk

OWN = {
    "interface": '"eth0"',
    "vrid": "51",
    "addresses": '["192.0.2.100/24"]',
}


def instance(name: str = "public", **settings: str) -> str:
    """An instance; settings add to it or take the place of its own."""
    return f"[vrrp.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in {**OWN, **settings}.items())


def many(count: int, *, six: bool = False) -> str:
    """So many addresses."""
    form = "2001:db8::{:x}" if six else "198.51.{0}.{1}"
    return str(
        [
            form.format(number) if six else form.format(number >> 8, number & 255)
            for number in range(1, count + 1)
        ]
    )


KEY = '{ keys = { 1 = "0123456789abcdef0123456789abcdef" } }'
SIX = '["2001:db8::100/64"]'
PEERS = '["192.0.2.2"]'
CABLE = {
    "interface": '"cable"',
    "needs_carrier": "false",
    "addresses": '[{ address = "192.0.2.100/24", interface = "eth0" }]',
    "track": '[{ interface = "eth0" }]',
}

WRONG = [
    ({"addresses": '["192.0.2.100/24", "2001:db8::1/64"]'}, "addresses[1]", "of another family", "excluded"),
    ({"addresses": '["192.0.2.0/24"]'}, "addresses[0]", "is the address of the network 192.0.2.0/24", ""),
    ({"addresses": '["192.0.2.255/24"]'}, "addresses[0]", "is the broadcast address", ""),
    ({"addresses": '["224.0.0.5"]'}, "addresses[0]", "224.0.0.5 is no address of a network's host", ""),
    ({"excluded": '["127.0.0.1/8"]'}, "excluded[0]", "is no address of a network's host", ""),
    ({"excluded": '["192.0.2.100/24"]'}, "excluded[0]", "is held by vrrp.public.addresses[0] already", "one"),
    (
        {"addresses": many(256)},
        "addresses",
        "holds 256 addresses, and an advert has room for 255",
        "excluded",
    ),
    ({"addresses": many(91, six=True)}, "addresses", "room for 90", "excluded"),
    ({"addresses": many(90, six=True), "auth": KEY}, "addresses", "room for 89", "excluded"),
    ({"version": "2", "addresses": SIX}, "version", "2 knows no IPv6", "version = 3"),
    ({"version": "2", "interval": '"1500ms"'}, "interval", "counts whole seconds", "version = 3"),
    ({"interval": "41"}, "interval", "40.95s at most", "shorter"),
    ({"interval": "0.015"}, "interval", "is 15ms, but version 3 counts hundredths", "10ms"),
    ({"version": "2", "checksum": '"plain"'}, "checksum", "version 2 has one checksum only", "leave it out"),
    ({"addresses": SIX, "checksum": '"plain"'}, "checksum", "IPv6 has one checksum only", "leave it out"),
    ({"auth": '{ password = "x" }'}, "auth.password", "version 3 has no passwords", "keys"),
    ({"version": "2", "auth": '{ password = "123456789" }'}, "auth.password", "longer than the 8 bytes", ""),
    ({"version": "2", "auth": '{ password = "äöüäö" }'}, "auth.password", "longer than the 8 bytes", ""),
    ({"version": "2", "auth": KEY}, "auth.keys", "goes with version 3 here", "version = 3"),
    ({"priority": "255", "preempt": "false"}, "preempt", "an owner always preempts", "254"),
    ({"priority": "255", "preempt_delay": "5"}, "preempt_delay", "an owner is master at once", "254"),
    ({"priority": "255", "start_delay": "5"}, "start_delay", "an owner is master at once", "254"),
    (
        {"priority": "255", "track": '[{ interface = "eth1", weight = -5 }]'},
        "track[0].weight",
        "an owner's priority never changes",
        "254",
    ),
    (
        {"preempt": "false", "preempt_delay": "5"},
        "preempt_delay",
        "is of no use with preempt = false",
        "leave",
    ),
    ({"peers": PEERS}, "peers", "are of no use without unicast", "unicast = true"),
    ({"ttl_min": "254"}, "ttl_min", "TTL 255", "unicast = true"),
    ({"unicast": "true"}, "unicast", "there is no peer to send to", "peers"),
    ({"unicast": "true", "peers": '["2001:db8::2"]'}, "peers[0]", "of another family", ""),
    ({"unicast": "true", "peers": '["192.0.2.100"]'}, "peers[0]", "is no other node's own address", "fixed"),
    ({"unicast": "true", "peers": '["192.0.2.2", "192.0.2.2"]'}, "peers[1]", "is named twice", "keep one"),
    ({"lease": "3"}, "lease", "3s is shorter than the 3.61 s", "use 4s or more"),
    ({"track": '[{ script = ["true"] }]'}, "track[0].script[0]", "is not an absolute path", "whole path"),
    (
        {"track": '[{ interface = "a" }, { interface = "a", weight = 5 }]'},
        "track[1]",
        "tracks the same as track[0]",
        "keep one",
    ),
    (
        {"track": '[{ script = ["/a"] }, { process = "/a" }, { script = ["/a"], interval = 5 }]'},
        "track[2]",
        "tracks the same as track[0]",
        "keep one",
    ),
]


@pytest.mark.parametrize(("settings", "key", "message", "hint"), WRONG)
def test_wrong(desk: Desk, settings: dict[str, str], key: str, message: str, hint: str) -> None:
    """Each mix that cannot work is one error, at its key, with the reason and what to do."""
    problem = desk.error(instance(**settings))
    assert problem.path == f"vrrp.public.{key}"
    assert message in problem.message
    assert hint in problem.hint


RIGHT: list[dict[str, str]] = [
    {},
    {"addresses": '["192.0.2.100/24"]', "excluded": '["2001:db8::1/64"]'},
    {"addresses": '["192.0.2.0/31", "192.0.2.255/32"]'},
    {"addresses": many(255)},
    {"addresses": many(90, six=True)},
    {"addresses": many(89, six=True), "auth": KEY},
    {"version": "2", "interval": "255", "lease": '"1h"'},
    {"interval": '"40.95s"'},
    {"interval": '"10ms"'},
    {"interval": "0.29"},
    {"checksum": '"plain"'},
    {"priority": "255", "track": '[{ interface = "eth1" }]'},
    {"accept": "false"},
    {"priority": "255", "accept": "false"},
    {"preempt_delay": "5"},
    {"carrier_delay": "35"},
    {"unicast": "true", "peers": PEERS, "ttl_min": "64"},
    {"lease": "4"},
    {"track": '[{ script = ["/bin/true", "a"] }, { script = ["/bin/true", "b"] }]'},
]


@pytest.mark.parametrize("settings", RIGHT)
def test_right(desk: Desk, settings: dict[str, str]) -> None:
    """The same settings where they mean something are accepted without a word."""
    assert desk.warnings(instance(**settings)) == []


ODD = [
    ({"version": "2", "auth": '{ password = "12345678" }'}, "auth.password", "is sent in clear text"),
    (
        {"auth": KEY.replace(" }", ' }, mode = "permissive"', 1)},
        "auth.mode",
        "unsigned adverts are still taken",
    ),
    ({"lease": '"none"'}, "lease", "keeps its addresses for ever"),
    ({"track": '[{ script = ["/bin/true"], timeout = 2 }]'}, "track[0].timeout", "longer than the interval"),
    ({"track": '[{ gateway = "192.0.2.254", timeout = 2 }]'}, "track[0].timeout", "longer than the interval"),
    ({"track": '[{ file = "/run/x", weight = 0 }]'}, "track[0].weight", "will be a FAULT"),
    (CABLE, "needs_carrier", "with cable cut both nodes are master"),
    ({"group": '"front"'}, "group", 'the group "front" has no other instance'),
]


@pytest.mark.parametrize(("settings", "key", "message"), ODD)
def test_odd(desk: Desk, settings: dict[str, str], key: str, message: str) -> None:
    """What works but is hardly meant is a warning."""
    problem = desk.warning(instance(**settings))
    assert problem.path == f"vrrp.public.{key}"
    assert message in problem.message


def test_a_cable_in_a_group_with_a_network_is_no_danger(desk: Desk) -> None:
    """While the other node is heard by either, this one waits; by two cables it may hear nothing at all."""
    cable = instance(**CABLE, group='"site"')
    network = instance("other", addresses='["192.0.2.101/24"]', vrid="52", group='"site"')
    assert desk.warnings(cable + network) == []
    other = CABLE | {"interface": '"cable2"', "addresses": network.splitlines()[3].partition(" = ")[2]}
    problems = desk.warnings(cable + instance("other", **other, group='"site"'))
    assert {p.path for p in problems} == {"vrrp.public.needs_carrier", "vrrp.other.needs_carrier"}


def test_a_cables_instance_follows_its_addresses_interface(desk: Desk) -> None:
    """Nothing else would make a node without it let go."""
    problems = desk.warnings(instance(**CABLE | {"track": "[]"}))
    assert "nothing else follows eth0, which the addresses are on" in [
        p.message.partition(":")[0] for p in problems
    ]


def test_one_router_id_on_one_link(desk: Desk) -> None:
    """An id belongs to one instance of an interface and family."""
    again = instance("other", addresses='["192.0.2.101/24"]')
    problem = desk.error(instance() + again)
    assert (problem.path, problem.line) == ("vrrp.other.vrid", 7)
    assert "51 is taken on eth0 for IPv4 by vrrp.public" in problem.message


@pytest.mark.parametrize("other", [{"interface": '"eth1"'}, {"vrid": "52"}, {"addresses": SIX}])
def test_router_id_elsewhere(desk: Desk, other: dict[str, str]) -> None:
    """On another interface, with another number, or in the other family it is another router."""
    settings = {"addresses": '["192.0.2.101/24"]', **other}
    assert desk.warnings(instance() + instance("other", **settings)) == []


def test_one_virtual_mac_on_two_interfaces(desk: Desk) -> None:
    """The interface that bears it is named by it, so a machine has one; the other family's is another."""
    both = instance(virtual_mac="true") + instance(
        "other", interface='"eth1"', addresses='["192.0.2.101/24"]', virtual_mac="true"
    )
    problem = desk.error(both)
    assert problem.path == "vrrp.other.vrid"
    assert "vrrp.public has that one on eth0" in problem.message
    assert desk.warnings(both.replace("192.0.2.101/24", "2001:db8::1/64")) == []
    assert desk.warnings(both.replace("virtual_mac = true", "", 1)) == []


def test_an_address_in_two_instances(desk: Desk) -> None:
    """Two instances would fight over it."""
    problem = desk.error(instance() + instance("other", vrid="52"))
    assert problem.path == "vrrp.other.addresses[0]"
    assert "192.0.2.100 is held by vrrp.public.addresses[0] already" in problem.message


def test_link_local_addresses(desk: Desk) -> None:
    """fe80::1 is another address on every link, and one address on one link."""
    both = instance(addresses='["fe80::1/64"]') + instance("other", vrid="52", addresses='["fe80::1/64"]')
    assert desk.error(both).path == "vrrp.other.addresses[0]"
    assert desk.warnings(both.replace("eth0", "eth1", 1)) == []


GROUPS = [
    ({"priority": "255"}, "error", "vrrp.other.group", "has owners (priority 255) and others"),
    ({"preempt": "false"}, "error", "vrrp.other.preempt", "preempt differs within the group"),
    ({"priority": "90"}, "warning", "vrrp.other.priority", "they may be won by different nodes"),
]


@pytest.mark.parametrize(("other", "severity", "path", "message"), GROUPS)
def test_group_that_disagrees(
    desk: Desk, other: dict[str, str], severity: str, path: str, message: str
) -> None:
    """Members of a group must be able to be elected together."""
    settings = {"vrid": "52", "addresses": '["192.0.2.101/24"]', "group": '"front"', **other}
    report = desk.report(instance(group='"front"') + instance("other", **settings))
    (problem,) = report.errors + report.warnings
    assert (problem.severity, problem.path) == (severity, path)
    assert message in problem.message


@pytest.mark.parametrize(
    ("family", "version", "keys", "most"),
    [
        (Family.IPV4, 2, False, 255),
        (Family.IPV4, 3, True, 255),
        (Family.IPV6, 3, False, 90),
        (Family.IPV6, 3, True, 89),
    ],
)
def test_room(family: Family, version: int, keys: bool, most: int) -> None:
    """An advert holds what its one-byte count and 1500 bytes of Ethernet allow."""
    assert room(family, version=version, keys=keys) == most
