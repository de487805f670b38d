"""Tests of lvsha.kernel.sourcenat.iptables, with iptables-legacy as it is here."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import chains, program
from lvsha.kernel.sourcenat import iptables as module
from lvsha.kernel.sourcenat.iptables import Iptables
from lvsha.model import SourceNat, SourceNatState
from tests.lab.network import Network
from tests.lab.source_nats import DNS, ENTRIES, MARK6, SIX, WEB

pytestmark = pytest.mark.net


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """The test, and what it starts, is in a namespace of its own."""
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        yield


def tool(name: str, *words: str) -> str:
    """A command of the older firewall."""
    return subprocess.run([name, *words], check=True, capture_output=True, text=True).stdout


def everything() -> list[str]:
    """Every rule and chain of both families, without counters."""
    text = tool("iptables-legacy-save") + tool("ip6tables-legacy-save")
    return [line.split(" [")[0] for line in text.splitlines() if line[0] != "#"]


async def test_what_is_put_there_is_seen() -> None:
    """Entries of every kind and both families, as a later daemon sees them too."""
    assert await Iptables.refusal() == ""
    rules = Iptables()
    assert await rules.observe() == SourceNatState()
    await rules.replace(ENTRIES)
    assert await rules.observe() == SourceNatState(ENTRIES)
    assert await Iptables().observe() == SourceNatState(ENTRIES)


@pytest.mark.parametrize("after", [{WEB, SIX}, {DNS, MARK6}, {WEB}, {SIX}, set()])
async def test_one_takes_the_place_of_another(after: Collection[SourceNat]) -> None:
    """Nothing is left of what was there before, and without entries not even a chain."""
    await Iptables().replace(ENTRIES)
    await Iptables().replace(after)
    assert await Iptables().observe() == SourceNatState(frozenset(after))
    assert ("LVSHA" in str(everything())) == bool(after)


async def test_rules_of_others_are_left_alone() -> None:
    """They stay to the letter, and lvsha's come before them."""
    for table in ("nat", "mangle"):
        tool("iptables-legacy", "-t", table, "-A", "POSTROUTING", "-s", "198.51.100.1", "-j", "ACCEPT")
    before = everything()
    rules = Iptables()
    await rules.replace(ENTRIES)
    listed = tool("iptables-legacy", "-t", "nat", "-S", "POSTROUTING").splitlines()
    assert listed[1:] == [
        "-A POSTROUTING -j LVSHA-SOURCE",
        "-A POSTROUTING -s 198.51.100.1/32 -j ACCEPT",
    ]
    await rules.replace(())
    left = [line for line in everything() if line.startswith("-A")]
    assert left == [line for line in before if line.startswith("-A")]


CHANGES = [
    "iptables-legacy -t nat -F",
    "iptables-legacy -t mangle -F",
    "iptables-legacy -t nat -D POSTROUTING 1",
    "iptables-legacy -t nat -A LVSHA-SOURCE -j ACCEPT",
    "iptables-legacy -t mangle -N LVSHA-MINE",
    "iptables-legacy -t mangle -A POSTROUTING -j LVSHA-GUARD",
    "ip6tables-legacy -t nat -F LVSHA-SOURCE",
]


@pytest.mark.parametrize("command", CHANGES)
async def test_a_change_by_hand_is_seen_and_put_right(command: str) -> None:
    """By the one who wrote it and by a later daemon alike, and once it is written again all is well."""
    rules = Iptables()
    await rules.replace(ENTRIES)
    before = everything()
    tool(*command.split())
    state = await rules.observe()
    assert state == await Iptables().observe()
    assert state.altered
    await rules.replace(ENTRIES)
    assert await Iptables().observe() == SourceNatState(ENTRIES)
    assert everything() == before


async def test_words_of_another_version_are_taken_for_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An iptables that shows a rule in words nobody knows does not lead to repairs without end."""

    def strange(*_: object) -> SourceNatState:
        return SourceNatState(altered="not understood")

    monkeypatch.setattr(chains, "read", strange)
    rules = Iptables()
    await rules.replace([WEB, SIX])
    assert await rules.observe() == SourceNatState(frozenset({WEB, SIX}))
    tool("iptables-legacy", "-t", "nat", "-F")
    assert "not understood" in (await rules.observe()).altered


async def test_a_refusal_is_told_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that iptables does not know changes nothing of its table."""
    rules = Iptables()
    await rules.replace([WEB])
    before = everything()

    def broken(*_: object) -> str:
        return "*nat\n-A LVSHA-SOURCE -j NOWHERE\nCOMMIT\n"

    monkeypatch.setattr(module.chains, "script", broken)
    with pytest.raises(KernelError, match=r"iptables-legacy-restore refuses the chains LVSHA-\*: .*NOWHERE"):
        await rules.replace([DNS])
    assert everything() == before


async def test_a_machine_without_iptables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says which package is missing."""
    monkeypatch.setattr(program, "_PATH", "/nowhere")
    assert "install the package iptables" in await Iptables.refusal()
