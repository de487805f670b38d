"""Tests of `lvsha.config.schema.machine`."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.config import ApiConfig, IpvsConfig, SpeakerConfig, StateConfig, SyncConfig
from lvsha.model import SyncDaemon, SyncRole, Timeouts
from tests.lab.desk import Desk


def test_every_key(desk: Desk) -> None:
    """Every key of these tables reaches its attribute."""
    config = desk.load(
        """
        [api]
        socket = "/run/x/api.sock"
        group = "ops"
        metrics = "[::1]:9100"
        [state]
        directory = "/srv/lvsha"
        runtime = "/run/x"
        [ipvs]
        look = "1m"
        unknown_services = "remove"
        timeouts = { tcp = "15m", tcp_fin = 120, udp = "5m" }
        sysctl = { conn_reuse_mode = 1, sync_threshold = "3  50" }
        [sync]
        interface = "eth1"
        id = 7
        group = "224.0.0.82"
        port = 8849
        ttl = 2
        maxlen = 1400
        [speaker]
        grace = "1m"
        realtime = false
        """
    )
    assert config.api == ApiConfig(Path("/run/x/api.sock"), "ops", (ip_address("::1"), 9100))
    assert config.state == StateConfig(Path("/srv/lvsha"), Path("/run/x"))
    assert config.ipvs == IpvsConfig(
        60.0, "remove", Timeouts(900, 120, 300), {"conn_reuse_mode": 1, "sync_threshold": "3 50"}
    )
    assert config.sync == SyncConfig("eth1", 7, ip_address("224.0.0.82"), 8849, 2, 1400)
    assert config.speaker == SpeakerConfig(60.0, realtime=False)


def test_defaults(desk: Desk) -> None:
    """What is not written has the default of the settings, which is one default and not two."""
    config = desk.load('[api]\n[state]\n[ipvs]\n[speaker]\n[sync]\ninterface = "eth1"\n')
    assert (config.api, config.state, config.ipvs) == (ApiConfig(), StateConfig(), IpvsConfig())
    assert (config.speaker, config.sync) == (SpeakerConfig(), SyncConfig("eth1"))


def test_both_roles_of_sync(desk: Desk) -> None:
    """The sync daemon runs in both roles on every director."""
    config = desk.load('[sync]\ninterface = "eth1"\nid = 7\n')
    assert config.sync is not None
    group = ip_address("224.0.0.81")
    assert config.sync.daemons == {SyncDaemon(role, "eth1", 7, 0, 8848, 1, group) for role in SyncRole}


WRONG = [
    ('[api]\nsocket = "run/x"', "api.socket", "is not an absolute path"),
    ('[api]\nmetrics = "9100"', "api.metrics", "is not an address and a port"),
    ('[api]\ngroup = ""', "api.group", "must not be empty"),
    ('[state]\nruntime = "/' + "x" * 90 + '"', "state.runtime", "may be at most 80 characters long"),
    ("[ipvs]\nlook = 0", "ipvs.look", "must be within 1s and 1h, not 0s"),
    ('[ipvs]\ntimeouts = { tcp = "1500ms" }', "ipvs.timeouts.tcp", "must be whole seconds, not 1.5s"),
    ('[ipvs]\ntimeouts = { udp = "25d" }', "ipvs.timeouts.udp", "must be within 1s and 2147483s, not 25d"),
    ('[ipvs]\ntimeouts = "15m"', "ipvs.timeouts", 'must be a table, not "15m"'),
    ("[ipvs]\nsysctl = { conntrack = true }", "ipvs.sysctl.conntrack", "must be a number, or two"),
    ('[ipvs]\nsysctl = { "net/x" = 1 }', 'ipvs.sysctl."net/x"', '"net/x" is not allowed here'),
    ('[ipvs]\nunknown_services = "purge"', "ipvs.unknown_services", 'must be keep or remove, not "purge"'),
    ("[sync]\nid = 1", "sync.interface", "is missing"),
    ('[sync]\ninterface = "eth1"\nid = 256', "sync.id", "must be at most 255, not 256"),
    ('[sync]\ninterface = "eth1"\nmaxlen = 1023', "sync.maxlen", "must be at least 1024, not 1023"),
    ('[sync]\ninterface = "eth1"\nport = 0', "sync.port", "must be at least 1, not 0"),
    ('[sync]\ninterface = "eth1"\nttl = 0', "sync.ttl", "must be at least 1, not 0"),
    ("[peer]\nport = 8850", "peer.key", "is missing"),
    ("[peer]\nkey = 5", "peer.key", "must be a text, not a number"),
    ('[peer]\nkey = "hex:00"\nport = 0', "peer.port", "must be at least 1, not 0"),
    ('[peer]\nkey = "hex:00"\nlisten = "eth0"', "peer.listen", "is not an IP address"),
    ("[speaker]\ngrace = 0", "speaker.grace", "must be within 1s and 1h, not 0s"),
    ("[speaker]\nrealtime = 1", "speaker.realtime", "must be true or false, not 1"),
    ("[nodes.a]\npriority = 0", "nodes.a.priority", "must be at least 1, not 0"),
    ('[nodes.a]\naddress = "a"', "nodes.a.address", "is not an IP address"),
    ("[nodes.a.vrrp.x]\npriority = 256", "nodes.a.vrrp.x.priority", "must be at most 255, not 256"),
    ('node = "a"', "node", 'must be a table, not "a"'),
    ('[node]\nname = "a b"', "node.name", '"a b" is not a name'),
]


@pytest.mark.parametrize(("text", "path", "message"), WRONG)
def test_wrong_values(desk: Desk, text: str, path: str, message: str) -> None:
    """Each value is held to its range, and the message says which."""
    problems = {problem.path: problem.message for problem in desk.report(text, "a").errors}
    assert message in problems[path]
