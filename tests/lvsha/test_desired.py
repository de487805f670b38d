"""Tests of lvsha.desired: where each server belongs, by what is known of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

from lvsha.config import Config, IpvsConfig, Passage, ServiceConfig, SyncConfig, VipConfig, VrrpConfig
from lvsha.desired import Knowledge, Target, desired, desired_services, place, target_of, targets
from lvsha.health import Health, State
from lvsha.model import Family, FwmarkKey, Method, Server, ServerKey, SyncRole, Unaccepted
from lvsha.overrides import Kind, Override, Overrides, Selector
from tests.lab.services import CHECK, config, server, service

UP, DOWN = Health(State.UP), Health(State.DOWN)
WEB = service(server(1), server(2), server(3))


def known(*health: Health | None, overrides: Overrides = Overrides(), **more: object) -> Knowledge:
    """What is known of rs1, rs2, ...; None: no result yet."""
    verdicts = {target_of(server(n)): h for n, h in enumerate(health, 1) if h is not None}
    return replace(Knowledge({t: h for t, h in verdicts.items() if t}, overrides), **more)  # type: ignore[arg-type]


def said(kind: Kind, name: str, weight: int | None = None) -> Overrides:
    """One override on one server."""
    return Overrides().put(Override(Selector(server=name), kind, weight))


def weights(service: ServiceConfig, knowledge: Knowledge) -> list[int | None]:
    """The weights that the servers of a service should have, None for out of the table."""
    return [p.weight for p in place(service.name, service, knowledge)]


def test_servers_that_are_up_have_their_configured_weight() -> None:
    """The plain case: everything is healthy and nobody said anything."""
    assert weights(WEB, known(UP, UP, UP)) == [10, 10, 10]


def test_a_server_without_a_check_is_always_in_service() -> None:
    """No check means trust."""
    web = replace(WEB, servers=(server(1, check=None),))
    assert weights(web, known()) == [10]


def test_a_new_server_waits_for_its_first_success() -> None:
    """A server that is in no table gets no traffic before it has answered once."""
    assert weights(WEB, known(UP, None, None)) == [10, None, None]


def test_a_server_found_in_the_table_stays_until_its_first_verdict() -> None:
    """A restart of the daemon takes no server out, and its weight is what it was found with or configured."""
    adopted = {(WEB.key, server(1).key): 3, (WEB.key, server(2).key): 0}
    assert weights(WEB, known(None, None, None, adopted=adopted)) == [10, 0, None]
    assert weights(WEB, known(DOWN, UP, None, adopted=adopted)) == [None, 10, None]


def test_a_server_that_is_down_leaves_or_is_quiesced() -> None:
    """`on_failure` decides whether established connections go on."""
    assert weights(WEB, known(UP, DOWN, UP)) == [10, None, 10]
    assert weights(replace(WEB, on_failure="quiesce"), known(UP, DOWN, UP)) == [10, 0, 10]


def test_a_drained_server_has_weight_zero() -> None:
    """Draining keeps the server in the table, so its connections go on."""
    assert weights(WEB, known(UP, UP, UP, overrides=said(Kind.DRAIN, "rs3"))) == [10, 10, 0]


def test_a_disabled_server_is_out_whatever_its_health() -> None:
    """Disabling is stronger than any verdict."""
    assert weights(WEB, known(UP, UP, UP, overrides=said(Kind.DISABLE, "rs3"))) == [10, 10, None]


def test_a_weight_set_by_hand_holds_while_the_server_is_up() -> None:
    """A weight by hand does not put a dead server back."""
    overrides = said(Kind.WEIGHT, "rs3", 42)
    assert weights(WEB, known(UP, UP, UP, overrides=overrides)) == [10, 10, 42]
    assert weights(WEB, known(UP, UP, DOWN, overrides=overrides)) == [10, 10, None]


def test_the_floor_believes_in_servers_that_are_down() -> None:
    """Rather than serve from fewer than the floor, servers that are down are kept."""
    web = replace(WEB, floor=2)
    assert weights(web, known(UP, DOWN, DOWN)) == [10, 10, None]
    assert weights(web, known(DOWN, DOWN, DOWN)) == [10, 10, None]
    assert weights(web, known(UP, UP, DOWN)) == [10, 10, None]


def test_the_floor_respects_what_was_said_by_hand() -> None:
    """A server that an operator drained is not pressed into service."""
    web = replace(WEB, floor=3)
    assert weights(web, known(UP, UP, UP, overrides=said(Kind.DRAIN, "rs1"))) == [0, 10, 10]


def test_a_server_that_was_never_seen_alive_is_not_raised_to_the_floor() -> None:
    """The floor is for servers that failed, not for those nobody has reached yet."""
    assert weights(replace(WEB, floor=3), known(UP, None, DOWN)) == [10, None, 10]


def test_fallbacks_serve_only_while_nobody_else_does() -> None:
    """A fallback steps in when the last server is gone and steps back when one returns."""
    web = replace(WEB, fallback=(server(9, check=None),))
    assert weights(web, known(UP, DOWN, DOWN)) == [10, None, None, None]
    assert weights(web, known(DOWN, DOWN, DOWN)) == [None, None, None, 10]


def test_fallbacks_wait_for_the_first_verdicts() -> None:
    """At a start nobody serves yet; that is no reason to show the sorry page."""
    web = replace(WEB, fallback=(server(9, check=None),))
    assert weights(web, known(None, DOWN, DOWN)) == [None, None, None, None]


def test_a_fallback_that_serves_goes_on_until_the_verdicts_are_in() -> None:
    """A restart, or a new server, while only fallbacks serve takes the sorry page from nobody."""
    web = replace(WEB, fallback=(server(9, check=None), server(8, check=None)))
    adopted = {(WEB.key, server(9).key): 10}
    assert weights(web, known(None, DOWN, DOWN, adopted=adopted)) == [None, None, None, 10, None]
    assert weights(web, known(UP, None, None, adopted=adopted)) == [10, None, None, None, None]
    assert weights(web, known(DOWN, DOWN, DOWN, adopted=adopted)) == [None, None, None, 10, 10]


def test_the_floor_uses_the_weight_set_by_hand() -> None:
    """Weights for every server must not switch the floor off when the checks break."""
    web = replace(WEB, floor=2)
    overrides = said(Kind.WEIGHT, "rs1", 42)
    assert weights(web, known(DOWN, DOWN, DOWN, overrides=overrides)) == [42, 10, None]
    overrides = said(Kind.WEIGHT, "rs1", 0)
    assert weights(web, known(DOWN, DOWN, DOWN, overrides=overrides)) == [None, 10, 10]


def test_identical_checks_of_one_target_are_shared() -> None:
    """A server in two services is probed once for each different check, not for each service."""
    other = replace(WEB, name="other", port=81)
    assert len(targets(config(WEB, other))) == 3
    slower = replace(other, servers=(server(1, check=replace(CHECK, interval=9.0)),))
    assert len(targets(config(WEB, slower))) == 4


def test_a_check_may_look_elsewhere() -> None:
    """Port and address of a check replace the server's."""
    check = replace(CHECK, port=81, address=ip_address("10.9.9.9"))
    assert target_of(server(1, check=check)) == Target(check, ip_address("10.9.9.9"), 81)


def test_desired_holds_every_service_by_its_key() -> None:
    """Services, settings and servers appear as the kernel takes them."""
    wish = desired(config(WEB), known(UP, DOWN, UP))
    assert list(wish.services) == [WEB.key]
    assert wish.services[WEB.key].service == WEB.service
    assert list(wish.services[WEB.key].servers) == [server(1).key, server(3).key]


def test_a_part_of_desired_is_the_same_part() -> None:
    """Looking at one service comes to the same as looking at all of them."""
    other = replace(WEB, name="other", port=81)
    both = config(WEB, other)
    knowledge = known(UP, DOWN, UP)
    part = desired_services(both, knowledge, {other.key})
    assert part == {other.key: desired(both, knowledge).services[other.key]}


def test_what_nobody_owns_may_go_where_the_configuration_says_so() -> None:
    """`unknown_services = "remove"` gives leave to remove what somebody else added."""
    sweeping = replace(config(WEB), ipvs=IpvsConfig(unknown_services="remove"))
    assert [desired(c, known()).sweep for c in (config(WEB), sweeping)] == [False, True]


def test_both_sync_roles_run_all_the_time() -> None:
    """The sync daemon's roles do not depend on who is master."""
    wish = desired(replace(config(WEB), sync=SyncConfig("eth1", 7)), known())
    assert wish.sync is not None
    assert {d.role for d in wish.sync} == set(SyncRole)
    assert desired(config(WEB), known()).sync is None


VIP = ip_address("192.0.2.100")
WAY = Passage(
    0x6C760001, Family.IPV4, VIP, 80, ServerKey(server(1).address, 8080), Server(Method.MASQUERADE, 1)
)


def test_a_passage_is_what_is_probed() -> None:
    """With the clients' way the service's address and port are asked, not the server's."""
    found = target_of(replace(server(1), passage=WAY))
    assert found is not None
    assert (found.address, found.port, found.passage) == (VIP, 80, WAY)


def test_a_passage_is_wanted_whatever_is_thought_of_its_server() -> None:
    """A server that is down keeps the way by which it is judged, or it could never come back."""
    down = replace(server(1), passage=WAY)
    cfg = config(service(down))
    known = Knowledge({t: Health(State.DOWN) for t in targets(cfg)})
    wanted = desired(cfg, known).services
    assert wanted[WAY.service].servers == {WAY.key: WAY.server}
    (own,) = (key for key in wanted if key != WAY.service)
    assert wanted[own].servers == {}


def test_a_look_at_one_passage_finds_it() -> None:
    """A part of the wish holds the passages that are asked for, and no others."""
    cfg = config(service(replace(server(1), passage=WAY)))
    assert list(desired_services(cfg, Knowledge({}), [WAY.service])) == [WAY.service]
    assert desired_services(cfg, Knowledge({}), [FwmarkKey(Family.IPV4, 9)]) == {}


def pure(**settings: Any) -> Config:
    """One instance of version 3 over IPv6, and no service."""
    link_local, other = (VipConfig(ip_interface(a), "eth0") for a in ("fe80::1/64", "2001:db8::1/64"))
    excluded = (
        VipConfig(ip_interface("192.0.2.9/24"), "eth1"),
        VipConfig(ip_interface("fe80::2/64"), "eth1"),
    )
    vrrp = VrrpConfig("v", "eth0", 51, 3, Family.IPV6, 100, 1.0, (link_local, other), excluded)
    return replace(config(), vrrp={"v": replace(vrrp, **settings)})


def test_packets_to_addresses_of_vrrp_are_taken_unless_it_says_otherwise() -> None:
    """With accept = false to none that the instance holds, but an owner's packets are its own."""
    assert desired(pure(), known()).unaccepted == frozenset()
    addresses = {entry.address for entry in desired(pure(accept=False), known()).unaccepted or ()}
    assert addresses == {ip_address(a) for a in ("fe80::1", "2001:db8::1", "192.0.2.9", "fe80::2")}
    assert desired(pure(accept=False, priority=255), known()).unaccepted == frozenset()


def test_a_link_local_address_is_one_on_the_interface_that_it_is_on() -> None:
    """Which is that of the virtual MAC where there is one, but not for an address on another interface."""
    plain = desired(pure(accept=False), known()).unaccepted or frozenset()
    assert {(str(e.address), e.interface) for e in plain if e.interface} == {
        ("fe80::1", "eth0"),
        ("fe80::2", "eth1"),
    }
    virtual = desired(pure(accept=False, virtual_mac=True), known()).unaccepted or frozenset()
    assert virtual - plain == {Unaccepted(ip_address("fe80::1"), "vrrp6.51")}
