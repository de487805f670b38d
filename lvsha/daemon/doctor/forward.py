"""Modes nat and fullnat: no firewall of this director's drops what servers answer on its way through.

Answers are forwarded, so they pass every chain at that hook. Whether a rule accepts them can be read only
where it is a plain one; so what is found is a warning, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsha.api.views import FindingView
from lvsha.config import Config, ServerConfig
from lvsha.daemon.doctor.facts import Facts
from lvsha.daemon.doctor.finding import listed, ok, warning
from lvsha.kernel.forwarding import Gate
from lvsha.kernel.routes import Way
from lvsha.model import Mode


def judge(config: Config, facts: Facts) -> Iterator[FindingView]:
    """Everything about chains that drop what is forwarded."""
    for service in config.services.values():
        servers = [s for s in (*service.servers, *service.fallback) if _answers_through_here(s, facts)]
        for gate in facts.gates:
            for version in sorted(gate.versions & {s.address.version for s in servers}):
                some = [s for s in servers if s.address.version == version]
                yield _judge(f"service {service.name}", gate, some, facts)


def _answers_through_here(server: ServerConfig, facts: Facts) -> bool:
    way = facts.ways.get(server.address)
    return server.mode in (Mode.NAT, Mode.FULLNAT) and isinstance(way, Way) and not way.local


def _judge(subject: str, gate: Gate, servers: list[ServerConfig], facts: Facts) -> FindingView:
    shut = [s for s in servers if not gate.admits(s.address, _interface(s, facts))]
    if not shut:
        return ok(subject, f"the chain {gate.place} accepts what its servers answer")
    words = (
        f"answers of {listed(s.name for s in shut)} are dropped by the chain {gate.place}, unless one of its "
        "less plain rules, which are not read here, accepts them: its last word is to drop"
    )
    return warning(subject, words, _command(gate, shut))


def _command(gate: Gate, servers: list[ServerConfig]) -> str:
    if gate.place.startswith("inet firewalld "):
        # It owns its table, and makes it anew at every reload.
        return "firewall-cmd --list-all-policies; have one of them accept what is forwarded from the servers"
    return gate.opening(dict.fromkeys(s.address for s in servers))


def _interface(server: ServerConfig, facts: Facts) -> str:
    """The one that its answers come in by."""
    way = facts.ways.get(server.address)
    return facts.name(way.index) if isinstance(way, Way) else ""
