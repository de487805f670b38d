"""What there is, as told to a script."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from lvsha.api.views import FindingView, PeerView, SyncView
from lvsha.cli.commands import see
from tests.lab.control import Director
from tests.lvsha.cli.conftest import Command


def test_status(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status in pairs."""
    monkeypatch.setattr(time, "time", lambda: 1_700_007_300.0)
    done = cli("status")
    assert (done.status, done.err) == (0, "")
    assert done.out == (
        "node      lb1, lvsha 0.1.0, up 2h 1m\n"
        "role      master\n"
        "config    /etc/lvsha/lvsha.toml, loaded 2h ago, generation 1\n"
        "kernel    IPVS 1.2.1\n"
        "services  5\n"
        "servers   5 up, 1 down, 0 unknown, 0 set aside by hand\n"
    )


def test_status_of_the_peers(cli: Command, director: Director, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other directors: for how long they are there or away, and what they run."""
    monkeypatch.setattr(time, "time", lambda: 1_700_007_300.0)
    director.peers = (
        PeerView("lb2", "192.0.2.2", True, 1_700_007_000.0, "0.1.0", True),
        PeerView("lb3", "192.0.2.3", True, 1_700_007_000.0, "0.2.0", None),
        PeerView("lb4", "192.0.2.4", True, 1_700_007_000.0, "0.1.0", False),
        PeerView("lb5", "192.0.2.5", False, 1_700_000_000.0, None, None),
    )
    assert cli("status").out.splitlines()[6:] == [
        "peer      lb2 (192.0.2.2) connected for 5m, lvsha 0.1.0, configuration: the same",
        "peer      lb3 (192.0.2.3) connected for 5m, lvsha 0.2.0, configuration: unknown",
        "peer      lb4 (192.0.2.4) connected for 5m, lvsha 0.1.0, configuration: another",
        "peer      lb5 (192.0.2.5) not connected for 2h 1m",
    ]


def test_status_of_sync(cli: Command, director: Director) -> None:
    """The connections that each director knows; without a channel only those here."""
    director.sync = SyncView(200, {"lb2": 198, "lb3": None})
    assert cli("status").out.splitlines()[-1] == "sync      200 here, 198 on lb2, unknown on lb3"
    director.sync = SyncView(200)
    assert cli("status").out.splitlines()[-1] == "sync      200 here"


def test_status_for_monitoring(cli: Command, director: Director) -> None:
    """With --check the exit status tells whether there are warnings; without, that it was told."""
    assert cli("status", "--check").status == 0
    director.warnings = ("service web is degraded",)
    done = cli("status", "--check")
    assert done.status == 1
    assert done.out.endswith("warning   service web is degraded\n")
    assert cli("status").status == 0


def test_services(cli: Command) -> None:
    """Services in aligned columns, as many as there are words in the head."""
    head, web, *_ = cli("services").out.splitlines()
    assert head[:69] == "SERVICE  KEY                   MODE  SCHEDULER  STATE     SERVERS  AC"
    assert web[:69] == "web      tcp 192.0.2.100:80    nat   wlc        degraded  1/2      40"
    assert head.split()[6:] == ["ACTIVE", "INACTIVE", "CONN/S", "IN", "OUT"]
    assert web.split()[7:] == ["40", "0", "12", "0B/s", "1.5kB/s"]


def test_servers(cli: Command) -> None:
    """Servers with the weight in the kernel, and why they are as they are."""
    lines = cli("servers", "web/10.0.0.2:80").out.splitlines()
    assert lines == [
        "SERVICE  SERVER  ADDRESS      MODE  WEIGHT  STATE  SINCE  ACTIVE  INACTIVE  NOTE",
        "web      rs2     10.0.0.2:80  nat   - (10)  down   -      0       0         connection refused",
    ]
    assert "[2001:db8::3]:80" in cli("servers", "rs6").out


def test_fallback_is_told() -> None:
    """A fallback server is told to be one."""
    server = {
        "service": "web",
        "name": "sorry",
        "address": "10.0.0.9",
        "port": 80,
        "mode": "nat",
        "weight": 1,
        "weight_now": None,
        "state": "up",
        "since": None,
        "active": 0,
        "inactive": 1,
        "persistent": 2,
        "override": None,
        "detail": "unchecked",
        "fallback": True,
    }
    row = see._server(server, 0.0)
    assert row[-1] == "fallback; unchecked"
    assert row[-2] == 3


def test_overrides(cli: Command) -> None:
    """What was said by hand, with age, end, author and reason."""
    assert cli("overrides").out == "no overrides\n"
    cli("weight", "web/rs1", "3", "--for", "1h", "--reason", "slow disk")
    head, row = cli("overrides").out.splitlines()
    assert head.split() == ["TARGET", "KIND", "AGE", "LEFT", "BY", "REASON"]
    assert row.startswith("web/rs1  weight 3  ")
    assert row.endswith("slow disk")


def test_plan(cli: Command, director: Director) -> None:
    """The steps, one a line, or that there is none."""
    assert cli("plan").out == "set tcp 192.0.2.100:80 server 10.0.0.1:80 weight 10\n"
    director.steps = []
    assert cli("plan").out == "nothing to change\n"


def test_vrrp(cli: Command) -> None:
    """Instances in a table, with what has failed in the note."""
    lines = cli("vrrp").out.splitlines()
    assert lines[1].startswith("public    master  150 (200)  eth0       51")
    assert lines[1].endswith("gateway 192.0.2.254: no answer; no advertisement")


def test_many_addresses(cli: Command, director: Director) -> None:
    """The table shows the first and how many more there are; one instance has each on a line."""
    many = tuple(f"192.0.2.{n}/24" for n in range(1, 201))
    director.instances["public"] = replace(director.instances["public"], addresses=many)
    assert " 192.0.2.1/24 192.0.2.2/24 192.0.2.3/24 and 197 more " in cli("vrrp").out.splitlines()[1]
    lines = cli("vrrp", "public").out.splitlines()
    assert [line.split()[-1] for line in lines if "/24" in line] == [*many]
    assert sum(line.startswith("addresses ") for line in lines) == 1


def test_one_instance(cli: Command) -> None:
    """One instance in full; an unknown one is status 4."""
    out = cli("vrrp", "public").out
    assert "tracks gateway 192.0.2.254  failed (-50) no answer\n" in out
    assert "counted checksum            1\n" in out
    assert "multicast" in cli("vrrp", "inside").out
    done = cli("vrrp", "outside")
    assert done.status == 4
    assert done.err == "lvsha-cli: no VRRP instance 'outside'\n  there is public, inside\n"


def test_handed_over(cli: Command, director: Director) -> None:
    """An instance that was handed over says that it takes nothing back, and whose it is."""
    handed = {"state": "backup", "master": "192.0.2.2", "master_priority": 100, "yields": True}
    director.instances["inside"] = replace(director.instances["inside"], **handed)
    assert "pre-empts nobody until released; no advert" in cli("vrrp").out
    shown = cli("vrrp", "inside").out
    assert "192.0.2.2, priority 100\n" in shown
    assert "not before it is released\n" in shown


def test_held(cli: Command) -> None:
    """An instance that is held says so first."""
    assert cli("hold", "inside").out.splitlines()[2].endswith("held by an operator; no advertisement")


def test_doctor(cli: Command, director: Director) -> None:
    """Findings with the command that mends them; status 1 when something is wrong."""
    assert cli("doctor").out == "all is well: 1 thing looked at\n"
    verbose = cli("doctor", "--verbose").out
    assert verbose == "ok       kernel: IPVS 1.2.1 answers\nall is well: 1 thing looked at\n"
    director.findings = [
        FindingView("error", "ip_forward", "is 0: nothing is forwarded", "sysctl -w net.ipv4.ip_forward=1"),
        FindingView("warning", "clock", "is not synchronised"),
    ]
    done = cli("doctor")
    assert done.status == 1
    assert done.out == (
        "error    ip_forward: is 0: nothing is forwarded\n"
        "         sysctl -w net.ipv4.ip_forward=1\n"
        "warning  clock: is not synchronised\n"
        "2 things to look at\n"
    )
    director.findings = director.findings[1:]
    assert cli("doctor").status == 0


@pytest.mark.parametrize("name", ["status", "services", "servers", "overrides", "plan", "vrrp", "doctor"])
def test_json(cli: Command, name: str) -> None:
    """With --json, before or after the command, the answer is the API's own."""
    before, after = cli("--json", name), cli(name, "--json")
    assert json.loads(before.out) is not None
    assert before.out == after.out


def test_hostile_detail(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server sent cannot steer a terminal or forge a line."""
    from tests.lab import control

    evil = "\x1b[2J\x1b]0;owned\x07 banner\nweb  rs9  10.0.0.9:80"
    monkeypatch.setattr(control, "SERVERS", (replace(control.SERVERS[0], detail=evil),))
    out = cli("servers").out
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out
    assert "\\x1b[2J\\x1b]0;owned\\x07 banner\\nweb" in out
