"""Tests of `checks.audit.examine`."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from checks.audit import Finding, Preparation, Severity, examine
from checks.audit.facts import Conf4, Conf6, Facts, Link
from tests.lab.realserver import ETHERNET, QUIET, after, device, server

FOUR, SIX = "192.0.2.100", "2001:db8:1::100"
DR = Preparation("dr", (FOUR, SIX))
TUN = Preparation("tun", (FOUR, SIX))
STILL = {"all": Conf4(1, 2, 0)}


def wrong(wanted: Preparation, facts: Facts) -> list[Finding]:
    """What is not well."""
    return [finding for finding in examine(wanted, facts) if not finding.ok]


def ready(*links: Link, **more: object) -> Facts:
    """A server that is ready for direct routing."""
    addresses = ((f"{FOUR}/32", "lo"), (f"{SIX}/128", "lo"))
    return server(*links, conf=STILL, **({"addresses": addresses} | more))  # type: ignore[arg-type]


def test_a_server_that_is_ready() -> None:
    """Everything that was looked at is told, and nothing of it is wrong."""
    findings = examine(DR, ready())
    assert all(finding.ok for finding in findings)
    assert [finding.setting for finding in findings] == [
        "net.ipv4.conf.eth0.arp_ignore",
        "net.ipv4.conf.eth0.arp_announce",
        f"address {FOUR}",
        f"address {SIX}",
        f"neighbour discovery of {SIX}",
        "default route (IPv4)",
        "default route (IPv6)",
    ]


@pytest.mark.parametrize("wanted", [DR, TUN], ids=["dr", "tun"])
def test_the_remedies_together(wanted: Preparation) -> None:
    """On a fresh server the remedies, in the order of the findings, lead to one that is ready."""
    facts = server(conf={"default": Conf4(0, 0, 1), "all": Conf4(0, 0, 1)})
    steps = dict.fromkeys(step for finding in examine(wanted, facts) for step in finding.mend)
    facts = after(facts, *steps)
    assert wrong(wanted, facts) == []


def test_addresses_come_last() -> None:
    """No address is there before everything is still about it."""
    kinds = [type(step).__name__ for finding in examine(TUN, server()) for step in finding.mend]
    assert kinds[-2:] == ["AddAddress", "AddAddress"]
    assert "AddAddress" not in kinds[:-2]


def test_an_address_on_a_real_interface() -> None:
    """There the server answers for it, whatever the settings are: a person must take it away."""
    (finding,) = wrong(DR, ready(addresses=((f"{FOUR}/32", "eth0"), (f"{SIX}/128", "lo"))))
    assert finding.stops
    assert finding.found == "on eth0, a real interface"
    assert finding.commands == [f"ip address del {FOUR}/32 dev eth0"]


def test_an_address_in_two_places() -> None:
    """One on lo does not excuse one on a real interface."""
    both = ((f"{FOUR}/32", "lo"), (f"{FOUR}/24", "eth0"), (f"{SIX}/128", "lo"))
    (finding,) = wrong(DR, ready(addresses=both))
    assert finding.stops
    assert "is it the service's, and not the server's own?" in finding.commands[0]


def test_a_director_has_it_on_the_wire_as_well() -> None:
    """One that is named as such may be master now; on lo it is needed all the same, and settings as ever."""
    director = replace(DR, directors=("10.0.1.11", "10.0.1.12"))
    on_the_wire = ((f"{FOUR}/24", "eth0"), (f"{SIX}/64", "eth0"))
    on_lo = ((f"{FOUR}/32", "lo"), (f"{SIX}/128", "lo"))
    assert wrong(director, ready(addresses=on_the_wire + on_lo)) == []
    assert [f.commands for f in wrong(director, ready(addresses=on_the_wire))] == [
        [f"ip address add {FOUR}/32 dev lo scope host"],
        [f"ip address add {SIX}/128 dev lo preferred_lft 0 nodad"],
    ]
    assert [f.stops for f in wrong(DR, ready(addresses=on_the_wire + on_lo))] == [True, True]


def test_an_address_that_goes_by_itself_may_be_a_directors() -> None:
    """On a lease, as a director puts it: the advice tells how to say so."""
    facts = ready(addresses=((f"{FOUR}/24", "eth0"), (f"{SIX}/128", "lo")))
    leased = tuple(replace(held, leased=held.address.ip == ip_address(FOUR)) for held in facts.addresses)
    (finding,) = wrong(DR, replace(facts, addresses=leased))
    assert "name it: --director ADDRESS" in finding.commands[0]


def test_an_address_with_a_network() -> None:
    """192.0.2.100/24 on lo has the server take the whole network for its own."""
    (finding,) = wrong(DR, ready(addresses=((f"{FOUR}/24", "lo"), (f"{SIX}/128", "lo"))))
    assert finding.stops
    assert "all of 192.0.2.0/24" in finding.why


def test_a_dummy_does_as_well() -> None:
    """Any device on which nobody asks for addresses will do."""
    addresses = ((f"{FOUR}/32", "dummy0"), (f"{SIX}/128", "dummy0"))
    assert wrong(DR, ready(Link("dummy0", QUIET | {"UP"}, 1500), addresses=addresses)) == []


def test_lo_is_down() -> None:
    """An address on it would be none."""
    facts = ready()
    facts = replace(facts, links={**facts.links, "lo": Link("lo", frozenset({"LOOPBACK"}), 65536)})
    (finding,) = wrong(DR, facts)
    assert finding.commands == ["ip link set dev lo up"]


@pytest.mark.parametrize(
    ("ipv6", "command"),
    [
        ({}, "sysctl -w net.ipv6.conf.all.disable_ipv6=0"),
        ({"default": Conf6(0, 0, 0), "lo": Conf6(1, 0, 0)}, "sysctl -w net.ipv6.conf.lo.disable_ipv6=0"),
    ],
)
def test_no_ipv6(ipv6: dict[str, Conf6], command: str) -> None:
    """A server without IPv6 cannot hold an IPv6 address; IPv4 alone is no concern of it."""
    facts = replace(ready(), ipv6=ipv6)
    (finding,) = wrong(DR, facts)
    assert finding.stops
    assert finding.commands == [command]
    assert wrong(Preparation("dr", (FOUR,)), facts) == []


@pytest.mark.parametrize(("forwarding", "proxy", "answers"), [(1, 1, True), (0, 1, False), (1, 0, False)])
def test_proxy_neighbour_discovery(forwarding: int, proxy: int, answers: bool) -> None:
    """IPv6 is still by itself, unless a proxy entry and both settings have it answer."""
    facts = ready(proxies=frozenset({(SIX, "eth0")}), forwarding=forwarding, proxy_ndp=proxy)
    findings = wrong(DR, facts)
    assert bool(findings) == answers
    if answers:
        assert findings[0].commands == [f"ip -6 neighbour del proxy {SIX} dev eth0"]


def test_the_director_as_the_way_out() -> None:
    """Answers would come back to the director, which drops them; the server can be set up all the same."""
    (finding,) = wrong(replace(DR, directors=("10.0.1.254",)), ready())
    assert (finding.severity, finding.stops, finding.found) == (Severity.ERROR, False, "via 10.0.1.254")


def test_two_ways() -> None:
    """Requests come in by another interface than answers go out by: a strict rp_filter there drops them."""
    conf = STILL | {"eth1": Conf4(0, 0, 1)}
    facts = server(
        Link("eth1", ETHERNET, 1500),
        conf=conf,
        addresses=((f"{FOUR}/32", "lo"), (f"{SIX}/128", "lo"), ("203.0.113.11/24", "eth1")),
    )
    (finding,) = wrong(replace(DR, directors=("203.0.113.1",)), facts)
    assert finding.severity is Severity.WARNING
    assert finding.commands == ["sysctl -w net.ipv4.conf.eth1.rp_filter=2"]
    assert wrong(DR, facts) == []


def test_no_end_for_tunnels() -> None:
    """Where it is not known what tunnels end at, that is said, and what ARP is like."""
    facts = replace(server(conf=STILL), routes=())
    findings = examine(TUN, facts)
    assert findings[0].stops
    assert findings[1].setting == "net.ipv4.conf.eth0.arp_ignore"


def test_a_strict_reverse_path_needs_an_address() -> None:
    """With the VIP on lo the tunnel device has no address, where only 0 will do (for all, too)."""
    facts = server(
        device("tunl0", "ipip"),
        conf={"all": Conf4(1, 2, 1)},
        addresses=((f"{FOUR}/32", "lo"),),
    )
    (finding,) = wrong(Preparation("tun", (FOUR,)), facts)
    assert finding.needed == "0"
    assert finding.commands == ["sysctl -w net.ipv4.conf.all.rp_filter=0"]
