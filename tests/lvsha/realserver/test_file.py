"""Tests of `lvsha.realserver.file`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from checks.audit import Encapsulation, Preparation
from lvsha.errors import InputError
from lvsha.realserver import file
from tests.lab.desk import Desk

DOCUMENT = Path(__file__).parents[3] / "docs" / "realserver.md"
DR = 'mode = "dr"\nvips = ["192.0.2.100"]\n'


@pytest.mark.parametrize(
    "wanted",
    [
        Preparation("dr", ("192.0.2.100", "2001:db8::100"), interfaces=("eth0", "eth1.5")),
        Preparation("tun", ("192.0.2.100",), local="10.0.1.11", directors=("10.0.1.1",)),
        Preparation("tun", ("192.0.2.100",), Encapsulation("gue", 6080, "remote"), device="tunl0"),
    ],
)
def test_there_and_back(tmp_path: Path, wanted: Preparation) -> None:
    """What is written is read again, and is text that a person can read."""
    path = tmp_path / "realserver.toml"
    path.write_text(file.text(wanted, "# Ours."))
    assert file.read(path) == wanted


def test_what_a_person_writes(tmp_path: Path) -> None:
    """Only mode and vips are required; one address needs no list."""
    path = tmp_path / "realserver.toml"
    path.write_text('mode = "tun"\nvips = "192.0.2.100"\n[tunnel]\nkind = "gre"\n')
    assert file.read(path) == Preparation("tun", ("192.0.2.100",), Encapsulation("gre"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode", "is not TOML"),
        ("", "mode: missing; vips: missing"),
        (DR + 'vip = "192.0.2.1"', "vip: unknown; known are device, directors, interfaces, local, mode"),
        (DR + 'local = 3\ndirectors = ["10.0.0.1", 5]', "local: must be a text; directors: must be a list"),
        (DR.replace('"192.0.2.100"', '"www"'), "'www' is not an IP address"),
        (DR.replace("dr", "tun") + 'tunnel = "gre"', "tunnel: must be a table"),
        (DR.replace("dr", "tun") + 'tunnel = { kind = "gue", port = "6080" }', "port: must be a number"),
        (DR.replace("dr", "tun") + 'tunnel = { kind = "gue", port = true }', "port: must be a number"),
        (DR.replace("dr", "tun") + 'tunnel = { kind = "gue" }', "port: missing: gue travels over UDP"),
        (DR + "\xff", "is not TOML"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, text: str, message: str) -> None:
    """Every mistake is told, with the file."""
    path = tmp_path / "realserver.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"realserver\.toml") as refused:
        file.read(path)
    assert message in str(refused.value)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, or is none, says so."""
    with pytest.raises(InputError, match="no such file"):
        file.read(tmp_path / "realserver.toml")
    with pytest.raises(InputError, match="not a regular file"):
        file.read(tmp_path)


def test_the_examples_of_the_document(tmp_path: Path) -> None:
    """docs/realserver.md shows a file as it can be read, and a check that the director takes."""
    mine, directors = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    path = tmp_path / "realserver.toml"
    path.write_text(mine)
    assert file.read(path).tunnel == Encapsulation("gue", 6080)
    assert Desk(tmp_path).report(directors).errors == ()
