"""Tests of `lvsha.config.resolve.peer`."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from lvsha.config import PeerConfig, Report
from tests.lab.desk import Desk

LB1, LB2 = ip_address("192.0.2.1"), ip_address("192.0.2.2")
NODES = '[nodes.lb1]\naddress = "192.0.2.1"\n[nodes.lb2]\naddress = "192.0.2.2"\n'
PEER = f'[peer]\nkey = "hex:{"ab" * 32}"\n'
KEY = b"\xab" * 32


def said(report: Report) -> list[tuple[str, str]]:
    """Where the errors are, and what they say."""
    return [(p.path, p.message) for p in report.errors]


def test_who_this_node_is_to_the_others(desk: Desk) -> None:
    """It listens on its own address; the other nodes are its peers, on each as seen from there."""
    assert desk.load(NODES + PEER, "lb1").peer == PeerConfig(KEY, LB1, LB1, {"lb2": LB2}, 8850)
    assert desk.load(NODES + PEER, "lb2").peer == PeerConfig(KEY, LB2, LB2, {"lb1": LB1}, 8850)


def test_every_key(desk: Desk, tmp_path: Path) -> None:
    """The key may stand in a file; address and port may be chosen."""
    (tmp_path / "peer.key").write_text(f"hex:{'cd' * 40}\n")
    (tmp_path / "peer.key").chmod(0o600)
    text = f'[peer]\nkey = "file:{tmp_path}/peer.key"\nlisten = "0.0.0.0"\nport = 8851\n'
    wanted = PeerConfig(b"\xcd" * 40, LB1, ip_address("0.0.0.0"), {"lb2": LB2}, 8851)
    assert desk.load(NODES + text, "lb1").peer == wanted


def test_none_by_default(desk: Desk) -> None:
    """Without the table nobody is connected to."""
    assert desk.load(NODES, "lb1").peer is None


@pytest.mark.parametrize(
    ("nodes", "path", "message"),
    [
        ("", "peer", "there is no other node to connect to"),
        ('[nodes.lb1]\naddress = "192.0.2.1"\n', "peer", "there is no other node to connect to"),
        (NODES + "[nodes.lb3]\n", "nodes.lb3", "has no address, and [peer] connects the nodes"),
        ('[nodes.lb1]\n[nodes.lb2]\naddress = "192.0.2.2"\n', "nodes.lb1", "has no address"),
    ],
)
def test_nodes_that_cannot_be_connected(desk: Desk, nodes: str, path: str, message: str) -> None:
    """It takes two nodes, and an address of each."""
    ((where, what),) = said(desk.report(nodes + PEER, "lb1"))
    assert where == path
    assert message in what


def test_a_key_that_is_none(desk: Desk, tmp_path: Path) -> None:
    """Too short, or in a file that is not there: told, and never shown."""
    assert said(desk.report(NODES + '[peer]\nkey = "s3cret"\n', "lb1")) == [
        ("peer.key", "is 6 bytes long, not 32 to 64")
    ]
    text = f'[peer]\nkey = "file:{tmp_path}/none"\n'
    assert said(desk.report(NODES + text, "lb1")) == [("peer.key", f"{tmp_path}/none there is no such file")]


def test_a_node_that_is_not_in_the_file(desk: Desk) -> None:
    """Only that is told."""
    assert [path for path, _ in said(desk.report(NODES + PEER, "lb3"))] == ["nodes"]


def test_a_key_in_a_file_that_everybody_may_read(desk: Desk) -> None:
    """The configuration with the key in it is as secret as the key."""
    file = desk.write(NODES + PEER)
    file.chmod(0o644)
    from lvsha.config import check

    (problem,) = check(file, "lb1").warnings
    assert (problem.path, problem.hint) == ("peer.key", f"chmod o-r {file}")
