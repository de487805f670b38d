"""The views as Prometheus' text format.

Nothing is counted here: the kernel counts packets and connections, the speaker adverts, and what
they say is read when somebody asks. A restart of the daemon therefore does not reset the counters of a
service, the kernel's do not either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from lvsha.api.views import RoomView, ServerView, ServiceView, StatusView, SyncView, VrrpView
from lvsha.model import Counters
from lvsha.standing import Word

ROLES = ("master", "backup", "fault", "alone")
SERVICE_STATES = tuple(word.value for word in Word)
VRRP_STATES = ("init", "backup", "master", "fault")

_SERVICE = ("service",)
_SERVER = ("service", "server", "address", "port")


def render(
    status: StatusView,
    services: Sequence[ServiceView],
    servers: Sequence[ServerView],
    vrrp: Sequence[VrrpView],
    events: int,
    room: RoomView | None = None,
) -> str:
    """The metrics as text, version 0.0.4 of the format; `events` is the number of the newest event.

    `room` is there where mode fullnat is used.

    About 150 us a server: with thousands of them, to be run in a thread.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Views(_metrics(status, services, servers, vrrp, events, room)))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


class _Views(Collector):
    """Metrics that are known already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _metrics(
    status: StatusView,
    services: Sequence[ServiceView],
    servers: Sequence[ServerView],
    vrrp: Sequence[VrrpView],
    events: int,
    room: RoomView | None,
) -> Iterator[Metric]:
    yield from _director(status, events)
    if room is not None:
        yield from _room(room)
    yield from _services(services)
    yield from _servers(servers)
    yield from _instances(vrrp)


def _director(status: StatusView, events: int) -> Iterator[Metric]:
    about = {"node": status.node, "version": status.version, "kernel": status.kernel}
    yield InfoMetricFamily("lvsha", "The director.", value=about)
    yield _states(
        "lvsha_role", "The director's role (1: it is this one).", "role", ROLES, [((), status.role)]
    )
    yield _gauge("lvsha_start_time_seconds", "When the director started.", status.started)
    yield _gauge(
        "lvsha_config_loaded_time_seconds", "When the configuration was read.", status.config_loaded_at
    )
    yield _gauge("lvsha_config_generation", "Configurations read since the start.", status.config_generation)
    yield _gauge("lvsha_warnings", "Things an operator should look at.", len(status.warnings))
    yield _gauge("lvsha_servers_drained", "Servers set aside by hand.", status.servers_drained)
    peer = GaugeMetricFamily("lvsha_peer_connected", "1: the other director is connected.", labels=("peer",))
    for p in status.peers:
        peer.add_metric((p.name,), p.connected)
    yield peer
    if status.sync is not None:
        yield from _sync(status.sync)
    yield CounterMetricFamily("lvsha_events", "Events since the start.", value=events)


def _sync(sync: SyncView) -> Iterator[Metric]:
    """Without a sample where it is unknown."""
    here = GaugeMetricFamily("lvsha_sync_connections", "Established connections that are known here.")
    if sync.here is not None:
        here.add_metric((), sync.here)
    text = "Established connections that the other director knows."
    there = GaugeMetricFamily("lvsha_peer_sync_connections", text, labels=("peer",))
    for name, connections in sync.peers.items():
        if connections is not None:
            there.add_metric((name,), connections)
    yield from (here, there)


def _room(room: RoomView) -> Iterator[Metric]:
    labels = ("local", "protocol", "address", "port")
    used = GaugeMetricFamily(
        "lvsha_local_ports_used", "Ports of a local address in use for one server's port.", labels=labels
    )
    for p in room.ports:
        used.add_metric((p.local, p.protocol, p.address, str(p.port)), p.used)
    yield used
    yield _gauge(
        "lvsha_local_ports", "Ports that a local address has for one server's port.", room.ports_limit
    )
    text = "Connections whose port had to be changed, since the director's start."
    yield CounterMetricFamily("lvsha_port_collisions", text, value=room.collisions)
    text = "Connections whose port had to be changed and that are alive, here or on the other director."
    yield _gauge("lvsha_port_collisions_known", text, room.collisions_known)
    if room.tracked is not None and room.tracked_limit is not None:
        yield _gauge("lvsha_conntrack_entries", "Entries of connection tracking.", room.tracked)
        yield _gauge("lvsha_conntrack_limit", "How many entries there may be.", room.tracked_limit)


def _services(services: Sequence[ServiceView]) -> Iterator[Metric]:
    yield _states(
        "lvsha_service_state",
        "The service's state (1: it is this one).",
        "state",
        SERVICE_STATES,
        [((s.name,), s.state) for s in services],
        _SERVICE,
    )
    for name, text, values in (
        ("in_service", "Servers that take new connections.", [s.in_service for s in services]),
        ("healthy", "Servers whose check succeeds.", [s.healthy for s in services]),
        ("servers", "Servers configured.", [s.servers for s in services]),
    ):
        metric = GaugeMetricFamily(f"lvsha_service_{name}", text, labels=_SERVICE)
        for service, value in zip(services, values, strict=True):
            metric.add_metric((service.name,), value)
        yield metric
    connections = GaugeMetricFamily(
        "lvsha_service_connections", "Entries in the connection table.", labels=(*_SERVICE, "state")
    )
    for s in services:
        connections.add_metric((s.name, "active"), s.active)
        connections.add_metric((s.name, "inactive"), s.inactive)
    yield connections
    yield from _traffic("service", _SERVICE, [((s.name,), s.counters) for s in services])


def _servers(servers: Sequence[ServerView]) -> Iterator[Metric]:
    labels = [(s.service, s.name, s.address, str(s.port)) for s in servers]
    state = GaugeMetricFamily(
        "lvsha_server_state", "The verdict on the server: the one it is.", labels=(*_SERVER, "state")
    )
    weight = GaugeMetricFamily("lvsha_server_weight", "Weight in the kernel.", labels=_SERVER)
    configured = GaugeMetricFamily("lvsha_server_weight_configured", "Configured weight.", labels=_SERVER)
    connections = GaugeMetricFamily(
        "lvsha_server_connections", "Entries in the connection table.", labels=(*_SERVER, "state")
    )
    override = GaugeMetricFamily(
        "lvsha_server_override", "1: an operator's override is in force.", labels=(*_SERVER, "kind")
    )
    for label, s in zip(labels, servers, strict=True):
        # Only the state it is in: with ten thousand servers, four samples for each are too many.
        state.add_metric((*label, s.state), 1)
        configured.add_metric(label, s.weight)
        if s.weight_now is not None:
            weight.add_metric(label, s.weight_now)
        if s.override is not None:
            override.add_metric((*label, s.override.kind), 1)
        connections.add_metric((*label, "active"), s.active)
        connections.add_metric((*label, "inactive"), s.inactive)
        connections.add_metric((*label, "persistent"), s.persistent)
    yield from (state, weight, configured, override, connections)
    yield from _traffic(
        "server", _SERVER, [(label, s.counters) for label, s in zip(labels, servers, strict=True)]
    )


def _instances(vrrp: Sequence[VrrpView]) -> Iterator[Metric]:
    label = ("instance",)
    yield _states(
        "lvsha_vrrp_state",
        "The state of the VRRP instance (1: it is this one).",
        "state",
        VRRP_STATES,
        [((v.name,), v.state) for v in vrrp],
        label,
    )
    priority = GaugeMetricFamily("lvsha_vrrp_priority", "Effective priority.", labels=label)
    base = GaugeMetricFamily("lvsha_vrrp_base_priority", "Configured priority.", labels=label)
    held = GaugeMetricFamily("lvsha_vrrp_held", "1: an operator keeps it from being master.", labels=label)
    since = GaugeMetricFamily("lvsha_vrrp_state_since_seconds", "When it entered its state.", labels=label)
    tracker = GaugeMetricFamily(
        "lvsha_vrrp_tracker_ok", "What the instance depends on (1: well).", labels=(*label, "tracker")
    )
    adverts = CounterMetricFamily(
        "lvsha_vrrp_packets", "Adverts sent, received, and refused by reason.", labels=(*label, "kind")
    )
    for v in vrrp:
        priority.add_metric((v.name,), v.priority)
        base.add_metric((v.name,), v.base_priority)
        held.add_metric((v.name,), v.held)
        since.add_metric((v.name,), v.since)
        for t in v.trackers:
            tracker.add_metric((v.name, t.name), t.ok)
        for kind, count in v.counters.items():
            adverts.add_metric((v.name, kind), count)
    yield from (priority, base, held, since, tracker, adverts)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _states(
    name: str,
    text: str,
    word: str,
    states: Sequence[str],
    samples: Iterable[tuple[tuple[str, ...], str]],
    labels: tuple[str, ...] = (),
) -> Metric:
    """One sample for each state there is, so that a rule can be written against any of them."""
    metric = GaugeMetricFamily(name, text, labels=(*labels, word))
    for values, state in samples:
        for possible in states if state in states else (*states, state):
            metric.add_metric((*values, possible), possible == state)
    return metric


def _traffic(
    noun: str, labels: tuple[str, ...], samples: Sequence[tuple[tuple[str, ...], Counters]]
) -> Iterator[Metric]:
    connections = CounterMetricFamily(f"lvsha_{noun}_scheduled", "Connections scheduled.", labels=labels)
    packets = CounterMetricFamily(f"lvsha_{noun}_packets", "Packets.", labels=(*labels, "direction"))
    octets = CounterMetricFamily(f"lvsha_{noun}_bytes", "Bytes.", labels=(*labels, "direction"))
    for label, counters in samples:
        connections.add_metric(label, counters.connections)
        packets.add_metric((*label, "in"), counters.packets_in)
        packets.add_metric((*label, "out"), counters.packets_out)
        octets.add_metric((*label, "in"), counters.bytes_in)
        octets.add_metric((*label, "out"), counters.bytes_out)
    yield from (connections, packets, octets)
