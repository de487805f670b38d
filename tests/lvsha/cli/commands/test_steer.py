"""What moves the director."""

from __future__ import annotations

import json

import pytest

from tests.lab.control import Director
from tests.lvsha.cli.conftest import Command


def test_reload(cli: Command) -> None:
    """A reload tells what changed."""
    assert cli("reload").out == "generation 2: 1 change\n  services.web.servers.rs3: added\n"


def test_refused_reload(cli: Command, director: Director) -> None:
    """A configuration with problems is status 2 with every problem."""
    director.problems = ("lvsha.toml:3: services.web.prot: unknown key", "lvsha.toml:9: no such server")
    done = cli("reload")
    assert done.status == 2
    assert done.err == (
        "lvsha-cli: the configuration has 2 problems; the one before stays in force\n"
        "  lvsha.toml:3: services.web.prot: unknown key\n"
        "  lvsha.toml:9: no such server\n"
    )
    assert director.generation == 1


def test_look(cli: Command) -> None:
    """A look tells the steps it took, and the next one has none."""
    assert cli("look").out == "set tcp 192.0.2.100:80 server 10.0.0.1:80 weight 10\n"
    assert cli("look").out == "nothing to change\n"


def test_failover(cli: Command, director: Director) -> None:
    """A failover hands over the instance named, or all."""
    cli("failover", "public")
    assert [v.state for v in director.instances.values()] == ["backup", "master"]
    cli("failover")
    assert [v.state for v in director.instances.values()] == ["backup", "backup"]


def test_failover_that_nobody_takes(cli: Command, director: Director) -> None:
    """When the peer does not take over in time, the status is 5."""
    director.peer_takes_over = False
    done = cli("failover", "public", "--wait", "10ms")
    assert done.status == 5
    assert "no peer took over public within 0.01 s; it is master here again" in done.err


def test_failover_to_a_peer_that_lacks_connections(cli: Command, director: Director) -> None:
    """It is refused with status 1 and the reason; forced it is done."""
    director.peer_lacks = "lb2 knows 12 of 200 established connections"
    done = cli("failover")
    assert done.status == 1
    assert "lb2 knows 12 of 200 established connections" in done.err
    assert [v.state for v in director.instances.values()][1] == "master"
    assert cli("failover", "--force").status == 0
    assert [v.state for v in director.instances.values()] == ["backup", "backup"]


@pytest.mark.parametrize("command", ["hold", "release", "failover"])
def test_unknown_instance(cli: Command, command: str) -> None:
    """An instance that is not there is status 4."""
    done = cli(command, "pubic")
    assert done.status == 4
    assert "did you mean public?" in done.err


def test_a_master_is_handed_over_before_it_is_held(cli: Command, director: Director) -> None:
    """Where somebody takes over, nobody is without the addresses; what is no master here is only held."""
    assert cli("hold", "public").status == 0
    assert (director.instances["public"].state, director.instances["public"].held) == ("backup", True)
    director.peer_takes_over = False
    assert cli("hold", "public").status == 0


def test_a_master_that_nobody_takes_over_from_is_not_held(cli: Command, director: Director) -> None:
    """It goes on, and the command says how it is held all the same: then nobody has the addresses."""
    director.peer_takes_over = False
    done = cli("hold", "public")
    assert (done.status, director.instances["public"].held) == (5, False)
    assert "no peer took over public" in done.err
    assert (
        "public is not held; `hold --force` does it all the same: nobody has its addresses then" in done.err
    )
    assert cli("hold", "public", "--force").status == 0
    assert director.instances["public"].held


def test_hold_and_release(cli: Command, director: Director) -> None:
    """An instance is held until it is released."""
    cli("hold", "public")
    assert director.instances["public"].held
    answer = json.loads(cli("--json", "release").out)
    assert [v["held"] for v in answer] == [False, False]
