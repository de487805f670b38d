"""Tests of lvsha.kernel.rules_watch: removals as the kernel tells them."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from lvsha.kernel.rules_watch import RulesWatch, changes_in
from tests.lab.network import Node

pytestmark = pytest.mark.net

SERVERS = "set servers { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }"
OURS = f"table ip lvsha {{ {SERVERS}; chain guard {{ drop; }}; }}"


@pytest.fixture
def watch(lb1: Node) -> Iterator[RulesWatch]:
    """Watches that node, which has a table of lvsha's and one of somebody else's."""
    with lb1.entered():
        opened = RulesWatch()
    change(lb1, "table ip other { chain one { accept; }; }", OURS)
    assert not heard(opened)
    yield opened
    opened.close()


def change(node: Node, *commands: str) -> None:
    """Have nft do this, in one transaction."""
    node.run("nft", "--file", "-", stdin="\n".join(commands))


def heard(watch: RulesWatch) -> bool:
    """What is told of the change that was made: the kernel has told of it by then."""
    assert select.select([watch], [], [], 5)[0]
    return watch.receive()


@pytest.mark.parametrize(
    "command",
    [
        "flush ruleset",
        "delete table ip lvsha",
        "flush table ip lvsha",
        "flush chain ip lvsha guard",
        "delete element ip lvsha servers { 10.0.0.2 }",
    ],
)
def test_what_somebody_removes_is_told(lb1: Node, watch: RulesWatch, command: str) -> None:
    """All of it, or a rule or an element of it; and then there is nothing more to be told."""
    change(lb1, command)
    assert heard(watch)
    assert not watch.receive()


@pytest.mark.parametrize(
    "commands",
    [
        ["delete table ip lvsha", OURS],
        ["delete table ip other"],
        ["flush table ip other"],
        ["add chain ip lvsha more"],
    ],
    ids=" ".join,
)
def test_other_changes_are_none(lb1: Node, watch: RulesWatch, commands: list[str]) -> None:
    """A table that is replaced, other people's tables, and additions, which the next look will find."""
    change(lb1, *commands)
    assert not heard(watch)


def test_what_is_not_understood_is_passed_over() -> None:
    """Cut short, or of lengths that cannot be."""
    assert list(changes_in(b"\x14\0\0\0")) == []
    assert list(changes_in(bytes.fromhex("ffff0000020a0000 0000000000000000 02000000"))) == []
    assert list(changes_in(bytes.fromhex("18000000020a0000 0000000000000000 02000000 ffff0100"))) == []
