"""Who else answers ARP for a service's address: a real server that was not told to keep still takes clients.

It is asked on the link that clients come in by, and every answer counts. Whoever has the address itself hears
nobody but others. Who does not have it hears its master too, and knows that one by the address of its
adverts, where that is on the same link; where it is not, two who answer are one too many.

Neighbour discovery of IPv6 answers for no address of another interface, so nothing is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from lvsha.api.views import FindingView
from lvsha.config import Config
from lvsha.daemon.doctor.facts import LO, Facts, holder_of
from lvsha.daemon.doctor.finding import error, listed, ok
from lvsha.kernel.addresses import OURS
from lvsha.wire.owners import Question

MOST = 256
"""Addresses that are asked for: each is a broadcast or two."""
_STILL = "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about answers to ARP."""
    for address in _addresses(config):
        if (answering := facts.owners.get(address)) is not None:
            yield _judge(address, answering, config, facts)


def questions(config: Config, facts: Facts) -> list[Question]:
    """What is to be asked: for the services' addresses, and for their masters'."""
    asked: dict[Question, None] = {}
    for address in _addresses(config)[:MOST]:
        for wanted in (address, _master(address, config, facts)):
            question = _question(wanted, address, config, facts) if wanted is not None else None
            asked |= {question: None} if question is not None else {}
    return list(asked)


def _addresses(config: Config) -> list[IPv4Address]:
    found = {s.address for s in config.services.values() if isinstance(s.address, IPv4Address)}
    return sorted(found)


def _question(wanted: IPv4Address, near: IPv4Address, config: Config, facts: Facts) -> Question | None:
    """On the link of a service's address, from an own address there; None: it cannot be asked."""
    holder = holder_of(near, config)
    places = (*holder.addresses, *holder.excluded) if holder is not None else ()
    place = next((v.interface for v in places if v.address.ip == near), None)
    index = facts.index(place) if place is not None else facts.entry(near, config)
    link = facts.links.get(index) if index is not None else None
    if link is None or not link.mac or not link.usable:
        return None
    own = [h.place.address for h in facts.held if h.place.index == link.index and h.mark != OURS]
    four = [one for one in own if isinstance(one.ip, IPv4Address) and one.ip not in _addresses(config)]
    # The one whose network it is, if there is one.
    chosen = min(four, key=lambda one: near not in one.network, default=None)
    return Question(wanted, link.name, IPv4Address(chosen.ip), link.mac) if chosen is not None else None


def _master(address: IPv4Address, config: Config, facts: Facts) -> IPv4Address | None:
    """Whose adverts are heard, if they are another's."""
    holder = holder_of(address, config)
    status = facts.instance(holder.name) if holder is not None else None
    try:
        master = IPv4Address(status.master or "") if status is not None else None
    except ValueError:
        return None
    return master if master is not None and not facts.having(master) else None


def _judge(address: IPv4Address, answering: frozenset[str], config: Config, facts: Facts) -> FindingView:
    subject, holder = f"ARP for {address}", holder_of(address, config)
    others = answering - {link.mac.hex(":") for link in facts.links.values()}
    if not any(facts.name(one.place.index) != LO for one in facts.having(address)):
        master = _master(address, config, facts)
        right = facts.owners.get(master, frozenset()) if master is not None else frozenset()
        right |= {f"00:00:5e:00:01:{holder.vrid:02x}"} if holder is not None and holder.virtual_mac else set()
        if not right and len(others) == 1:
            return ok(subject, f"{min(others)} alone answers")
        others -= right
    if not others:
        return ok(subject, "nobody answers who should not")
    names = {mac: _server(mac, facts, config) for mac in sorted(others)}
    words = listed(f"{name} ({mac})" if name else mac for mac, name in names.items())
    verb = "answers" if len(names) == 1 else "answer"
    known = [name for name in names.values() if name]
    command = f"on {listed(known)}: {_STILL}" if known else f"ip neighbour show nud all | grep {min(others)}"
    return error(subject, f"{words} {verb} as well: clients' packets go past the director", command)


def _server(mac: str, facts: Facts, config: Config) -> str:
    """The name of the server that is at a link-layer address; empty where none is known to be."""
    at = {n.address for n in facts.neighbours.values() if n.mac == mac}
    servers = (s for v in config.services.values() for s in (*v.servers, *v.fallback))
    return next((server.name for server in servers if server.address in at), "")
