"""Nodes for tests of the kernel's rooms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.network import Network, Node


@pytest.fixture
def lb1() -> Iterator[Node]:
    """A node on 192.0.2.0/24 and 2001:db8:1::/64, without a default route."""
    net = Network()
    net.segment("front", "192.0.2.0/24", "2001:db8:1::/64")
    net.node("lb1", front=1)
    with net:
        yield net["lb1"]


@pytest.fixture
def alone() -> Iterator[Node]:
    """A node without any wire. The test, and what it starts, is on it."""
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        yield net["lb1"]
