"""What an operator says by hand."""

from __future__ import annotations

import json

import pytest

from lvsha.overrides import Kind
from tests.lab.control import Director
from tests.lvsha.cli.conftest import Command


def test_drain(cli: Command, director: Director) -> None:
    """A drain is set with its end and reason, and the servers are told as they are now."""
    done = cli("drain", "web/rs1", "--for", "1h30m", "--reason", "disk")
    assert done.status == 0
    assert "0 (10)" in done.out
    assert "drain for 1h 30m more: disk" in done.out
    [said] = director.said.entries
    assert (said.kind, said.reason) == (Kind.DRAIN, "disk")
    assert said.until is not None
    assert said.until - said.since == pytest.approx(5400)


def test_drain_and_wait(cli: Command) -> None:
    """With --wait a line tells each change until no connection is left."""
    done = cli("drain", "web/rs1", "--wait", "--timeout", "1m")
    assert done.status == 0
    assert done.out.splitlines() == [
        "30 connections left",
        "20 connections left",
        "10 connections left",
        "0 connections left",
        "web/rs1 has no connections",
    ]


def test_wait_again(cli: Command, director: Director) -> None:
    """Waiting for a server that is drained already leaves the end and the reason of that drain alone."""
    cli("drain", "web/rs1", "--for", "1h", "--reason", "disk")
    assert cli("drain", "web/rs1", "--wait").status == 0
    [said] = director.said.entries
    assert said.reason == "disk"
    assert said.until is not None


def test_wait_in_json(cli: Command) -> None:
    """With --json nothing but the servers is told, when they are idle."""
    answer = json.loads(cli("--json", "drain", "web/rs1", "--wait").out)
    assert [(s["name"], s["active"]) for s in answer] == [("rs1", 0)]


def test_wait_too_long(cli: Command, director: Director) -> None:
    """When connections do not end in time, the status is 5 and the drain stays in force."""
    director.ending = 0
    done = cli("drain", "web/rs1", "--wait", "--timeout", "200ms")
    assert done.status == 5
    assert "web/rs1 still has 42 connections after 0s; it stays drained" in done.err
    assert "lvsha-cli disable web/rs1" in done.err
    assert len(director.said.entries) == 1


def test_timeout_alone(cli: Command, director: Director) -> None:
    """--timeout without --wait is a mistake, and nothing is done."""
    done = cli("drain", "web/rs1", "--timeout", "5m")
    assert done.status == 2
    assert "--timeout goes with --wait" in done.err
    assert director.said.entries == ()


def test_undrain(cli: Command, director: Director) -> None:
    """A drain taken back is gone; to take back what is not there is no error."""
    cli("drain", "web/rs1")
    assert cli("undrain", "web/rs1").status == 0
    assert director.said.entries == ()
    assert cli("undrain", "web/rs1").status == 0


def test_disable_and_enable(cli: Command) -> None:
    """A disabled server is out of the table until it is enabled."""
    assert "- (10)" in cli("disable", "web/rs1", "--reason", "broken").out
    assert "- (10)" not in cli("enable", "web/rs1").out


def test_what_is_still_in_force(cli: Command) -> None:
    """A server that is drained as well is not back when it is enabled: the status is 1 and says why."""
    cli("drain", "web/rs1")
    cli("disable", "web/rs1")
    done = cli("enable", "web/rs1")
    assert done.status == 1
    assert done.err == (
        "lvsha-cli: web/rs1: drain is still in force\n  take it back: lvsha-cli undrain web/rs1\n"
    )


def test_weight(cli: Command, director: Director) -> None:
    """A weight by hand, in every service of that name, and back to the configured one."""
    assert cli("weight", "rs1", "3").out.count("weight 3") == 2
    assert director.said.entries[0].weight == 3
    assert "weight 3" not in cli("weight", "rs1", "reset").out


@pytest.mark.parametrize("number", ["-1", "65536", "1.5", "x", "9" * 50, "٣"])
def test_no_weight(cli: Command, director: Director, number: str) -> None:
    """What is no weight is a mistake of the command line."""
    assert cli("weight", "rs1", "--", number).status == 2
    assert director.said.entries == ()


@pytest.mark.parametrize("duration", ["", "x", "5", "-5m", "5 m", "5y", "1e9", "inf"])
def test_no_duration(cli: Command, director: Director, duration: str) -> None:
    """What is no duration is a mistake; a plain number is seconds."""
    done = cli("drain", "rs1", f"--for={duration}")
    assert done.status == (0 if duration == "5" else 2)
    assert len(director.said.entries) == (duration == "5")


def test_wrong_targets(cli: Command) -> None:
    """A target that names nothing, or two machines, is status 4 with what may have been meant."""
    done = cli("drain", "web/rs11")
    assert done.status == 4
    assert done.err == (
        "lvsha-cli: no server 'web/rs11' in the configuration\n  did you mean web/rs1 or web/rs2?\n"
    )
    ambiguous = cli("drain", "worker")
    assert ambiguous.status == 4
    assert "say which: pool-a/10.0.0.21:80, pool-b/10.0.0.22:80" in ambiguous.err
