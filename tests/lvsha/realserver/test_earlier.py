"""Tests of `lvsha.realserver.earlier`."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.audit import Preparation
from checks.audit.steps import AddAddress, AddLink, SetSysctl
from lvsha.realserver import file, persist
from lvsha.realserver.earlier import Earlier, earlier
from lvsha.realserver.record import Record

FOUR, OTHER = "192.0.2.100", "192.0.2.101"
ON_LO = AddAddress(FOUR, "lo")


def test_nothing(tmp_path: Path) -> None:
    """An empty record is no set-up."""
    assert earlier(tmp_path, Record()) is None


def test_its_file(tmp_path: Path) -> None:
    """The file says it all, also what was there before; spoilt, it says nothing."""
    path = tmp_path / persist.WANTED
    path.parent.mkdir(parents=True)
    path.write_text(file.text(Preparation("dr", (FOUR, OTHER)), persist.OURS))
    known = Record((ON_LO,), (str(persist.WANTED),))
    assert str(earlier(tmp_path, known)) == f"--mode dr --vip {FOUR} --vip {OTHER}"
    path.write_text("mode =")
    assert str(earlier(tmp_path, known)) == f"--mode dr --vip {FOUR}"


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (Record((ON_LO,)), f"--mode dr --vip {FOUR}"),
        (Record((AddAddress(FOUR, "tunl0"),)), f"--mode tun --vip {FOUR}"),
        (Record((AddLink("lvsha-ipip", "ipip", "10.0.1.11", 1480),)), "--mode tun"),
        (Record((SetSysctl("all", "arp_ignore", 1, 0),)), ""),
    ],
)
def test_what_was_done(tmp_path: Path, known: Record, told: str) -> None:
    """Without a file, as far as it tells."""
    assert str(earlier(tmp_path, known)) == told


@pytest.mark.parametrize(
    ("mode", "vips", "whole", "differs"),
    [
        ("", set(), True, False),
        ("dr", {FOUR}, True, False),
        ("tun", {FOUR}, True, True),
        ("dr", {OTHER}, True, True),
        ("dr", {FOUR, OTHER}, True, True),
        ("dr", {FOUR, OTHER}, False, False),
        ("dr", {OTHER}, False, True),
    ],
)
def test_whether_another_is_meant(mode: str, vips: set[str], whole: bool, differs: bool) -> None:
    """Another mode, or other addresses; one that was there already may be missing from a record."""
    assert Earlier("dr", frozenset({FOUR}), whole).differs(mode, frozenset(vips)) is differs
