"""Generic netlink families in the running kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lvsha.kernel import genl
from lvsha.kernel.netlink import Netlink


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    """A conversation with the running kernel's generic netlink."""
    conversation = Netlink.open(genl.PROTOCOL)
    yield conversation
    conversation.close()


async def test_a_family_is_found_by_name(netlink: Netlink) -> None:
    """The controller finds itself, by its fixed number."""
    assert await genl.family(netlink, "nlctrl") == 16


async def test_an_unknown_family_is_told_by_name(netlink: Netlink) -> None:
    """A family that is not there is an error of its own sort, so that the caller can say what to load."""
    with pytest.raises(genl.UnknownFamilyError, match="no-such-family"):
        await genl.family(netlink, "no-such-family")


async def test_a_name_too_long_is_not_asked_for(netlink: Netlink) -> None:
    """The kernel's names have fifteen characters."""
    with pytest.raises(ValueError, match="too long"):
        await genl.family(netlink, "a" * 16)


def test_a_message_starts_with_its_command() -> None:
    """Command, version, two reserved bytes, attributes."""
    assert genl.message(5, 1, b"abcd") == b"\x05\x01\x00\x00abcd"
