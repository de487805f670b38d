"""Macvlans in a real kernel."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lvsha.kernel.links import NETLINK_ROUTE
from lvsha.kernel.macvlan import Macvlans
from lvsha.kernel.netlink import Netlink, RefusedError
from tests.lab.network import Node

pytestmark = pytest.mark.net

MAC = bytes.fromhex("00005e000133")


@pytest.fixture
async def macvlans(lb1: Node) -> AsyncIterator[Macvlans]:
    """Macvlans of that node."""
    with lb1.entered():
        netlink = Netlink.open(NETLINK_ROUTE)
    yield Macvlans(netlink)
    netlink.close()


def index(node: Node, name: str) -> int:
    """The index of an interface."""
    with node.entered():
        return socket.if_nametoindex(name)


def shown(node: Node, name: str) -> dict[str, Any]:
    """What `ip` says of an interface."""
    links: list[dict[str, Any]] = json.loads(node.run("ip", "-j", "-d", "link", "show", "dev", name))
    return links[0]


async def test_one_is_made_set_up_and_removed(lb1: Node, macvlans: Macvlans) -> None:
    """In bridge mode, with its MAC, on its parent, down at first."""
    await macvlans.create("vrrp4.51", index(lb1, "front"), MAC)
    made = shown(lb1, "vrrp4.51")
    assert made["linkinfo"]["info_kind"] == "macvlan"
    assert made["linkinfo"]["info_data"]["mode"] == "bridge"
    assert (made["link"], made["address"], "UP" in made["flags"]) == ("front", "00:00:5e:00:01:33", False)
    await macvlans.set_up(made["ifindex"], up=True)
    assert "UP" in shown(lb1, "vrrp4.51")["flags"]
    await macvlans.set_up(made["ifindex"], up=False)
    assert "UP" not in shown(lb1, "vrrp4.51")["flags"]
    await macvlans.remove(made["ifindex"])
    await macvlans.remove(made["ifindex"])
    assert "vrrp4.51" not in lb1.run("ip", "link")


async def test_what_cannot_be_is_refused_by_name(lb1: Node, macvlans: Macvlans) -> None:
    """A name that is taken, and a parent that is not there."""
    await macvlans.create("vrrp4.51", index(lb1, "front"), MAC)
    with pytest.raises(RefusedError, match=r"create vrrp4\.51") as taken:
        await macvlans.create("vrrp4.51", index(lb1, "front"), MAC)
    assert taken.value.refusal.errno == errno.EEXIST
    with pytest.raises(RefusedError, match=r"create vrrp4\.52"):
        await macvlans.create("vrrp4.52", 9999, MAC)
