"""Two machines on one wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.network import Network, topology


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """Two directors and a client on 192.0.2.0/24 and 2001:db8:1::/64."""
    with topology(directors=2, servers=0) as built:
        yield built
