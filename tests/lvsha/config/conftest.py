"""A desk for each test: an empty directory in which it writes its configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty directory for configurations."""
    return Desk(tmp_path)
