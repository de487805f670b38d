"""Tests of `lvsha.realserver.remote`: what the director's configuration asks of a server, over a real SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.audit import Encapsulation, Preparation
from lvsha.config import load
from lvsha.daemon.plain import plain
from lvsha.errors import InputError, UnavailableError
from lvsha.realserver.remote import Known, findings, known
from tests.lab.targets import LOOPBACK, Sshd, openssh

CONFIG = """
[nodes.lb1]
address = "10.0.1.1"
[nodes.lb2]
address = "10.0.1.2"

[vrrp.front]
interface = "lo"
vrid = 51
addresses = ["192.0.2.100/24"]

[servers]
rs1 = { address = "10.0.1.11" }
rs2 = { address = "10.0.1.12" }

[services.web]
address = "192.0.2.100"
port = 80
mode = "dr"
check = { kind = "realserver", user = "audit", key = "/k", known_hosts = "/h" }
servers = [{ server = "rs1" }, { server = "rs2" }]

[services.mail]
address = "192.0.2.101"
port = 25
mode = "dr"
check = "none"
servers = [{ server = "rs1" }]

[services.far]
address = "192.0.2.102"
port = 80
mode = "tun"
check = "none"
servers = [{ server = "rs1", tunnel = { kind = "gue", port = 6080, checksum = "remote" } }]
fallback = [{ name = "sorry", address = "10.0.9.9" }]

[services.inside]
address = "192.0.2.103"
port = 80
check = "none"
servers = [
    { server = "rs2" },
    { name = "other", address = "10.0.1.13" },
    { name = "sorry", address = "10.0.9.8" },
]

[services.marked]
fwmark = 7
mode = "dr"
check = "none"
servers = [{ server = "rs2" }]
"""


@pytest.fixture
def config(tmp_path: Path) -> Any:
    """The configuration as the API gives it."""
    path = tmp_path / "lvsha.toml"
    path.write_text(CONFIG)
    return plain(load(path, "lb1"))


def test_what_is_asked_of_a_server(config: Any) -> None:
    """Its services together, one preparation for each way that packets come, and how its check logs in."""
    directors = ("10.0.1.1", "10.0.1.2", "192.0.2.100")
    assert known(config, "rs1") == Known(
        "rs1",
        "10.0.1.11",
        (
            Preparation("dr", ("192.0.2.100", "192.0.2.101"), directors=directors),
            Preparation(
                "tun",
                ("192.0.2.102",),
                Encapsulation("gue", 6080, "remote"),
                local="10.0.1.11",
                directors=directors,
            ),
        ),
        {"user": "audit", "key": "/k", "known_hosts": "/h"},
    )


def test_targets(config: Any) -> None:
    """By name in one service, by address; modes that ask nothing and marks are passed over."""
    assert known(config, "mail/rs1").preparations[0].vips == ("192.0.2.101",)
    assert known(config, "10.0.1.12") == known(config, "rs2")
    assert [wanted.vips for wanted in known(config, "rs2").preparations] == [("192.0.2.100",)]
    assert known(config, "far/sorry").preparations[0].tunnel == Encapsulation()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("rs7", "no server 'rs7'"),
        ("mail/rs2", "no server 'mail/rs2'"),
        ("other", "other is used in mode nat, which needs nothing of a server"),
        ("sorry", r"means several servers: sorry \(10.0.9.8\), sorry \(10.0.9.9\)"),
    ],
)
def test_targets_that_mean_nothing(config: Any, target: str, message: str) -> None:
    """What names no such server says why."""
    with pytest.raises(InputError, match=message):
        known(config, target)


def test_another_kind_of_answer() -> None:
    """A daemon of another make is no reason to crash."""
    with pytest.raises(InputError, match="not as this lvsha-cli knows it"):
        known({"services": {"web": {}}}, "rs1")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real OpenSSH server on this machine."""
    with openssh(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


def here(**login: str) -> Known:
    """The tests' own machine as a real server, which it is not prepared to be."""
    return Known("rs1", LOOPBACK, (Preparation("dr", ("192.0.2.177",)),), login)


def test_over_ssh(sshd: Sshd) -> None:
    """With user, key and host key the findings about the other end come back."""
    server = here(user=sshd.user, key=sshd.key, host_key=sshd.host_key)
    found = findings(server, {}, sshd.port, 30)
    assert "address 192.0.2.177" in [finding.setting for finding in found if not finding.ok]


def test_what_is_said_counts(sshd: Sshd, tmp_path: Path) -> None:
    """Options go before what the server's check says."""
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[{LOOPBACK}]:{sshd.port} {sshd.host_key}\n")
    given = {"user": sshd.user, "key": sshd.key, "known_hosts": str(hosts)}
    assert findings(here(user="nobody", key="/nowhere", host_key=sshd.host_key), given, sshd.port, 30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"known_hosts": "/nowhere"}, r"rs1 \(127.0.0.1:\d+\) cannot be looked at: .*No such file"),
        ({"key": "/nowhere"}, "No such file"),
    ],
)
def test_no_way_in(sshd: Sshd, changes: dict[str, str | None], message: str) -> None:
    """What keeps one out is said with the server and its address."""
    server = here(user=sshd.user, key=sshd.key, host_key=sshd.host_key)
    with pytest.raises(UnavailableError, match=message):
        findings(server, changes, sshd.port, 30)


def test_too_late(sshd: Sshd) -> None:
    """A server that does not answer in time is given up."""
    server = here(user=sshd.user, key=sshd.key, host_key=sshd.host_key)
    with pytest.raises(UnavailableError, match=r"has not answered within 0\.001 s"):
        findings(server, {}, sshd.port, 0.001)


def test_nonsense(sshd: Sshd) -> None:
    """A login of which none can be made is told before anything is tried."""
    with pytest.raises(InputError, match="no login can be made of that: host_key: not a public key"):
        findings(here(user="root", key="/k", host_key="xyz"), {}, sshd.port, 30)
