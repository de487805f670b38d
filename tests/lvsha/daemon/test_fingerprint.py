"""Tests of lvsha.daemon.fingerprint: the same for two nodes of one file, and for no other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvsha.daemon.fingerprint import fingerprint
from tests.lab.desk import Desk

FILE = f"""
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb1.vrrp.public]
interface = "bond0"
address = "192.0.2.11"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
[peer]
key = "hex:{"ab" * 32}"
[sync]
interface = "eth1"
[vrrp.public]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]
unicast = true
auth = {{ keys = {{ 1 = "hex:{"cd" * 32}" }} }}
[services.web]
address = "192.0.2.100"
port = 80
mode = "dr"
check = {{ kind = "tcp" }}
[[services.web.servers]]
address = "192.0.2.21"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty directory for configurations."""
    return Desk(tmp_path)


def of(desk: Desk, text: str, node: str = "lb1") -> str:
    """The fingerprint of a configuration."""
    return fingerprint(desk.load(text, node))


def test_two_nodes_of_one_file(desk: Desk) -> None:
    """Priority, interface and address of each node's instances are its own."""
    assert of(desk, FILE, "lb1") == of(desk, FILE, "lb2")
    assert len(of(desk, FILE)) == 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[vrrp.public]", '[node]\nname = "lb1"\n[vrrp.public]'),
        ("[vrrp.public]", '[api]\nsocket = "/run/x.sock"\n[vrrp.public]'),
        ("[vrrp.public]", '[state]\ndirectory = "/srv"\n[vrrp.public]'),
        ("[sync]", 'listen = "0.0.0.0"\n[sync]'),
        ('interface = "eth1"', 'interface = "ens5"'),
        ('interface = "eth0"', 'interface = "ens4"'),
        ("[vrrp.public]", "# a remark\n[vrrp.public]"),
    ],
)
def test_what_is_a_nodes_own(desk: Desk, old: str, new: str) -> None:
    """Where files and sockets are, and how its interfaces are called."""
    assert of(desk, FILE.replace(old, new)) == of(desk, FILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port = 80", "port = 81"),
        ("192.0.2.21", "192.0.2.22"),
        ('kind = "tcp"', 'kind = "tcp", port = 7'),
        ("vrid = 51", "vrid = 52"),
        ('["192.0.2.100/24"]', '["192.0.2.100/24", "192.0.2.101/24"]'),
        ("[sync]", "port = 8851\n[sync]"),
        ("priority = 100", "priority = 50"),
        ('[sync]\ninterface = "eth1"', ""),
    ],
)
def test_what_both_should_have(desk: Desk, old: str, new: str) -> None:
    """Services, servers, checks, what is elected and how: a difference there shows."""
    assert of(desk, FILE.replace(old, new)) != of(desk, FILE)


def test_the_smallest_configuration(desk: Desk) -> None:
    """There is nothing that must be there."""
    assert len(of(desk, "")) == 64
