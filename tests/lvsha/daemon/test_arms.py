"""Tests of lvsha.daemon.arms: what modes nat and fullnat need of single interfaces."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.config import Config
from lvsha.daemon import arms
from lvsha.daemon.ledger import LINGER
from lvsha.daemon.memory import Memory
from lvsha.daemon.settings import Settings
from lvsha.kernel.addresses import Held
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Way
from lvsha.model import Family, Mode
from tests.lab.facts import BACK, FRONT, facts, held, pair
from tests.lab.network import Network
from tests.lab.services import config, server, service

WEB = service(server(1), server(2))
REDIRECTS = {"net/ipv4/conf/all/send_redirects": 0, "net/ipv4/conf/front/send_redirects": 0}


def way(index: int) -> Way:
    """A server on a link."""
    return Way(index, None, None, 0, local=False)


def needed(cfg: Config, by: Way | Refusal, *vip: Held) -> dict[str, int]:
    """What interfaces need when every server is reached so."""
    some = arms.samples(cfg)
    ways = {address: by for asked in some.values() for address in asked}
    return dict(arms.needed(cfg, some, replace(facts(cfg), ways=ways, held=vip)))


def test_answers_are_forwarded_where_they_come_in() -> None:
    """The servers' interface has to; the clients' need not, for the service's address is this machine's."""
    for mode in (Mode.NAT, Mode.FULLNAT):
        cfg = config(replace(WEB, servers=tuple(replace(s, mode=mode) for s in WEB.servers)))
        assert needed(pair(cfg), way(BACK)) == {"net/ipv4/conf/back/forwarding": 1}


def test_one_arm_sends_no_redirects() -> None:
    """The service's address is by VRRP, or is there, where its servers are."""
    both = {"net/ipv4/conf/front/forwarding": 1, **REDIRECTS}
    assert needed(pair(config(WEB)), way(FRONT)) == both
    assert needed(config(WEB), way(FRONT), held("192.0.2.100/32", FRONT)) == both


def test_what_is_not_certain_is_left_alone() -> None:
    """An address that is not here, none at all, no way to a server, a server that is this machine."""
    assert needed(config(WEB), way(FRONT)) == {"net/ipv4/conf/front/forwarding": 1}
    marked = config(replace(WEB, address=None, fwmark=7))
    assert needed(marked, way(FRONT)) == {"net/ipv4/conf/front/forwarding": 1}
    assert needed(pair(config(WEB)), Refusal(errno.ENETUNREACH)) == {}
    assert needed(pair(config(WEB)), replace(way(FRONT), local=True)) == {}


def test_other_modes_and_ipv6_need_nothing_of_interfaces() -> None:
    """And nothing is asked for them."""
    routed = replace(WEB, mode=Mode.DR, servers=(replace(server(1), mode=Mode.DR),))
    assert arms.samples(config(routed)) == {}
    assert arms.samples(config(replace(WEB, family=Family.IPV6))) == {}


def test_one_server_of_each_network_is_asked_for() -> None:
    """A thousand servers are not a thousand questions every half minute."""
    far = replace(server(3), address=ip_address("10.0.1.3"))
    (asked,) = arms.samples(config(service(*(server(n) for n in range(1, 200)), far))).values()
    assert {str(address).rsplit(".", 1)[0] for address in asked} == {"10.0.0", "10.0.1"}
    assert len(asked) == 2


@pytest.mark.net
async def test_what_is_needed_is_set_and_goes_back(tmp_path: Path) -> None:
    """On real interfaces: one arm, then two."""
    net = Network()
    net.segment("front", "10.0.0.0/24", "2001:db8:1::/64")
    net.node("lb1", front=254)
    cfg, now = pair(config(WEB)), [0.0]
    names = ("all.send_redirects", "front.send_redirects", "front.forwarding")
    with net:
        lb1 = net["lb1"]

        def values() -> list[str]:
            return [lb1.sysctl(f"net.ipv4.conf.{name}") for name in names]

        for name, value in zip(names, (1, 1, 0), strict=True):
            lb1.sysctl("net.ipv4.ip_forward", 1)
            lb1.sysctl(f"net.ipv4.conf.{name}", value)
        lb1.sysctl("net.ipv4.conf.front.forwarding", 0)
        with lb1.entered():
            settings = Settings(Memory(tmp_path), clock=lambda: now[0])
            settings.arms = await arms.see(cfg)
            settings.apply(cfg)
            assert values() == ["0", "0", "1"]
            settings.arms = {}
            for now[0] in (LINGER, 2 * LINGER):
                settings.apply(cfg)
        assert values() == ["1", "1", "0"]


async def test_nothing_is_asked_for_nothing() -> None:
    """A configuration without NAT costs no question."""
    assert await arms.see(config()) == {}
