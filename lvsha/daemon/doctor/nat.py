"""Mode nat: the way back must lead through this director.

A server answers its client's own address, so it sends to its default gateway. That must be an address of
the directors' that is where the service's address is: one that moves with it. From here it can be seen
whether there is such an address in the servers' network; whether a server uses it, a check with
`through = "vip"` finds out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_network

from lvsha.api.views import FindingView
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon.doctor.facts import Facts, holder_of, moving_with, per_link
from lvsha.daemon.doctor.finding import error, info, listed, ok, sysctl, warning
from lvsha.kernel.routes import Way
from lvsha.model import Mode

Networks = dict[str, list[ServerConfig]]


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about the way back."""
    for service in config.services.values():
        servers = [s for s in (*service.servers, *service.fallback) if s.mode is Mode.NAT]
        if not servers:
            continue
        yield from _routed(service, servers, facts)
        for network, inside in _networks(servers, facts).items():
            yield from _gateway(service, network, inside, config, facts)
        yield from _one_armed(service, servers, config, facts)


def _ways(servers: list[ServerConfig], facts: Facts) -> Iterator[tuple[ServerConfig, Way]]:
    for server in servers:
        way = facts.ways.get(server.address)
        if isinstance(way, Way) and not way.local:
            yield server, way


def _routed(service: ServiceConfig, servers: list[ServerConfig], facts: Facts) -> Iterator[FindingView]:
    behind = [(s, w) for s, w in _ways(servers, facts) if w.gateway is not None]
    if behind:
        names = listed(f"{s.name} (behind {w.gateway})" for s, w in behind)
        words = (
            f"not in a network of this director: {names}; their answers come back only where every router "
            "on their way leads here"
        )
        yield warning(f"service {service.name}", words, 'use mode = "fullnat" or "tun"')


def _networks(servers: list[ServerConfig], facts: Facts) -> Networks:
    """The servers that are on a link of this director's, by their network."""
    found: Networks = defaultdict(list)
    for server, way in _ways(servers, facts):
        own = facts.own(server.address)
        if way.gateway is None and own:
            found[str(own[0].network)].append(server)
    return found


def _gateway(
    service: ServiceConfig, network: str, servers: list[ServerConfig], config: Config, facts: Facts
) -> Iterator[FindingView]:
    subject, names = f"service {service.name}", listed(s.name for s in servers)
    holder = holder_of(service.address, config) if service.address is not None else None
    if holder is None:
        own = listed(own.ip for own in facts.own(servers[0].address))
        if config.vrrp and service.address is None:
            return  # a firewall mark has no address that something could move with
        yield ok(
            subject, f"the default gateway of {names} must be {own}, this director's address in {network}"
        )
        return
    floating = [a for a in moving_with(holder, config) if a.ip in ip_network(network)]
    if floating:
        where = listed(f"{a.ip}" for a in floating)
        yield ok(
            subject, f"the default gateway of {names} must be {where}, which moves with {service.address}"
        )
        return
    yield error(
        subject,
        f"no address in {network}, where {names} are, moves with {service.address}: their gateway is left "
        "behind by a failover, and their answers with it",
        f'add "{_free(network, servers, facts)}" to [vrrp.{holder.name}] excluded, '
        "and make it the servers' default gateway",
    )


def _free(network: str, servers: list[ServerConfig], facts: Facts) -> str:
    """An example of an address for a gateway: the last that nobody is known to have."""
    whole = ip_network(network)
    taken = {int(s.address) for s in servers} | {int(one.place.address.ip) for one in facts.held}
    last = int(whole[-1]) - 1
    free = next((n for n in range(last, max(last - 1000, int(whole[0])), -1) if n not in taken), last)
    return f"{whole[free - int(whole[0])]}/{whole.prefixlen}"


def _one_armed(
    service: ServiceConfig, servers: list[ServerConfig], config: Config, facts: Facts
) -> Iterator[FindingView]:
    """Clients and servers on one link: the director would tell servers that there is a shorter way."""
    entry = facts.entry(service.address, config) if service.address is not None else None
    same = [s for s, way in _ways(servers, facts) if way.index == entry]
    if entry is None or not same or service.address is None:
        return
    subject, name = f"service {service.name}", facts.name(entry)
    yield info(
        subject,
        f"{listed(s.name for s in same)} are on {name}, where clients come in: a client of their own network "
        "is answered past this director, and does not know the answer",
    )
    if service.address.version == 4:
        names = [per_link("all", "send_redirects"), per_link(name, "send_redirects")]
        # include/linux/inetdevice.h, IN_DEV_TX_REDIRECTS: either of the two is enough.
        bad = [n for n in names if facts.number(n)]
        if bad:
            words = f"this director sends redirects on {name}, which lead servers' answers past it"
            yield warning(subject, words, sysctl(*((n, 0) for n in names)))
        else:
            yield ok(subject, f"no redirects are sent on {name}")
    else:
        # ip6_forward() in net/ipv6/ip6_output.c asks no setting.
        words = (
            f"this director sends redirects on {name}, which lead servers' answers past it, and IPv6 has no "
            "setting against it: set accept_redirects to 0 on the servers, or drop icmpv6 nd-redirect here"
        )
        yield info(subject, words)
