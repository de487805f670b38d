"""Tests of `lvsha.realserver.record`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from checks.audit.steps import AddAddress, AddFou, AddLink, SetMtu, SetSysctl, SetUp
from lvsha.errors import StateError
from lvsha.realserver.record import NAME, Record, load, save
from lvsha.store import write_document

RECORD = Record(
    (
        AddFou(6080, 6),
        AddLink("lvsha-gre", "gre", "10.0.1.11", 1476, checksum=True),
        SetSysctl("eth0.5", "arp_ignore", 1, 0),
        SetMtu("t1", 1480, 1500),
        SetUp("lvsha-gre"),
        AddAddress("2001:db8::100", "lvsha-gre"),
    ),
    ("etc/lvsha/realserver.toml",),
)


def test_there_and_back(tmp_path: Path) -> None:
    """What was kept is read again, every kind of step."""
    save(tmp_path / "new", RECORD)
    assert load(tmp_path / "new") == RECORD
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_nothing_is_no_file(tmp_path: Path) -> None:
    """A machine on which nothing was done has nothing on record, and keeps no file that says so."""
    assert load(tmp_path) == Record()
    save(tmp_path, RECORD)
    save(tmp_path, Record())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [
        {"step": "Reboot"},
        {"step": "SetUp"},
        {"step": "SetUp", "name": 7},
        {"step": "SetUp", "name": "eth0", "more": 1},
        {"step": "SetSysctl", "interface": "all", "setting": "arp_ignore", "value": True, "before": 0},
        {"name": "eth0"},
        "SetUp",
    ],
    ids=json.dumps,
)
def test_steps_that_make_no_sense(tmp_path: Path, step: object) -> None:
    """A record is what commands are made of: what is no step is refused, and nothing is done."""
    write_document(tmp_path / NAME, "realserver", 1, {"steps": [step], "files": []})
    with pytest.raises(StateError, match="makes no sense"):
        load(tmp_path)


def test_another_file(tmp_path: Path) -> None:
    """A damaged record is kept aside, as any of lvsha's files."""
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(StateError, match=r"kept as realserver\.json\.bad-1"):
        load(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=f"file/{NAME} cannot be written"):
        save(tmp_path / "file", RECORD)
