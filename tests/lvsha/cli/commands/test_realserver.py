"""The commands about real servers, on a real server of a test network and against a director."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.control import Director
from tests.lab.network import Node, topology
from tests.lab.targets import Sshd, openssh
from tests.lvsha.cli.conftest import Command, Done

DR = ("--mode", "dr", "--vip", "192.0.2.100")


@pytest.fixture
def rs1() -> Iterator[Node]:
    """A real server."""
    with topology(servers=1, server_segments=("front",)) as net:
        yield net["rs1"]


@pytest.fixture
def on(rs1: Node, cli: Command, tmp_path: Path) -> Command:
    """Runs a command on it, with a state directory of the test's own."""

    def command(name: str, *arguments: str) -> Done:
        own = ("--state", str(tmp_path / "state")) if name != "check" else ()
        with rs1.entered():
            return cli("realserver", name, *own, *arguments)

    return command


@pytest.mark.net
def test_check(on: Command) -> None:
    """Each setting: what is, what is needed and why, and the command that mends it; status 1."""
    done = on("check", *DR)
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0] == (
        "error    net.ipv4.conf.front.arp_ignore is 0 (all 0, front 0: the larger one counts), needed is 1: "
        "asked by ARP for a service's address, the server answers and steals it"
    )
    assert lines[1] == "         sysctl -w net.ipv4.conf.all.arp_ignore=1"
    assert lines[-1] == "3 things to look at"


@pytest.mark.net
def test_from_nothing_and_back(on: Command) -> None:
    """Set up, check, undo: every command that is run is shown."""
    done = on("setup", "--no-persist", *DR)
    assert (done.status, done.out.splitlines()) == (
        0,
        [
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
            "sysctl -w net.ipv4.conf.all.arp_announce=2",
            "ip address add 192.0.2.100/32 dev lo scope host",
            "all is well",
        ],
    )
    assert on("setup", "--no-persist", *DR).out == "nothing to do\nall is well\n"
    done = on("check", *DR)
    assert (done.status, done.out.splitlines()[-1]) == (0, "all is well")
    assert on("undo", "--dry-run").out.splitlines()[0] == "ip address del 192.0.2.100/32 dev lo"
    assert on("check", *DR).status == 0
    assert on("undo").status == 0
    assert on("check", *DR).status == 1
    assert on("undo").out == "nothing to do\n"


@pytest.mark.net
def test_undo_of_something_else(on: Command) -> None:
    """Undo takes what it was set up for, and compares: where it was not that, nothing is changed."""
    on("setup", "--no-persist", *DR)
    done = on("undo", "--mode", "tun", "--vip", "192.0.2.100")
    assert (done.status, "set up for `--mode dr --vip 192.0.2.100`" in done.err) == (1, True), done
    assert on("undo", "--vip", "nowhere").status == 1
    assert on("check", *DR).status == 0
    assert on("undo", *DR).status == 0
    assert on("check", *DR).status == 1


@pytest.mark.net
def test_another_mode_takes_the_place(on: Command) -> None:
    """That a server has one set-up at a time is said where one of another mode is taken back."""
    on("setup", "--no-persist", *DR)
    said = "takes the place of the set-up for `--mode dr --vip 192.0.2.100`: a server has one at a time"
    tunnel = ("--mode", "tun", "--vip", "192.0.2.101", "--local", "192.0.2.11")
    assert on("setup", "--no-persist", "--dry-run", *tunnel).out.splitlines()[0] == said
    assert said not in on("setup", "--no-persist", *DR).out


@pytest.mark.net
def test_a_dry_run(on: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for somebody who is not root it says what would be done, and which files would be written."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    lines = on("setup", "--dry-run", *DR).out.splitlines()
    assert lines[2] == "ip address add 192.0.2.100/32 dev lo scope host"
    assert lines[3:] == [
        "file /etc/lvsha/realserver.toml",
        "file /etc/systemd/system/lvsha-realserver.service",
        "file /etc/sysctl.d/90-lvsha-realserver.conf",
    ]
    assert on("check", *DR).status == 1
    done = on("setup", "--no-persist", *DR)
    assert (done.status, done.err.splitlines()[0]) == (1, "lvsha-cli: only root can do that")


@pytest.mark.net
def test_json(on: Command) -> None:
    """The same for scripts."""
    answer = json.loads(on("setup", "--no-persist", "--json", *DR).out)
    assert answer.keys() == {"taken_back", "done", "files", "findings"}
    assert answer["done"][0] == "sysctl -w net.ipv4.conf.all.arp_ignore=1"
    (finding, *_) = json.loads(on("check", "--json", *DR).out)
    assert finding == {
        "setting": "net.ipv4.conf.front.arp_ignore",
        "found": "1 (all 1, front 0: the larger one counts)",
        "needed": "1",
        "severity": "ok",
        "why": "",
        "commands": [],
    }
    assert json.loads(on("undo", "--json").out)["taken_back"][0] == "ip address del 192.0.2.100/32 dev lo"


@pytest.mark.net
def test_a_refusal(on: Command) -> None:
    """Why the server cannot be set up, and what a person may do; status 1."""
    done = on("setup", "--no-persist", "--mode", "dr", "--vip", "192.0.2.11")
    assert (done.status, done.out) == (1, "")
    lines = done.err.splitlines()
    assert lines[0] == "lvsha-cli: this server cannot be set up as wanted"
    assert lines[1].startswith("  address 192.0.2.11 is on front, a real interface, needed is on lo")
    assert lines[2].endswith("ip address del 192.0.2.11/24 dev front")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rs3",), "TARGET and --ssh go together"),
        (("--ssh",), "TARGET and --ssh go together"),
        (("rs3", "--ssh", *DR), "stands in the daemon's configuration"),
        (("--mode", "nat"), "Invalid value for '--mode'"),
    ],
)
def test_usage(cli: Command, arguments: tuple[str, ...], message: str) -> None:
    """A command line that makes no sense."""
    done = cli("realserver", "check", *arguments)
    assert (done.status, message in done.err) == (2, True), done


# --- over SSH -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real OpenSSH server."""
    with openssh(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


@pytest.fixture
def login(director: Director, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that get in; the director knows a server rs3 there."""
    server = {
        "name": "rs3",
        "address": "127.0.0.1",
        "mode": "dr",
        "check": None,
        "tunnel": {"kind": "ipip", "port": 0, "flags": "none"},
    }
    service = {"name": "web", "address": "192.0.2.177", "servers": [server], "fallback": []}

    async def config() -> dict[str, Any]:
        return {"services": {"web": service}, "nodes": {}, "vrrp": {}}

    monkeypatch.setattr(director, "config", config)
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    return ["--user", sshd.user, "--key", sshd.key, "--known-hosts", str(hosts), "--ssh-port", str(sshd.port)]


def test_over_ssh(cli: Command, login: list[str]) -> None:
    """What the director asks of the server is looked for on the server; status 1 for findings."""
    done = cli("realserver", "check", "rs3", "--ssh", *login)
    assert (done.status, done.err) == (1, ""), done
    assert "address 192.0.2.177 is on no interface, needed is on lo" in done.out


def test_what_is_not_there(cli: Command, login: list[str]) -> None:
    """A target that nobody knows: 4. A server that cannot be looked at: 3. A login that makes no sense: 2."""
    assert cli("realserver", "check", "rs7", "--ssh", *login).status == 4
    done = cli("realserver", "check", "rs3", "--ssh", *login[:-1], "1")
    assert (done.status, "rs3 (127.0.0.1:1) cannot be looked at" in done.err) == (3, True), done
    done = cli("realserver", "check", "rs3", "--ssh", *login, "--timeout", "1ms")
    assert (done.status, "has not answered within 0.001 s" in done.err) == (3, True), done


def test_no_daemon(cli: Command, login: list[str], tmp_path: Path) -> None:
    """Without a daemon there is nobody to know the server."""
    done = cli("--socket", str(tmp_path / "none"), "realserver", "check", "rs3", "--ssh", *login)
    assert done.status == 3
