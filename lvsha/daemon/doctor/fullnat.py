"""Mode fullnat: connection tracking has room and tells, and the source NAT and its addresses are there.

That the local addresses move with the service's is a rule of the configuration; the settings that
connection tracking needs are looked at with all others.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon.doctor.facts import Facts, holder_of
from lvsha.daemon.doctor.finding import error, info, listed, ok, warning
from lvsha.desired import source_nats
from lvsha.model import Address
from lvsha.speaker.messages import State

MAX = "net.netfilter.nf_conntrack_max"
COUNT = "net.netfilter.nf_conntrack_count"
EVENTS = "net.netfilter.nf_conntrack_events"
SETTINGS = (MAX, COUNT, EVENTS)
PORTS = 64_500
"""Connections that one local address carries to one server's port."""
_FULL = 0.8


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about mode fullnat."""
    entries = source_nats(config)
    if not entries:
        return
    yield from _rules(facts)
    yield from _tracking(facts)
    if config.vrrp and config.sync is not None:
        yield from _collisions(config, facts)
    for service in config.services.values():
        if service.source_nat is not None:
            yield from _pool(f"service {service.name}", service.local_addresses, config, facts)


def _rules(facts: Facts) -> Iterator[FindingView]:
    state = facts.observed.source_nat
    if state is None:
        return
    if state.altered:
        yield error("source NAT", f"is not as it should be: {state.altered}", "lvsha-cli look")
    else:
        yield ok("source NAT", f"is in place for {listed(e.service for e in state.entries)}")


def _tracking(facts: Facts) -> Iterator[FindingView]:
    most, count = facts.number(MAX), facts.number(COUNT)
    if most is not None and count is not None:
        if count > _FULL * most:
            words = f"{count} of {most} entries are in use: when it is full, new connections are dropped"
            yield warning(MAX, words, f"sysctl -w {MAX}={4 * most}")
        else:
            yield ok(MAX, f"{count} of {most} entries are in use")


def _collisions(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Whether directors tell each other whose port was changed; see `lvsha.daemon.collisions`."""
    lost = "connections that are given another port than their client's do not outlive a failover"
    if config.peer is None:
        yield info("source NAT", f"{lost}: directors tell each other of them over [peer]")
    elif facts.number(EVENTS) == 0:
        yield warning(EVENTS, f"is 0: {lost}, for nobody hears of them", f"sysctl -w {EVENTS}=1")
    else:
        yield ok("source NAT", "connections that are given another port are told to the other director")


def _pool(
    subject: str, addresses: tuple[Address, ...], config: Config, facts: Facts
) -> Iterator[FindingView]:
    gone = [a for a in addresses if _missing(a, config, facts)]
    if gone:
        words = f"servers answer to local addresses that no interface here has: {listed(gone)}"
        yield error(subject, words, "lvsha-cli vrrp")
        return
    many = len(addresses)
    noun = "address carries" if many == 1 else "addresses carry"
    yield info(subject, f"{many} local {noun} about {many * PORTS} connections to each server's port")


def _missing(address: Address, config: Config, facts: Facts) -> bool:
    """Whether it ought to be here and is not: where it moves, only a master has it."""
    if facts.having(address):
        return False
    holder = holder_of(address, config)
    status = facts.instance(holder.name) if holder is not None else None
    return holder is None or (status is not None and status.state is State.MASTER)
