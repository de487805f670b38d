"""For all tests of the daemon: what is said meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lvsha.log import listening
from tests.lab.hearing import Hearing


@pytest.fixture
def said() -> Iterator[Hearing]:
    """Every event of the test."""
    hearing = Hearing()
    with listening(hearing):
        yield hearing
