"""Tests of lvsha.kernel.sourcenat.nft, with nftables as it is here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterator
from ipaddress import ip_address

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import nft as module
from lvsha.kernel.sourcenat import program
from lvsha.kernel.sourcenat.nft import Nft
from lvsha.model import ServerKey, SourceNat, SourceNatState
from tests.lab.network import Network
from tests.lab.source_nats import DNS, ENTRIES, MARK6, SIX, WEB, tcp

pytestmark = pytest.mark.net


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """The test, and what it starts, is in a namespace of its own."""
    net = Network()
    net.node("lb1")
    with net, net["lb1"].entered():
        yield


def nft(*words: str) -> str:
    """A command of nft."""
    return subprocess.run(["nft", *words], check=True, capture_output=True, text=True).stdout


async def test_what_is_put_there_is_seen() -> None:
    """Entries of every kind and both families, as a later daemon sees them too."""
    assert await Nft.refusal() == ""
    rules = Nft()
    assert await rules.observe() == SourceNatState()
    await rules.replace(ENTRIES)
    assert await rules.observe() == SourceNatState(ENTRIES)
    assert await Nft().observe() == SourceNatState(ENTRIES)


@pytest.mark.parametrize("after", [{WEB, SIX}, {DNS, MARK6}, {WEB}, {SIX}, set()])
async def test_one_takes_the_place_of_another(after: Collection[SourceNat]) -> None:
    """Nothing is left of what was there before, and without entries not even a table."""
    await Nft().replace(ENTRIES)
    rules = Nft()
    await rules.replace(after)
    assert await Nft().observe() == SourceNatState(frozenset(after))
    assert ("lvsha" in nft("list", "tables")) == bool(after)


async def test_other_tables_are_left_alone() -> None:
    """What somebody else has, of whatever family, stays to the letter."""
    nft("add table ip other { chain c { type nat hook postrouting priority 100; masquerade; } ; }")
    nft("add table inet lvsha { set s { type ipv4_addr; } ; }")
    before = nft("list", "ruleset")
    rules = Nft()
    await rules.replace(ENTRIES)
    await rules.replace(())
    assert nft("list", "ruleset") == before


CHANGES = [
    ("delete table ip lvsha", "ip"),
    ("flush chain ip lvsha source", "rule in chain source"),
    ("add rule ip lvsha guard accept", "rule in chain guard was changed"),
    ("add chain ip lvsha mine", "nothing needs the chain mine"),
    ("delete element ip6 lvsha locals { 2001:db8:2::100 }", "set locals was changed"),
    ("flush map ip lvsha services", "set servers was changed"),
    ("add element ip lvsha servers { 10.0.1.99 }", "set servers was changed"),
    ("delete table ip6 lvsha", "ip6"),
]


@pytest.mark.parametrize(("command", "words"), CHANGES)
async def test_a_change_by_hand_is_seen_and_put_right(command: str, words: str) -> None:
    """By the one who wrote it and by a later daemon alike, and once it is written again all is well."""
    rules = Nft()
    await rules.replace(ENTRIES)
    nft(*command.split())
    state = await rules.observe()
    assert state == await Nft().observe()
    assert state != SourceNatState(ENTRIES)
    assert words in (state.altered or command)
    await rules.replace(ENTRIES)
    assert await Nft().observe() == SourceNatState(ENTRIES)


async def test_words_of_another_version_are_taken_for_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An nft that shows a table in words nobody knows does not lead to repairs without end."""

    def strange(*_: object) -> SourceNatState:
        return SourceNatState(altered="not understood")

    monkeypatch.setattr(module, "_read", strange)
    rules = Nft()
    await rules.replace([WEB])
    assert await rules.observe() == SourceNatState(frozenset({WEB}))
    nft("add", "rule", "ip", "lvsha", "guard", "accept")
    assert (await rules.observe()).altered == "not understood"


async def test_a_refusal_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel does not take is an error with its words, and what was there stays."""
    rules = Nft()
    await rules.replace([WEB])
    before = nft("list", "ruleset")

    def broken(*_: object) -> list[dict[str, object]]:
        return [
            {"table": {"family": "ip", "name": "lvsha"}},
            {"rule": {"family": "ip", "table": "lvsha", "chain": "nowhere", "expr": [{"drop": None}]}},
        ]

    monkeypatch.setattr(module, "table", broken)
    with pytest.raises(KernelError, match=r"nft refuses the table lvsha: .*No such file"):
        await rules.replace([DNS])
    assert nft("list", "ruleset") == before


async def test_a_machine_without_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says which package is missing."""
    monkeypatch.setattr(program, "_PATH", "/nowhere")
    assert "install the package nftables" in await Nft.refusal()


async def test_thousands_of_servers() -> None:
    """A thousand services of ten servers each go in and come out in seconds."""
    servers = frozenset(ServerKey(ip_address(f"10.0.2.{n}"), 80) for n in range(10))
    many = frozenset(SourceNat(tcp("192.0.2.100", port), WEB.addresses, servers) for port in range(1, 1001))
    rules = Nft()
    await rules.replace(many)
    assert await Nft().observe() == SourceNatState(many)
    assert json.loads(nft("-j", "list", "map", "ip", "lvsha", "services"))
