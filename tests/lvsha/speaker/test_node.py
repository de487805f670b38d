"""What the tables say of a machine."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from lvsha.kernel.addresses import OURS, Held, Place
from lvsha.kernel.links import Link
from lvsha.speaker.node import Tables
from tests.lab.speaker import instance

SECONDARY, TENTATIVE = 0x01, 0x40
FRONT = Link(2, "front", bytes(6), 1500, up=True, running=True)


def held(address: str, index: int = 2, flags: int = 0, mark: int = 0) -> Held:
    """An address on an interface."""
    return Held(Place(ip_interface(address), index), flags, None, mark)


def tables(*addresses: Held) -> Tables:
    """A machine with the interface `front` and these addresses."""
    made = Tables()
    made.fill([FRONT], addresses)
    return made


@pytest.mark.parametrize(
    ("addresses", "source"),
    [
        ([held("192.0.2.1/24"), held("192.0.2.9/24", flags=SECONDARY)], "192.0.2.1"),
        ([held("192.0.2.100/24"), held("192.0.2.1/24")], "192.0.2.1"),
        ([held("192.0.2.55/24", mark=OURS), held("192.0.2.1/24")], "192.0.2.1"),
        ([held("192.0.2.1/24", index=3)], None),
        ([held("2001:db8::1/64")], None),
    ],
)
def test_ipv4_adverts_come_from_the_first_address_that_is_not_virtual(
    addresses: list[Held], source: str | None
) -> None:
    """Neither a secondary address, nor a virtual one, nor one of another interface."""
    found = tables(*addresses).source(instance(), frozenset({ip_address("192.0.2.100")}))
    assert found == (ip_address(source) if source else None)


def test_ipv6_adverts_come_from_the_link_local_address() -> None:
    """To the group from the link's own, to a peer elsewhere from a global one; never from a tentative one."""
    machine = tables(
        held("2001:db8:1::1/64"),
        held("fe80::5/64", flags=TENTATIVE),
        held("fe80::1/64"),
        held("192.0.2.1/24"),
    )
    multicast = instance("2001:db8:1::100/64")
    unicast = instance("2001:db8:1::100/64", peers=(ip_address("2001:db8:1::2"),))
    assert machine.source(multicast, frozenset()) == ip_address("fe80::1")
    assert machine.source(unicast, frozenset()) == ip_address("2001:db8:1::1")


def test_a_source_that_was_told_must_be_there() -> None:
    """On whichever interface."""
    spec = instance(source=ip_address("192.0.2.7"))
    assert tables(held("192.0.2.1/24")).source(spec, frozenset()) is None
    assert tables(held("192.0.2.7/32", index=9)).source(spec, frozenset()) == ip_address("192.0.2.7")


def test_a_renamed_interface_gives_up_its_name() -> None:
    """The same index under another name is the same interface."""
    machine = tables()
    other = Link(2, "gone0", bytes(6), 1500, up=True, running=True)
    assert machine.link(other) == "front"
    assert list(machine.links) == ["gone0"]
    assert machine.link(other) is None


def test_with_an_interface_go_its_addresses() -> None:
    """An interface that is removed says nothing of its addresses."""
    machine = tables(held("192.0.2.1/24"), held("192.0.2.2/24", index=3, mark=OURS))
    machine.unlink(FRONT)
    assert not machine.present(ip_address("192.0.2.1"))
    assert machine.ours() == [Place(ip_interface("192.0.2.2/24"), 3)]


def test_ours_are_marked_or_known() -> None:
    """A mark tells an address of ours; without marks, where the process before this one had them does."""
    machine = tables(held("192.0.2.1/24"), held("192.0.2.100/24"), held("192.0.2.101/24", mark=OURS))
    marked = Place(ip_interface("192.0.2.101/24"), 2)
    assert machine.ours() == [marked]
    known = Place(ip_interface("192.0.2.100/24"), 2)
    assert machine.ours([known]) == [known, marked]


def test_what_a_real_server_has_on_lo_is_not_ours() -> None:
    """The same address on another interface is somebody else's, however well it is known."""
    machine = tables(held("192.0.2.100/32", index=1), held("192.0.2.100/24"))
    known = Place(ip_interface("192.0.2.100/24"), 2)
    assert machine.ours([known]) == [known]
