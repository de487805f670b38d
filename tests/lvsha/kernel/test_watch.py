"""Changes as the kernel tells them."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator

import pytest

from lvsha.kernel.watch import AddressChanged, AddressGone, Change, LinkChanged, LinkGone, Missed, Watch
from tests.lab.network import Node

pytestmark = pytest.mark.net


@pytest.fixture
def watch(lb1: Node) -> Iterator[Watch]:
    """Watches that node."""
    with lb1.entered():
        opened = Watch()
    yield opened
    opened.close()


def wait_for(watch: Watch, wanted: Callable[[Change], bool]) -> None:
    """Read changes until the wanted one comes."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        select.select([watch], [], [], 1)
        if any(wanted(change) for change in watch.receive()):
            return
    pytest.fail("the change did not come")


@pytest.mark.parametrize("address", ["192.0.2.100/24", "2001:db8:1::100/64"])
def test_addresses_come_and_go(lb1: Node, watch: Watch, address: str) -> None:
    """An address that somebody adds or removes is told with its prefix."""
    lb1.ip(f"addr add {address} dev front nodad" if ":" in address else f"addr add {address} dev front")
    wait_for(watch, lambda c: isinstance(c, AddressChanged) and str(c.held.place.address) == address)
    lb1.ip(f"addr del {address} dev front")
    wait_for(watch, lambda c: isinstance(c, AddressGone) and str(c.held.place.address) == address)


def test_the_carrier_is_told(lb1: Node, watch: Watch) -> None:
    """A cable that is pulled is news at once, and so is its return."""
    lb1.unplug("front")
    wait_for(watch, lambda c: isinstance(c, LinkChanged) and not c.link.usable)
    lb1.plug("front")
    wait_for(watch, lambda c: isinstance(c, LinkChanged) and c.link.usable)


def test_an_interface_that_leaves_a_bridge_is_not_gone(lb1: Node, watch: Watch) -> None:
    """The bridge's word about a port that it has no more says nothing of the interface."""
    lb1.ip("link add br0 type bridge", "link set front master br0", "link set front nomaster", "link del br0")
    seen: list[Change] = []
    wait_for(watch, lambda c: seen.append(c) or (isinstance(c, LinkGone) and c.link.name == "br0"))  # type: ignore[func-returns-value]
    assert [c.link.name for c in seen if isinstance(c, LinkGone)] == ["br0"]


def test_an_interface_comes_and_goes(lb1: Node, watch: Watch) -> None:
    """An interface that is made or removed is told by name."""
    lb1.ip("link add test0 type veth peer name test1")
    wait_for(watch, lambda c: isinstance(c, LinkChanged) and c.link.name == "test0")
    lb1.ip("link del test0")
    wait_for(watch, lambda c: isinstance(c, LinkGone) and c.link.name == "test0")


def test_lost_messages_are_owned_up_to(lb1: Node, watch: Watch) -> None:
    """When more happens than the buffer holds, the caller is told to look again."""
    for _ in range(2):
        lb1.ip(*(f"addr add 10.{i // 250}.{i % 250}.1/32 dev front" for i in range(1500)))
        lb1.ip("addr flush dev front")
    wait_for(watch, lambda c: isinstance(c, Missed))
