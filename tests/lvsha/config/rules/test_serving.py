"""Tests of `lvsha.config.rules.serving`."""

from __future__ import annotations

import pytest

from tests.lab.desk import Desk

NODES = """
[nodes.lb1]
priority = 200
address = "192.0.2.1"
[nodes.lb2]
priority = 100
address = "192.0.2.2"
[peer]
key = "hex:abababababababababababababababababababababababababababababababab"
"""
PUBLIC = """
[vrrp.public]
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]
"""
GROUP = PUBLIC + 'group = "site"\n'
INSIDE = """
[vrrp.inside]
interface = "eth1"
vrid = 52
addresses = ["10.0.0.1/24"]
"""
SYNC = '[sync]\ninterface = "eth1"\n'
SERVE = "[ipvs]\ndirectors_serve = true\n"
PAIR = NODES + PUBLIC + SYNC


def web(*servers: str, mode: str = "dr", scheduler: str = "rr", check: str = '"none"', more: str = "") -> str:
    """A service with these servers."""
    entries = "".join(f'[[services.web.servers]]\naddress = "{address}"\n' for address in servers)
    return (
        f'[services.web]\naddress = "192.0.2.100"\nport = 80\nmode = "{mode}"\nscheduler = "{scheduler}"\n'
        f"check = {check}\n{more}{entries}"
    )


DIRECTORS = web("192.0.2.1", "192.0.2.2", "192.0.2.11")


def test_directors_that_serve(desk: Desk) -> None:
    """With sync and one group the file is right on both nodes, and the director is told."""
    text = NODES + GROUP + INSIDE + 'group = "site"\n' + SYNC + SERVE + DIRECTORS
    for node in ("lb1", "lb2"):
        assert desk.warnings(text, node) == []
        assert desk.load(text, node).ipvs.directors_serve
    assert not desk.load(PAIR + web("192.0.2.11"), "lb1").ipvs.directors_serve


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        (NODES + PUBLIC + SERVE + DIRECTORS, "ipvs.directors_serve", "needs [sync]", "add [sync]"),
        (NODES + SYNC + SERVE, "ipvs.directors_serve", "needs a VRRP instance", "add [vrrp.NAME]"),
        (
            PAIR + SERVE + "sysctl = { backup_only = 1 }\n" + DIRECTORS,
            "ipvs.sysctl.backup_only",
            "follows the election",
            "leave it out",
        ),
        (
            PAIR + INSIDE + SERVE + DIRECTORS,
            "ipvs.directors_serve",
            "vrrp.public, vrrp.inside may be on different nodes",
            "the same group",
        ),
        (
            NODES + GROUP + INSIDE + SYNC + SERVE + DIRECTORS,
            "ipvs.directors_serve",
            "may be on different nodes",
            "the same group",
        ),
        (
            PAIR + SERVE + web("192.0.2.1", mode="tun"),
            "services.web.servers[0].mode",
            "192.0.2.1 is the director lb1, and directors share a link",
            'use "dr"',
        ),
    ],
)
def test_what_it_needs(desk: Desk, text: str, path: str, message: str, hint: str) -> None:
    """Each mix that cannot work is one error, at its key, with the reason and what to do."""
    problem = desk.error(text, "lb1")
    assert (problem.path, message in problem.message, hint in problem.hint) == (path, True, True)


def test_masquerading_to_a_director(desk: Desk) -> None:
    """Its answers would not pass the master; the other servers' do."""
    servers = web("192.0.2.1", "10.0.0.11", mode="nat")
    problem = desk.error(NODES + GROUP + INSIDE + 'group = "site"\n' + SYNC + SERVE + servers, "lb2")
    assert problem.path == "services.web.servers[0].mode"
    assert "its answers do not pass the master" in problem.message


def test_a_check_by_the_clients_way(desk: Desk) -> None:
    """Every server that would be asked so is named: the backup directs no probe either."""
    text = PAIR + SERVE + web("192.0.2.1", "192.0.2.11", check='{ kind = "tcp", through = "vip" }')
    errors = desk.report(text, "lb1").errors
    assert [problem.path for problem in errors] == [f"services.web.servers[{n}].check" for n in (0, 1)]
    assert all("leads nowhere from the director that is not master" in problem.message for problem in errors)


@pytest.mark.parametrize(
    ("scheduler", "circles"), [("rr", True), ("wlc", True), ("mh", False), ("sh", False)]
)
def test_a_director_that_is_a_server_by_chance(desk: Desk, scheduler: str, circles: bool) -> None:
    """Without the option a warning names the other director; with a hash both come to the same server."""
    servers = web("192.0.2.1", "192.0.2.2", scheduler=scheduler)
    problem = desk.warning(PAIR + servers, "lb1")
    assert (problem.path, problem.line) == ("services.web.servers[1]", 25)
    assert "192.0.2.2 is the director lb2" in problem.message
    assert ("in circles" in problem.message) is circles
    assert problem.hint == "set [ipvs] directors_serve = true"


@pytest.mark.parametrize(
    "text",
    [
        NODES + DIRECTORS.replace('"dr"', '"nat"'),
        PAIR + web("192.0.2.11"),
        PAIR + web("192.0.2.2", mode="fullnat", more='local_addresses = ["192.0.2.100"]\n'),
        PAIR + web("192.0.2.1"),
        PUBLIC + SYNC + web("192.0.2.1"),
    ],
)
def test_what_does_not_circle(desk: Desk, text: str) -> None:
    """No election, no director among the servers, rewritten addresses, this node alone, a lone director."""
    said = [problem.message for problem in desk.warnings(text, "lb1")]
    assert not [message for message in said if "is the director" in message]
