"""From what a server must be ready for and what it is like to findings, good ones too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checks.audit import sysctls, tunnels
from checks.audit.facts import ALL, Facts, Held
from checks.audit.finding import Finding, Severity, stop
from checks.audit.preparation import Address, Preparation
from checks.audit.steps import AddAddress, SetUp, sysctl


def examine(wanted: Preparation, facts: Facts) -> tuple[Finding, ...]:
    """Everything that was looked at, in the order in which it would be set right."""
    found = list(_tunnels(wanted, facts)) if wanted.mode == "tun" else list(_loopback(wanted, facts))
    return (*found, *_neighbours(wanted, facts), *_ways(wanted, facts))


def _loopback(wanted: Preparation, facts: Facts) -> Iterator[Finding]:
    """Direct routing: the addresses are on lo."""
    yield from sysctls.arp(wanted, facts)
    yield from _entry(wanted, facts)
    if not facts.links["lo"].up:
        why = "an address on a device that is down is none"
        yield Finding("device lo", "down", "up", Severity.ERROR, why, (SetUp("lo"),))
    moving = _is_director(wanted, facts)
    for vip in wanted.addresses:
        yield _address(facts, vip, "lo", moving=moving)


def _is_director(wanted: Preparation, facts: Facts) -> bool:
    return any(held.address.ip in wanted.routers for held in facts.addresses)


def _tunnels(wanted: Preparation, facts: Facts) -> Iterator[Finding]:
    """Tunnels: the addresses are on the device that unwraps."""
    end = tunnels.local(wanted, facts)
    if isinstance(end, Finding):
        yield end
        yield from sysctls.arp(wanted, facts)
        return
    yield from tunnels.port(wanted, facts, end)
    devices = tunnels.devices(wanted, facts, end)
    yield from dict.fromkeys(f for device in devices.values() for f in device.findings)
    yield from tunnels.mss(wanted, facts, end)
    yield from sysctls.arp(wanted, facts)
    if 4 in devices:
        yield sysctls.reverse_path(
            facts, devices[4].name, addressed=_addressed(wanted, facts, devices[4].name)
        )
    for vip in wanted.addresses:
        yield _address(facts, vip, devices[vip.version].name)


def _addressed(wanted: Preparation, facts: Facts, device: str) -> bool:
    """Whether the device has an IPv4 address, or is about to get one."""
    there = any(held.device == device and held.address.version == 4 for held in facts.addresses)
    return there or any(not facts.holders(vip) for vip in wanted.of(4))


def _address(facts: Facts, vip: Address, device: str, *, moving: bool = False) -> Finding:
    """A service's address is here, alone, and where nobody asks for it.

    With `moving` the server is a director too: on a real interface it is while it is master.
    """
    setting, needed = f"address {vip}", f"on {device}"
    if vip.version == 6 and (off := _ipv6_off(facts, device)):
        advice = f"sysctl -w {off}=0" if off else ""
        return stop(f"IPv6 on {device}", "off", "on", "it can hold no IPv6 address", advice)
    holders = [held for held in facts.holders(vip) if not (moving and _loud(facts, held))]
    for held in holders:
        if (wrong := _misplaced(facts, held, needed)) is not None:
            return wrong
    if holders:
        return Finding(setting, f"on {holders[0].device}", needed)
    why = "what is sent to it is not for this server"
    return Finding(setting, "on no interface", needed, Severity.ERROR, why, (AddAddress(str(vip), device),))


def _misplaced(facts: Facts, held: Held, needed: str) -> Finding | None:
    vip, device = held.address.ip, held.device
    setting, advice = f"address {vip}", f"ip address del {held.address} dev {device}"
    if _loud(facts, held):
        asks = "ARP" if vip.version == 4 else "neighbour discovery"
        why = f"whoever asks for it by {asks} on {device} is told that this server has it"
        # With the prefix of a network it may well be the server's own, and the service's another.
        own = held.address.network.num_addresses > 1
        doubt = "is it the service's, and not the server's own? then: " if own else ""
        if held.leased:
            doubt = "is this a director as well? then name it: --director ADDRESS; if not: "
        return stop(setting, f"on {device}, a real interface", needed, why, f"{doubt}{advice}")
    if held.address.network.num_addresses > 1:
        why = f"the server takes all of {held.address.network} for its own"
        return stop(setting, f"{held.address} on {device}", f"/{vip.max_prefixlen}", why, advice)
    return None


def _loud(facts: Facts, held: Held) -> bool:
    link = facts.links.get(held.device)
    return link is not None and not link.silent


def _ipv6_off(facts: Facts, device: str) -> str:
    """The setting that keeps IPv6 off the device; empty when it is on."""
    default = facts.ipv6.get("default")
    conf = facts.ipv6.get(device, default)
    if conf is None:
        return "net.ipv6.conf.all.disable_ipv6"
    return sysctl(6, device, "disable_ipv6") if conf.disable_ipv6 else ""


def _neighbours(wanted: Preparation, facts: Facts) -> Iterator[Finding]:
    """IPv6 needs no setting: neighbour discovery answers only for addresses of the interface that was asked
    on, and names no other as its own (ndisc_recv_ns() and ndisc_solicit() in net/ipv6/ndisc.c), unless the
    server was told to answer for somebody else.
    """
    for vip in wanted.of(6):
        setting, needed = f"neighbour discovery of {vip}", "no answer"
        doing = [device for address, device in sorted(facts.proxies, key=str) if address == vip]
        answering = [device for device in doing if _answers(facts, device)]
        if not answering:
            yield Finding(setting, "no answer", needed)
        for device in answering:
            why = f"a proxy entry on {device} has the server answer and steal it"
            advice = f"ip -6 neighbour del proxy {vip} dev {device}"
            yield stop(setting, f"answered on {device}", needed, why, advice)


def _answers(facts: Facts, device: str) -> bool:
    every, own = facts.ipv6.get(ALL), facts.ipv6.get(device)
    if every is None or own is None:
        return False
    return bool(own.forwarding and (every.proxy_ndp or own.proxy_ndp))


def _ways(wanted: Preparation, facts: Facts) -> Iterator[Finding]:
    """The way back to the clients does not lead over a director."""
    for route in facts.routes:
        if wanted.of(route.via.version):
            setting = f"default route (IPv{route.via.version})"
            found, needed = f"via {route.via}", "not a director"
            if route.via in wanted.routers:
                why = "the director drops an answer that comes back to it: its source is the director's own"
                yield Finding(
                    setting, found, needed, Severity.ERROR, why, advice="ip route replace default via ROUTER"
                )
            else:
                yield Finding(setting, found, needed)


def _entry(wanted: Preparation, facts: Facts) -> Iterator[Finding]:
    """Direct routing: where a director's packets come in, a strict rp_filter wants the way out to be."""
    ways = {route.device for route in facts.routes if route.via.version == 4}
    for name in _entries(wanted, facts):
        if not wanted.of(4) or not ways or name in ways or name not in facts.ipv4:
            continue
        mend = sysctls.settle(facts, name, "rp_filter", (0, 2), 2, alone=True)
        why = f"requests come in by {name} and are dropped, for the way out is {', '.join(sorted(ways))}"
        found = sysctls.finding(facts, name, "rp_filter", "0 or 2", mend, why)
        yield found if found.ok else replace(found, severity=Severity.WARNING)


def _entries(wanted: Preparation, facts: Facts) -> list[str]:
    """The interfaces that share a network with a director."""
    loud = {link.name for link in facts.loud()}
    return sorted(
        {
            held.device
            for held in facts.addresses
            if held.device in loud and any(router in held.address.network for router in wanted.routers)
        }
    )
