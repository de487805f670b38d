"""Tests of `lvsha.cli.wanted`: options become what a server must be ready for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from checks.audit import Encapsulation, Preparation
from lvsha.cli.failure import CommandError, Status
from lvsha.cli.wanted import filed, said, wanted_options


def parse(*arguments: str) -> Preparation | None:
    """What these arguments come to."""
    found: list[Preparation | None] = []

    @click.command()
    @wanted_options
    def command(**options: Any) -> None:
        found.append(said(options))

    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return found[0]


def test_nothing_said() -> None:
    """Without an option it is for the caller to know."""
    assert parse() is None


def test_direct_routing() -> None:
    """Options that are repeated make lists."""
    said_so = parse("--mode", "dr", "--vip", "192.0.2.100", "--vip", "2001:db8::1", "--interface", "eth0")
    assert said_so == Preparation("dr", ("192.0.2.100", "2001:db8::1"), interfaces=("eth0",))


def test_a_tunnel() -> None:
    """Its options make one encapsulation."""
    options = "--mode tun --vip 192.0.2.100 --tunnel gue --port 6080 --checksum remote --local 10.0.0.1"
    assert parse(*options.split(), "--director", "10.0.0.254") == Preparation(
        "tun",
        ("192.0.2.100",),
        Encapsulation("gue", 6080, "remote"),
        local="10.0.0.1",
        directors=("10.0.0.254",),
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--vip 192.0.2.100", "mode: '' is none of dr, tun"),
        ("--mode dr", "vips: missing"),
        ("--mode tun --vip 192.0.2.100 --tunnel gue", "port: missing: gue travels over UDP"),
        ("--mode dr --vip 192.0.2.100 --device tunl0", "device: is of mode tun only"),
    ],
)
def test_what_makes_no_sense(options: str, problem: str) -> None:
    """What is missing or does not go together is said, with the status of a wrong command line."""
    with pytest.raises(CommandError) as refused:
        parse(*options.split())
    assert refused.value.status is Status.WRONG
    assert problem in refused.value.lines


def test_from_a_file(tmp_path: Path) -> None:
    """A file says it all."""
    path = tmp_path / "realserver.toml"
    path.write_text('mode = "dr"\nvips = ["192.0.2.100"]\n')
    assert parse("--from", str(path)) == Preparation("dr", ("192.0.2.100",))
    with pytest.raises(click.UsageError, match="--from says it all"):
        parse("--from", str(path), "--mode", "dr")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named; of the usual one it is said what to do without it."""
    with pytest.raises(CommandError, match="no such file") as refused:
        parse("--from", str(tmp_path / "x.toml"))
    assert refused.value.lines == ()
    if not Path("/etc/lvsha/realserver.toml").exists():
        with pytest.raises(CommandError) as refused:
            filed()
        assert refused.value.lines == ("say --mode and --vip",)
