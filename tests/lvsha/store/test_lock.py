"""Tests of `lvsha.store.lock`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvsha.store.lock import take


def test_one_has_it_until_it_lets_go(tmp_path: Path) -> None:
    """A second one gets nothing, and then everything."""
    first = take(tmp_path / "lock")
    assert first is not None
    assert take(tmp_path / "lock") is None
    first.close()
    second = take(tmp_path / "lock")
    assert second is not None
    second.close()


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    """Whoever is killed with it leaves it free."""
    pid = os.fork()
    if pid == 0:
        kept = take(tmp_path / "lock")
        os._exit(0 if kept is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    lock = take(tmp_path / "lock")
    assert lock is not None
    lock.close()


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A link in its place is an error, not a file made elsewhere."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        take(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()
