"""Tests of `checks.audit.tunnels`: which device unwraps what."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from checks.audit import Encapsulation, Finding, Preparation, Severity
from checks.audit.facts import Link
from checks.audit.steps import ClampMss
from checks.audit.tunnels import devices, local, mss, overhead, port
from tests.lab.realserver import device, server

FOUR, SIX = ip_address("10.0.1.11"), ip_address("2001:db8:2::11")
BOTH = ("192.0.2.100", "2001:db8:1::100")
IPIP = Encapsulation()
GUE = Encapsulation("gue", 6080)
GRE = Encapsulation("gre")
SUMMED = Encapsulation("gre", checksum="checksum")


def tun(tunnel: Encapsulation = IPIP, vips: tuple[str, ...] = BOTH, **more: object) -> Preparation:
    """A preparation of mode tun."""
    return replace(Preparation("tun", vips, tunnel), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tunnel", "end", "four", "six"),
    [
        (IPIP, FOUR, "type ipip local 10.0.1.11", "type sit mode ip6ip local 10.0.1.11"),
        (GUE, FOUR, "type ipip local 10.0.1.11", "type sit mode ip6ip local 10.0.1.11"),
        (IPIP, SIX, "type ip6tnl mode any local 2001:db8:2::11", "type ip6tnl mode any local 2001:db8:2::11"),
        (GRE, FOUR, "type gre local 10.0.1.11", "type gre local 10.0.1.11"),
        (SUMMED, FOUR, "type gre local 10.0.1.11 icsum", "type gre local 10.0.1.11 icsum"),
        (GRE, SIX, "type ip6gre local 2001:db8:2::11", "type ip6gre local 2001:db8:2::11"),
    ],
)
def test_devices_to_be_made(tunnel: Encapsulation, end: object, four: str, six: str) -> None:
    """Outside and inside decide on the kind of device; one that takes both families is made once."""
    made = devices(tun(tunnel), server(), end)  # type: ignore[arg-type]
    for version, words in ((4, four), (6, six)):
        (finding,) = made[version].findings
        assert finding.severity is Severity.ERROR
        assert finding.commands[0].endswith(words)
        assert finding.commands[1] == f"ip link set dev {made[version].name} up"
    assert (made[4] == made[6]) == (four == six)


@pytest.mark.parametrize(
    ("tunnel", "end", "bytes_"),
    [
        (IPIP, FOUR, 20),
        (IPIP, SIX, 40),
        (GUE, FOUR, 32),
        (Encapsulation("gue", 6080, "checksum"), FOUR, 32),
        (Encapsulation("gue", 6080, "remote"), SIX, 60),
        (GRE, FOUR, 24),
        (SUMMED, SIX, 48),
    ],
)
def test_overhead(tunnel: Encapsulation, end: object, bytes_: int) -> None:
    """What the wrapping takes, of which the device's MTU is made."""
    assert overhead(tun(tunnel), end) == bytes_  # type: ignore[arg-type]
    (finding,) = devices(tun(tunnel, BOTH[:1]), server(), end)[4].findings  # type: ignore[arg-type]
    assert f" mtu {1500 - bytes_} " in finding.commands[0]


@pytest.mark.parametrize(
    ("link", "tunnel", "fits"),
    [
        (device("tunl0", "ipip"), IPIP, True),
        (device("tunl0", "ipip"), GUE, True),
        (device("t1", "ipip", local="10.0.1.11"), IPIP, True),
        (device("t1", "ipip", local="10.0.1.12"), IPIP, False),
        (device("t1", "ipip", remote="10.0.9.9"), IPIP, False),
        (device("t1", "ipip", remote="10.0.1.1"), IPIP, True),
        (device("t1", "sit"), IPIP, False),
        (device("gre0", "gre"), GRE, True),
        (device("gre0", "gre"), SUMMED, False),
        (device("g1", "gre", checksum=True), SUMMED, True),
        (device("g1", "gre", checksum=True), GRE, False),
    ],
)
def test_devices_that_are_there(link: Link, tunnel: Encapsulation, fits: bool) -> None:
    """One that unwraps the right thing for the right address is taken; the checksum of gre must agree."""
    wanted = tun(tunnel, BOTH[:1], directors=("10.0.1.1",))
    chosen = devices(wanted, server(link), FOUR)[4]
    assert (chosen.name == link.name) == fits
    assert all(finding.ok for finding in chosen.findings) == fits


def test_the_fallback_of_ip6tnl_takes_ipv6_alone() -> None:
    """ip6tnl0 does for IPv6 inside, and not for IPv4."""
    facts = server(device("ip6tnl0", "ip6tnl", payload="ip6ip6"))
    chosen = devices(tun(), facts, SIX)
    assert (chosen[6].name, chosen[4].name) == ("ip6tnl0", "lvsha-ip6tnl")


def test_a_fallback_that_is_down_is_left_alone() -> None:
    """tunl0 comes with the module; brought up it would unwrap for every address, so one is made instead."""
    facts = server(device("tunl0", "ipip", up=False))
    assert devices(tun(vips=BOTH[:1]), facts, FOUR)[4].name == "lvsha-ipip"
    (finding, *_) = devices(tun(vips=BOTH[:1], device="tunl0"), facts, FOUR)[4].findings
    assert finding.commands == ["ip link set dev tunl0 up"]


def test_a_fallback_that_is_missing_comes_with_its_module() -> None:
    """`--device gre0` on a machine that has not loaded it."""
    (finding,) = devices(tun(GRE, BOTH[:1], device="gre0"), server(), FOUR)[4].findings
    assert finding.commands == ["modprobe ip_gre", "ip link set dev gre0 up"]


@pytest.mark.parametrize(
    ("links", "name", "found"),
    [
        ((), "mine", "missing"),
        ((device("mine", "sit"),), "mine", "sit from any to any"),
        ((Link("mine", frozenset(), 1500),), "mine", "no tunnel from any to any"),
        ((), "sit0", "sit"),
    ],
)
def test_a_device_that_will_not_do(links: tuple[Link, ...], name: str, found: str) -> None:
    """Where the named device is not there or is another, only a person can decide."""
    (finding,) = devices(tun(vips=BOTH[:1], device=name), server(*links), FOUR)[4].findings
    assert finding.stops
    assert finding.found == found


def test_a_stranger_by_our_name() -> None:
    """A device that is called like ours and does not fit is not replaced without asking."""
    facts = server(device("lvsha-ipip", "ipip", local="10.0.1.99"))
    (finding,) = devices(tun(vips=BOTH[:1]), facts, FOUR)[4].findings
    assert finding.stops
    assert finding.commands == ["ip link del dev lvsha-ipip"]


def test_an_mtu_that_is_too_large() -> None:
    """It harms nothing that arrives, so it is a warning."""
    facts = server(device("t1", "ipip", mtu=1500))
    mtu = devices(tun(vips=BOTH[:1]), facts, FOUR)[4].findings[1]
    assert (mtu.severity, mtu.commands) == (Severity.WARNING, ["ip link set dev t1 mtu 1480"])


@pytest.mark.parametrize(
    ("fou", "commands"),
    [
        (None, ["modprobe fou", "ip fou add port 6080 gue"]),
        (frozenset(), ["ip fou add port 6080 gue"]),
        (frozenset({(6080, 6, True)}), ["ip fou add port 6080 gue"]),
        (frozenset({(6080, 4, True)}), []),
        (frozenset({(6080, 4, False)}), ["ip fou del port 6080"]),
    ],
)
def test_the_port_of_gue(fou: frozenset[tuple[int, int, bool]] | None, commands: list[str]) -> None:
    """It is opened for the family that packets come in, with the module if need be."""
    (finding,) = port(tun(GUE), server(fou=fou), FOUR)
    assert finding.commands == commands


def test_only_gue_has_a_port() -> None:
    """Nothing is opened for the others."""
    assert list(port(tun(GRE), server(), FOUR)) == []


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, "10.0.1.11"),
        ({"directors": ("2001:db8:2::1",)}, "2001:db8:2::11"),
        ({"directors": ("198.51.100.1",)}, "10.0.1.11"),
        ({"local": "2001:db8:2::11"}, "2001:db8:2::11"),
    ],
)
def test_where_tunnels_end(more: dict[str, object], end: str) -> None:
    """At the address that was named, else in a director's network, else on the way out of its family."""
    assert local(tun(**more), server()) == ip_address(end)


def test_where_tunnels_end_is_not_a_vip() -> None:
    """A service's address on the way out is none of the server's own."""
    facts = server(addresses=(("192.0.2.100/32", "eth0"),))
    facts = replace(facts, addresses=facts.addresses[::-1])
    assert local(tun(), facts) == FOUR


@pytest.mark.parametrize("more", [{"local": "10.0.1.99"}, {"directors": ("192.0.2.1",)}])
def test_an_end_that_is_not_known(more: dict[str, object]) -> None:
    """An address that is not this server's, or no way out: a person must say it."""
    facts = replace(server(), routes=())
    finding = local(tun(**more), facts)
    assert isinstance(finding, Finding)
    assert finding.stops


def test_clients_are_told_what_fits() -> None:
    """A warning, which nftables mends: MTU, less the wrapping, less the headers inside."""
    four, six = mss(tun(GUE), server(nft=True), FOUR)
    assert (four.severity, four.mend) == (Severity.WARNING, (ClampMss(4, "192.0.2.100", 1428),))
    assert six.mend == (ClampMss(6, "2001:db8:1::100", 1408),)


@pytest.mark.parametrize(("size", "well"), [(1440, True), (1400, True), (1441, False)])
def test_an_mss_that_is_small_enough(size: int, well: bool) -> None:
    """Whoever made it so."""
    wanted = tun(vips=("192.0.2.100",))
    facts = replace(server(nft=True), clamps=frozenset({(ip_address("192.0.2.100"), size)}))
    assert [finding.ok for finding in mss(wanted, facts, FOUR)] == [well]


def test_no_nftables() -> None:
    """Then a person is told what iptables would do, which is seen when it is done."""
    wanted = tun(vips=("192.0.2.101", "192.0.2.100"))
    (finding,) = mss(wanted, server(nft=False), FOUR)
    assert (finding.severity, finding.mend) == (Severity.WARNING, ())
    (command,) = finding.commands
    assert command == (
        "iptables -t mangle -A OUTPUT -p tcp -s 192.0.2.100,192.0.2.101 --tcp-flags SYN,RST SYN "
        "-j TCPMSS --set-mss 1440"
    )


def test_rules_that_cannot_be_seen() -> None:
    """Who is not root is told of no rules, so nothing is said of them."""
    assert list(mss(tun(), server(), FOUR)) == []
