"""What should be in the kernel: a pure function of configuration, verdicts and overrides.

The rules for one server, strongest first:

    disabled by hand                 not in the table
    no verdict yet, was in the table stays as it was found (a restart changes nothing)
    no verdict yet, new              not in the table: it waits for its first success
    down                             not in the table, or weight 0 (`on_failure = "quiesce"`)
    drained by hand                  weight 0: its connections go on, no new one comes
    weight set by hand               that weight
    up, or not checked               its configured weight

Two rules look at a whole service. `floor`: rather than serve from fewer servers than that, it
believes in servers that are down (the check may be what is broken). `fallback`: servers that
serve only while no other does, and never merely because no verdict is in yet; those that a restart
finds in the table go on until then.

A role in the pair changes nothing here: both directors keep IPVS programmed at all times, and
a failover moves addresses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from lvsha.config import CheckConfig, Config, Passage, ServerConfig, ServiceConfig
from lvsha.health import Health, State
from lvsha.model import (
    Address,
    Desired,
    DesiredService,
    FwmarkKey,
    Owned,
    ServerKey,
    Service,
    ServiceKey,
    SourceNat,
    Unaccepted,
)
from lvsha.overrides import Kind, Override, Overrides


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: equal targets are probed once, however many services share them."""

    check: CheckConfig
    address: Address
    port: int
    passage: Passage | None = None
    """The clients' way there; None: straight."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything besides the configuration that decides."""

    health: Mapping[Target, Health]
    overrides: Overrides = Overrides()
    adopted: Mapping[tuple[ServiceKey, ServerKey], int] | None = None
    """Weights of the servers that were in the table when their checks began."""
    owned: Owned = Owned()


@dataclass(frozen=True, slots=True)
class Placement:
    """One server's place: the weight it should have, or None for out of the table, and why."""

    config: ServerConfig
    health: Health
    override: Override | None
    weight: int | None
    why: str
    fallback: bool = False

    @property
    def serving(self) -> bool:
        """Whether new connections may reach it."""
        return bool(self.weight)


UNCHECKED = Health(State.UP, detail="not checked")


def target_of(server: ServerConfig) -> Target | None:
    """What has to be probed to judge a server; None when it is not checked."""
    check = server.check
    if check is None:
        return None
    way = server.passage
    if way is not None:
        return Target(check, way.address, way.port, way)
    return Target(check, check.address or server.address, check.port or server.port)


def targets(config: Config) -> frozenset[Target]:
    """Everything that has to be probed for a configuration."""
    servers = (s for v in config.services.values() for s in (*v.servers, *v.fallback))
    return frozenset(t for s in servers if (t := target_of(s)) is not None)


def desired(config: Config, known: Knowledge) -> Desired:
    """What the kernel should hold now."""
    services = {v.key: _service(name, v, known) for name, v in config.services.items()} | passages(config)
    sync = config.sync.daemons if config.sync is not None else None
    return Desired(
        services=services,
        timeouts=config.ipvs.timeouts,
        sync=sync,
        owned=known.owned,
        sweep=config.ipvs.unknown_services == "remove",
        source_nat=source_nats(config),
        unaccepted=unaccepted(config),
    )


def source_nats(config: Config) -> frozenset[SourceNat]:
    """The source NAT of every service in mode fullnat.

    It covers every server that is configured, in service or not: a verdict changes nothing in it.
    """
    entries = (service.source_nat for service in config.services.values())
    return frozenset(entry for entry in entries if entry is not None)


def unaccepted(config: Config) -> frozenset[Unaccepted]:
    """The addresses that this node takes no packets to, whether it holds them now or not.

    Only who holds an address is sent its packets, so a failover has nothing to change here.
    """
    return frozenset(
        Unaccepted(ip, vrrp.carrier(vip) if ip.version == 6 and ip.is_link_local else "")
        for vrrp in config.vrrp.values()
        if not vrrp.accepts
        for vip in (*vrrp.addresses, *vrrp.excluded)
        for ip in (vip.address.ip,)
    )


def passages(config: Config) -> dict[ServiceKey, DesiredService]:
    """The services that lead probes the clients' way, each to one server, whatever is thought of it."""
    ways = (s.passage for v in config.services.values() for s in (*v.servers, *v.fallback))
    return {
        way.service: DesiredService(Service("rr"), {way.key: way.server}) for way in ways if way is not None
    }


def desired_services(
    config: Config, known: Knowledge, keys: Collection[ServiceKey]
) -> dict[ServiceKey, DesiredService]:
    """The part of `desired` that is about the given services; keys that are not wanted are left out."""
    found = {v.key: _service(name, v, known) for name, v in config.services.items() if v.key in keys}
    if any(isinstance(key, FwmarkKey) for key in keys):
        found |= {key: service for key, service in passages(config).items() if key in keys}
    return found


def place(name: str, service: ServiceConfig, known: Knowledge) -> tuple[Placement, ...]:
    """Where each server of a service stands, in the order of the configuration, fallbacks last."""
    places = [_place(name, service, server, known) for server in service.servers]
    places = _raise_to_floor(service, places)
    return (*places, *_fallbacks(name, service, places, known))


def _service(name: str, service: ServiceConfig, known: Knowledge) -> DesiredService:
    servers = {
        p.config.key: replace(p.config.server, weight=p.weight)
        for p in place(name, service, known)
        if p.weight is not None
    }
    return DesiredService(service.service, servers)


def _place(name: str, service: ServiceConfig, server: ServerConfig, known: Knowledge) -> Placement:
    target = target_of(server)
    health = UNCHECKED if target is None else known.health.get(target, Health())
    override = known.overrides.on(name, server.name, server.address, server.port)
    weight, why = _weight(service, server, health, override, known)
    return Placement(server, health, override, weight, why)


def _weight(
    service: ServiceConfig, server: ServerConfig, health: Health, override: Override | None, known: Knowledge
) -> tuple[int | None, str]:
    kind = None if override is None else override.kind
    if kind is Kind.DISABLE:
        return None, "disabled"
    match health.state:
        case State.UNKNOWN:
            found = (known.adopted or {}).get((service.key, server.key))
            if found is None:
                return None, "waits for its first success"
            if kind is Kind.DRAIN or found == 0:
                return 0, "drained" if kind is Kind.DRAIN else "found with weight 0, no verdict yet"
        case State.DOWN if service.on_failure == "remove":
            return None, "down"
        case State.DOWN:
            return 0, "down"
        case State.UP if kind is Kind.DRAIN:
            return 0, "drained"
        case State.UP:
            pass
    if override is not None and override.weight is not None:
        return override.weight, "weight set by hand"
    return server.weight, "up" if health.state is State.UP else "adopted, no verdict yet"


def _raise_to_floor(service: ServiceConfig, places: list[Placement]) -> list[Placement]:
    missing = service.floor - sum(p.serving for p in places)
    raised = []
    for p in places:
        weight = p.config.weight if p.override is None else p.override.weight
        believed = missing > 0 and p.why == "down" and bool(weight)
        missing -= believed
        raised.append(
            replace(p, weight=weight, why=f"down, kept by floor {service.floor}") if believed else p
        )
    return raised


def _fallbacks(
    name: str, service: ServiceConfig, places: list[Placement], known: Knowledge
) -> list[Placement]:
    spares = [replace(_place(name, service, s, known), fallback=True) for s in service.fallback]
    if any(p.serving for p in places):
        return [_unneeded(p) for p in spares]
    if any(p.health.state is State.UNKNOWN for p in places):
        # One that was found serving goes on; the others wait for the verdicts.
        found = known.adopted or {}
        return [p if (service.key, p.config.key) in found else _unneeded(p) for p in spares]
    return spares


def _unneeded(p: Placement) -> Placement:
    return replace(p, weight=None, why="fallback, not needed")
