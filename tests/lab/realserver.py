"""A real server as values: facts to begin with, and a machine on which steps have their effect.

The machine behaves as the kernel does where it matters: what is there already is refused, a device takes
its addresses and settings along when it goes.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

from checks.audit.facts import Conf4, Conf6, Facts, Held, Link, Route
from checks.audit.steps import (
    AddAddress,
    AddFou,
    AddLink,
    ClampMss,
    LoadModule,
    SetMtu,
    SetSysctl,
    SetUp,
    Step,
)

ETHERNET = frozenset({"BROADCAST", "MULTICAST", "UP", "LOWER_UP"})
QUIET = frozenset({"NOARP"})
NAMES = ("all", "default", "lo", "eth0")


def server(
    *links: Link,
    conf: dict[str, Conf4] | None = None,
    ipv6: bool = True,
    addresses: tuple[tuple[str, str], ...] = (),
    fou: frozenset[tuple[int, int, bool]] | None = None,
    proxies: frozenset[tuple[str, str]] = frozenset(),
    forwarding: int = 0,
    proxy_ndp: int = 0,
    nft: bool | None = None,
) -> Facts:
    """A server at 10.0.1.11 and 2001:db8:2::11 on eth0, with more links and addresses (address, device)."""
    there = (Link("lo", frozenset({"LOOPBACK", "UP"}), 65536), Link("eth0", ETHERNET, 1500), *links)
    own = (
        Held(ip_interface("127.0.0.1/8"), "lo", "host"),
        Held(ip_interface("10.0.1.11/24"), "eth0", "global"),
        Held(ip_interface("2001:db8:2::11/64"), "eth0", "global"),
    )
    names = (*NAMES, *(link.name for link in links))
    return Facts(
        links={link.name: link for link in there},
        addresses=(*own, *(Held(ip_interface(a), d, "global") for a, d in addresses)),
        ipv4=dict.fromkeys(names, Conf4(0, 0, 0)) | (conf or {}),
        ipv6=dict.fromkeys(names, Conf6(0, forwarding, proxy_ndp)) if ipv6 else {},
        routes=(
            Route(ip_address("10.0.1.254"), "eth0"),
            Route(ip_address("2001:db8:2::fe"), "eth0"),
        ),
        fou=fou,
        proxies=frozenset((ip_address(address), device) for address, device in proxies),
        nft=nft,
        kernel="6.1.0",
    )


def device(
    name: str, kind: str, *, up: bool = True, local: str = "", remote: str = "", **more: object
) -> Link:
    """A tunnel device."""
    flags = QUIET | {"UP"} if up else QUIET
    ends = {"local": ip_address(local) if local else None, "remote": ip_address(remote) if remote else None}
    return replace(Link(name, flags, 1400, kind, **ends), **more)  # type: ignore[arg-type]


def after(facts: Facts, *steps: Step) -> Facts:
    """The server after these steps. Raises AssertionError where the kernel would refuse one."""
    for step in steps:
        facts = _after(facts, step)
    return facts


def undone(facts: Facts, *steps: Step) -> Facts:
    """The server after these steps were taken back, in this order."""
    for step in steps:
        facts = _undone(facts, step)
    return facts


def _after(facts: Facts, step: Step) -> Facts:
    match step:
        case LoadModule("fou"):
            return replace(facts, fou=facts.fou or frozenset())
        case LoadModule():
            return facts
        case AddFou(port, version):
            assert facts.fou is not None
            assert (port, version, True) not in facts.fou
            return replace(facts, fou=facts.fou | {(port, version, True)})
        case AddLink(name, kind, local, mtu, checksum):
            assert name not in facts.links
            payload = {"ip6tnl": "any", "sit": "ip6ip"}.get(kind, "")
            link = Link(name, QUIET, mtu, kind, ip_address(local), None, checksum, payload)
            return replace(
                facts,
                links={**facts.links, name: link},
                ipv4={**facts.ipv4, name: facts.ipv4["default"]},
                ipv6={**facts.ipv6, name: facts.ipv6["default"]} if facts.ipv6 else {},
            )
        case ClampMss(version, addresses, mss):
            # The table is made anew, so what it did before is over.
            others = {clamp for clamp in facts.clamps if clamp[0].version != version}
            new = {(ip_address(address), mss) for address in addresses.split(", ")}
            return replace(facts, clamps=frozenset(others | new))
        case SetUp(name):
            return _link(facts, name, flags=facts.links[name].flags | {"UP"})
        case SetMtu(name, mtu):
            return _link(facts, name, mtu=mtu)
        case SetSysctl(interface, setting, value):
            return _conf(facts, interface, setting, value)
        case AddAddress(address, name):
            held = Held(ip_interface(address), name, "host")
            assert name in facts.links
            assert held not in facts.addresses
            return replace(facts, addresses=(*facts.addresses, held))


def _undone(facts: Facts, step: Step) -> Facts:
    match step:
        case LoadModule():
            return facts
        case AddFou(port, version):
            assert facts.fou
            return replace(facts, fou=facts.fou - {(port, version, True)})
        case AddLink(name):
            return replace(
                facts,
                links={n: v for n, v in facts.links.items() if n != name},
                ipv4={n: v for n, v in facts.ipv4.items() if n != name},
                ipv6={n: v for n, v in facts.ipv6.items() if n != name},
                addresses=tuple(h for h in facts.addresses if h.device != name),
            )
        case ClampMss(version):
            assert any(address.version == version for address, _ in facts.clamps)
            others = {clamp for clamp in facts.clamps if clamp[0].version != version}
            return replace(facts, clamps=frozenset(others))
        case SetUp(name):
            return _link(facts, name, flags=facts.links[name].flags - {"UP"})
        case SetMtu(name):
            return _link(facts, name, mtu=step.before)
        case SetSysctl(interface, setting):
            return _conf(facts, interface, setting, step.before)
        case AddAddress(address, name):
            left = tuple(h for h in facts.addresses if (h.address, h.device) != (ip_interface(address), name))
            assert len(left) < len(facts.addresses)
            return replace(facts, addresses=left)


def _link(facts: Facts, name: str, **changes: object) -> Facts:
    changed = replace(facts.links[name], **changes)  # type: ignore[arg-type]
    return replace(facts, links={**facts.links, name: changed})


def _conf(facts: Facts, interface: str, setting: str, value: int) -> Facts:
    changed = replace(facts.ipv4[interface], **{setting: value})
    return replace(facts, ipv4={**facts.ipv4, interface: changed})
