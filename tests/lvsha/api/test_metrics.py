"""The metrics, read back by Prometheus' own parser."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from lvsha.api.metrics import render
from lvsha.api.views import PeerView, PortsView, RoomView, SyncView
from lvsha.model import Counters
from lvsha.overrides import Kind
from lvsha.standing import Word
from tests.lab.control import INSTANCES, SERVERS, Director

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def samples(director: Director) -> Samples:
    """Every sample, by name and labels."""
    return parsed(await director.metrics())


def parsed(text: str) -> Samples:
    """Every sample of a text, by name and labels; each once."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for s in family.samples:
            key = (s.name, frozenset(s.labels.items()))
            assert key not in found
            found[key] = s.value
    return found


def at(found: Samples, name: str, **labels: str) -> float:
    """The value of one sample."""
    return found[name, frozenset(labels.items())]


async def test_director() -> None:
    """The director's own numbers, its role among all roles, and its process."""
    found = await samples(Director())
    assert at(found, "lvsha_info", node="lb1", version="0.1.0", kernel="IPVS 1.2.1") == 1
    assert at(found, "lvsha_role", role="master") == 1
    assert at(found, "lvsha_role", role="backup") == 0
    assert at(found, "lvsha_events_total") == 0
    assert at(found, "process_open_fds") > 0


async def test_room() -> None:
    """Ports of local addresses and entries of connection tracking, where the mode is used."""
    status = await Director().status()
    ports = (PortsView("10.0.1.100", "tcp", "10.0.0.1", 8080, 12),)
    found = parsed(render(status, [], [], [], 0, RoomView(ports, 64512, 100, 262144, 7, 3)))
    where = {"local": "10.0.1.100", "protocol": "tcp", "address": "10.0.0.1", "port": "8080"}
    assert at(found, "lvsha_local_ports_used", **where) == 12
    assert at(found, "lvsha_local_ports") == 64512
    assert (at(found, "lvsha_conntrack_entries"), at(found, "lvsha_conntrack_limit")) == (100, 262144)
    assert at(found, "lvsha_port_collisions_total") == 7
    assert at(found, "lvsha_port_collisions_known") == 3
    unknown = parsed(render(status, [], [], [], 0, RoomView(ports, 64512)))
    assert ("lvsha_conntrack_entries", frozenset()) not in unknown
    without = parsed(render(status, [], [], [], 0))
    assert ("lvsha_local_ports", frozenset()) not in without


async def test_peers() -> None:
    """Each other director is connected or not."""
    director = Director()
    director.peers = (
        PeerView("lb2", "192.0.2.2", True, 1_700_000_000.0, "0.1.0", True),
        PeerView("lb3", "192.0.2.3", False, 1_700_000_000.0, None, None),
    )
    found = await samples(director)
    assert at(found, "lvsha_peer_connected", peer="lb2") == 1
    assert at(found, "lvsha_peer_connected", peer="lb3") == 0


async def test_connections_of_both_directors() -> None:
    """What is not known has no sample; without sync there is no family."""
    director = Director()
    assert ("lvsha_sync_connections", frozenset()) not in await samples(director)
    director.sync = SyncView(200, {"lb2": 198, "lb3": None})
    found = await samples(director)
    assert at(found, "lvsha_sync_connections") == 200
    assert at(found, "lvsha_peer_sync_connections", peer="lb2") == 198
    assert ("lvsha_peer_sync_connections", frozenset({("peer", "lb3")})) not in found


async def test_service() -> None:
    """A service has each state, one of them 1, and the kernel's counters."""
    found = await samples(Director())
    assert at(found, "lvsha_service_state", service="web", state="degraded") == 1
    assert at(found, "lvsha_service_state", service="web", state="ok") == 0
    assert at(found, "lvsha_service_in_service", service="web") == 1
    assert at(found, "lvsha_service_scheduled_total", service="web") == 1000
    assert at(found, "lvsha_service_bytes_total", service="web", direction="in") == 2_500_000


async def test_every_state_of_a_service_has_a_sample() -> None:
    """A rule about a state that is rare finds its sample before it is needed."""
    found = await samples(Director())
    for word in Word:
        at(found, "lvsha_service_state", service="web", state=word.value)


async def test_server() -> None:
    """A server has the state it is in; one that is not in the kernel has no weight."""
    found = await samples(Director())
    rs1 = {"service": "web", "server": "rs1", "address": "10.0.0.1", "port": "80"}
    rs2 = {"service": "web", "server": "rs2", "address": "10.0.0.2", "port": "80"}
    assert at(found, "lvsha_server_state", **rs1, state="up") == 1
    assert at(found, "lvsha_server_weight", **rs1) == 10
    assert at(found, "lvsha_server_connections", **rs1, state="active") == 40
    assert ("lvsha_server_weight", frozenset(rs2.items())) not in found
    assert at(found, "lvsha_server_weight_configured", **rs2) == 10


async def test_override() -> None:
    """What was set aside by hand can be alerted on."""
    director = Director()
    await director.override(
        "web/rs1",
        Kind.DRAIN,
        weight=None,
        reason="",
        expires_in=None,
        by="me",
    )
    found = await samples(director)
    rs1 = {"service": "web", "server": "rs1", "address": "10.0.0.1", "port": "80"}
    assert at(found, "lvsha_server_override", **rs1, kind="drain") == 1
    assert at(found, "lvsha_servers_drained") == 1
    assert at(found, "lvsha_events_total") == 1


async def test_instance() -> None:
    """An instance has state, priorities, trackers and counted adverts."""
    found = await samples(Director())
    assert at(found, "lvsha_vrrp_state", instance="public", state="master") == 1
    assert at(found, "lvsha_vrrp_priority", instance="public") == 150
    assert at(found, "lvsha_vrrp_tracker_ok", instance="public", tracker="gateway 192.0.2.254") == 0
    assert at(found, "lvsha_vrrp_packets_total", instance="public", kind="checksum") == 1


async def test_names_that_need_quoting() -> None:
    """A name with quotes and newlines cannot forge a sample."""
    status = await Director().status()
    evil = 'x",y="z"} 1\nlvsha_forged 1\\'
    servers = [replace(SERVERS[0], name=evil, counters=Counters(connections=2**63))]
    found = parsed(render(status, [], servers, [replace(INSTANCES[0], name=evil)], 0))
    assert not [name for name, _ in found if name == "lvsha_forged"]
    labels = {"service": "web", "server": evil, "address": "10.0.0.1", "port": "80"}
    assert at(found, "lvsha_server_scheduled_total", **labels) == 2**63
