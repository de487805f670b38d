"""A director that is a real server as well: it directs as master alone, and is still about the address on lo.

How that fits together stands in `lvsha.speaker.directing`. Here it is asked of what was seen on this machine
alone: whether the other director is one of the servers too, nothing here tells for certain.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, ServiceConfig
from lvsha.daemon.doctor.facts import Facts, per_link
from lvsha.daemon.doctor.finding import error, listed, ok, sysctl, warning
from lvsha.daemon.settings import HASHING
from lvsha.kernel.routes import Way
from lvsha.model import Address, Mode
from lvsha.speaker.directing import SETTING
from lvsha.speaker.messages import State

ARP = {"arp_ignore": (1, 2, 8), "arp_announce": (2,)}
"""What keeps a machine still about an address on lo (`checks.audit.sysctls`)."""


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about a director that serves."""
    served = served_here(config, facts)
    if config.ipvs.directors_serve:
        yield from _setting(facts)
        for address in served:
            yield from _ready(address, served, config, facts)
    elif config.vrrp and len(config.nodes) != 1:
        for address in served:
            if facts.on_lo(address):
                yield _twice(address, config, facts)


def served_here(config: Config, facts: Facts) -> list[Address]:
    """The services' addresses that this machine is a server of, by direct routing."""
    found = {s.address for s in config.services.values() if s.address is not None and _serves(s, facts)}
    return sorted(found, key=lambda address: (address.version, address))


def _serves(service: ServiceConfig, facts: Facts) -> bool:
    direct = [s.address for s in (*service.servers, *service.fallback) if s.mode is Mode.DR]
    ways = [facts.ways.get(address) for address in direct]
    return any(isinstance(way, Way) and way.local for way in ways)


def _setting(facts: Facts) -> Iterator[FindingView]:
    if facts.report is None or facts.trouble:
        return  # told elsewhere
    master = any(one.state is State.MASTER for one in facts.report.instances)
    value, role = ("0", "is master") if master else ("1", "is not master")
    there = facts.sysctls.get(SETTING)
    if there == value:
        yield ok(SETTING, f"is {value}, and this node {role}")
        return
    what = "it directs nothing" if master else "it directs once more what the master directs to it"
    words = f"is {there or 'not there'}, and this node {role}: {what}"
    yield error(SETTING, words, sysctl((SETTING, value)))


def _ready(address: Address, served: list[Address], config: Config, facts: Facts) -> Iterator[FindingView]:
    subject, command = f"address {address}", _setup(served, config)
    if not facts.on_lo(address):
        words = "is not on lo, and this director serves it: what the other one directs here is refused"
        yield error(subject, words, command)
        return
    loud = list(_loud(address, config, facts))
    if loud:
        words = f"is on lo, and {listed(loud)}: this director takes it away from the master"
        yield error(subject, words, command)
    else:
        yield ok(subject, "is on lo, and this director keeps still about it")


def _loud(address: Address, config: Config, facts: Facts) -> Iterator[str]:
    """The settings by which this machine tells its neighbours that it has an address of lo."""
    entry = facts.entry(address, config)
    if address.version != 4 or entry is None:
        return
    name = facts.name(entry)
    for setting, good in ARP.items():
        value = max(facts.number(per_link(n, setting)) or 0 for n in ("all", name))
        if value not in good:
            yield f"{setting} of {name} is {value}"


def _twice(address: Address, config: Config, facts: Facts) -> FindingView:
    services = [s for s in config.services.values() if s.address == address and _serves(s, facts)]
    names = listed(service.name for service in services)
    words = (
        f"is on lo, and this director serves {names}: what the other one directs here is directed once more"
    )
    hint = "[ipvs] directors_serve = true"
    if all(service.scheduler in HASHING for service in services):
        # Both come to the same server, as long as they find the same ones well.
        return warning(f"address {address}", words, hint)
    return error(f"address {address}", f"{words}, and may go in circles", hint)


def _setup(served: list[Address], config: Config) -> str:
    """The whole of what makes this machine a server; the command takes back what it is not told."""
    vips = "".join(f" --vip {address}" for address in served)
    nodes = (node.address for node in config.nodes.values() if node.address is not None)
    return f"lvsha-cli realserver setup --mode dr{vips}" + "".join(f" --director {a}" for a in nodes)
