"""ARP and reverse path: settings of which the kernel takes the larger of two.

For arp_ignore, arp_announce and rp_filter the value that counts on an interface is the larger one of
net.ipv4.conf.all and net.ipv4.conf.INTERFACE (IN_DEV_MAXCONF in include/linux/inetdevice.h). So a right
value under `all` is enough for every interface but one that has a larger and wrong value of its own, and
a strict rp_filter under `all` can be softened for one device by a larger value there, while for every
other it stays as strict as it was.

arp_ignore (arp_ignore() in net/ipv4/arp.c): 0 answers for every address of the server, whatever interface
it is on; 1 only for those of the interface that was asked on; 2 also looks where the question comes from;
3 answers for all but those of scope host; 8 for none.

arp_announce (arp_solicit()): 2 never names a service's address as the sender of the server's own questions;
0 does, and so does 1 where the one asked for is in the same network. Whoever hears such a question takes
the server for the owner of the address.

rp_filter (__fib_validate_source() in net/ipv4/fib_frontend.c): what a tunnel unwraps comes from clients,
and the way back to them does not lead into the tunnel. 1 drops all of it. 2 asks only that there is a way
back at all, but drops like 1 on a device without an address.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace

from checks.audit.facts import ALL, Facts, Link
from checks.audit.finding import Finding, Severity, stop
from checks.audit.preparation import Preparation
from checks.audit.steps import SetSysctl, sysctl

_ARP = (
    ("arp_ignore", (1, 2, 8), 1, "asked by ARP for a service's address, the server answers and steals it"),
    ("arp_announce", (2,), 2, "the server's own ARP questions name a service's address, and steal it"),
)
DEFAULT = "default"
"""What an interface begins with that is yet to be made."""


def arp(wanted: Preparation, facts: Facts) -> Iterator[Finding]:
    """Keeping still about the services' IPv4 addresses, interface by interface."""
    if not wanted.of(4):
        return
    for name in wanted.interfaces:
        if name not in facts.links:
            there = ", ".join(link.name for link in facts.loud()) or "none"
            yield stop(f"interface {name}", "missing", "there", "it was named", f"interfaces here: {there}")
    for link in sorted(facts.loud(), key=lambda link: not link.up):
        if link.name in facts.ipv4 and (not wanted.interfaces or link.name in wanted.interfaces):
            yield from _still(wanted, facts, link)


def _still(wanted: Preparation, facts: Facts, link: Link) -> Iterator[Finding]:
    for setting, good, want, why in _ARP:
        mend = settle(facts, link.name, setting, good, want, alone=bool(wanted.interfaces))
        found = finding(facts, link.name, setting, str(want), mend, why)
        if found.ok or link.up:
            yield found
        else:
            # Nobody asks there as long as it is down.
            yield replace(found, severity=Severity.WARNING, why=f"once {link.name} is up: {why}")


def reverse_path(facts: Facts, device: str, *, addressed: bool) -> Finding:
    """A tunnel device lets in what comes from clients. `addressed`: it has an IPv4 address, or will have."""
    good = (0, 2) if addressed else (0,)
    mend = settle(facts, device, "rp_filter", good, 0, alone=True)
    why = "what the tunnel unwraps is dropped, for the way back to a client does not lead into the tunnel"
    return finding(facts, device, "rp_filter", " or ".join(map(str, good)), mend, why)


def settle(
    facts: Facts, interface: str, setting: str, good: Container[int], want: int, *, alone: bool
) -> tuple[SetSysctl, ...]:
    """The least that makes the value that counts on an interface a good one.

    `alone`: leave `all` as it is, if that will do.
    """
    every, own = _values(facts, interface, setting)
    if max(every, own) in good:
        return ()
    if alone and max(every, want) in good:
        return (_set(interface, setting, own, want),)
    if alone and max(every, 2) in good and setting == "rp_filter":
        return (_set(interface, setting, own, 2),)
    lowered = (_set(interface, setting, own, want),) if own > want else ()
    return (_set(ALL, setting, every, want), *lowered) if every != want else lowered


def finding(
    facts: Facts, interface: str, setting: str, needed: str, mend: tuple[SetSysctl, ...], why: str
) -> Finding:
    """What counts on an interface, and where it comes from."""
    every, own = _values(facts, interface, setting)
    found = f"{max(every, own)} (all {every}, {interface} {own}: the larger one counts)"
    name = sysctl(4, interface, setting)
    if not mend:
        return Finding(name, found, needed)
    return Finding(name, found, needed, Severity.ERROR, why, mend)


def _values(facts: Facts, interface: str, setting: str) -> tuple[int, int]:
    own = facts.ipv4.get(interface, facts.ipv4[DEFAULT])
    return getattr(facts.ipv4[ALL], setting), getattr(own, setting)


def _set(interface: str, setting: str, before: int, value: int) -> SetSysctl:
    return SetSysctl(interface, setting, value, before)
