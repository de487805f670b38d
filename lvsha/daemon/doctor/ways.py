"""How packets get from here to each server: a route, a link that is up, a neighbour that answers.

For direct routing that is all there is to see from here: the server must be a neighbour, for a packet
keeps its destination address and no router would know where to take it. Whether the server has the
service's address, and keeps silent about it, a check with `through = "vip"` finds out.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, ServerConfig, ServiceConfig
from lvsha.daemon.doctor.facts import Facts, per_link
from lvsha.daemon.doctor.finding import error, info, ok, sysctl
from lvsha.daemon.settings import FORWARDING
from lvsha.kernel.neighbours import Answer
from lvsha.kernel.netlink import Refusal
from lvsha.kernel.routes import Way
from lvsha.model import Address, Family, Mode

LEAD = {
    Mode.NAT: "masqueraded",
    Mode.FULLNAT: "masqueraded",
    Mode.DR: "routed directly",
    Mode.TUN: "wrapped",
}


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about the ways."""
    for service in config.services.values():
        for server in (*service.servers, *service.fallback):
            yield from _server(service, server, facts)


def _server(service: ServiceConfig, server: ServerConfig, facts: Facts) -> Iterator[FindingView]:
    subject, way = f"server {service.name}/{server.name}", facts.ways.get(server.address)
    if way is None:
        return
    if isinstance(way, Refusal):
        yield error(subject, f"there is no way to {server.address}: {way}", f"ip route get {server.address}")
    elif way.local:
        yield from _here(subject, server)
    else:
        yield from _way(subject, server, way, facts)


def _here(subject: str, server: ServerConfig) -> Iterator[FindingView]:
    words = f"{server.address} is this director itself, which the kernel serves by its own stack"
    if server.mode is Mode.TUN:
        yield error(subject, f"{words}; a tunnel leads to nobody", 'use mode = "dr" for it')
    else:
        yield info(subject, words)


def _way(subject: str, server: ServerConfig, way: Way, facts: Facts) -> Iterator[FindingView]:
    link = facts.links.get(way.index)
    if link is not None and link.trouble:
        yield error(subject, f"the way to {server.address} is by {link.name}, and {link.trouble}")
        return
    if server.mode is Mode.DR and way.gateway is not None:
        words = (
            f"{server.address} is behind {way.gateway}, and direct routing reaches neighbours only: "
            "they must share a link"
        )
        yield error(subject, words, 'use mode = "tun"')
        return
    yield from _back(subject, server, way, facts)
    hop = way.gateway or server.address
    silent = _silent(hop, way.index, facts)
    where = f"{facts.name(way.index)}" + (f" and {way.gateway}" if way.gateway else "")
    if silent:
        yield error(
            subject,
            f"{hop} does not answer for itself on {facts.name(way.index)}: {silent}",
            f"ip neighbour show {hop}",
        )
    else:
        port = " at the service's port" if server.mode in (Mode.DR, Mode.TUN) else ""
        yield ok(subject, f"packets are {LEAD[server.mode]} to {server.address}{port}, by {where}")


def _back(subject: str, server: ServerConfig, way: Way, facts: Facts) -> Iterator[FindingView]:
    """Answers that come back through here are routed on, if the interface that they come in by allows it.

    For IPv4 each interface has its own say (ip_route_input_slow() in net/ipv4/route.c, IN_DEV_FORWARD), for
    IPv6 all have one. That forwarding is off altogether is told with the settings.
    """
    name = facts.name(way.index)
    here, everywhere = (facts.number(n) for n in (per_link(name, "forwarding"), FORWARDING[Family.IPV4]))
    if server.mode not in (Mode.NAT, Mode.FULLNAT) or server.address.version != 4:
        return
    if here == 0 and everywhere != 0:
        words = f"its answers come in on {name}, and are dropped there: forwarding is off on it"
        yield error(subject, words, sysctl((per_link(name, "forwarding"), 1)))


def _silent(hop: Address, index: int, facts: Facts) -> str:
    """Why a neighbour counts as not there; empty when it is, or when nothing is known."""
    neighbour = facts.neighbours.get((hop, index))
    asked = "ARP" if hop.version == 4 else "neighbour solicitations"
    if neighbour is None or neighbour.answer is Answer.KNOWN:
        return ""
    return f"no answer to {asked}"
