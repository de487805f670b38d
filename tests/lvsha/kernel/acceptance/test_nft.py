"""Tests of lvsha.kernel.acceptance.nft, with nftables as it is here."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.acceptance import nft as module
from lvsha.kernel.acceptance.nft import Nft
from lvsha.kernel.sourcenat import program
from lvsha.model import Unaccepted, UnacceptedState
from tests.lab.network import Network
from tests.lab.unaccepted import ENTRIES, FOUR, LOCAL, OTHER, SIX

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
    """Addresses of every kind, as a later daemon sees them too."""
    assert await Nft.refusal() == ""
    rules = Nft()
    assert await rules.observe() == UnacceptedState()
    await rules.replace(ENTRIES)
    assert await rules.observe() == UnacceptedState(ENTRIES)
    assert await Nft().observe() == UnacceptedState(ENTRIES)


@pytest.mark.parametrize("after", [{FOUR}, {SIX}, {LOCAL}, {OTHER, SIX}, set()])
async def test_one_takes_the_place_of_another(after: Collection[Unaccepted]) -> None:
    """Nothing is left of what was there before, and without addresses not even a table."""
    await Nft().replace(ENTRIES)
    rules = Nft()
    await rules.replace(after)
    assert await Nft().observe() == UnacceptedState(frozenset(after))
    assert ("lvsha_accept" in nft("list", "tables")) == bool(after)


async def test_other_tables_are_left_alone() -> None:
    """What somebody else has, source NAT of lvsha's own among it, stays to the letter."""
    nft("add table inet filter { chain input { type filter hook input priority 0; drop; } ; }")
    nft("add table ip lvsha { set s { type ipv4_addr; } ; }")
    before = nft("list", "ruleset")
    rules = Nft()
    await rules.replace(ENTRIES)
    await rules.replace(())
    assert nft("list", "ruleset") == before


CHANGES = [
    ("delete table inet lvsha_accept", ""),
    ("flush chain inet lvsha_accept input", "there is no rule in chain input"),
    ("insert rule inet lvsha_accept input accept", "rule in chain input was changed"),
    ("add chain inet lvsha_accept mine", "nothing needs the chain mine"),
    ("add set inet lvsha_accept mine { type ipv4_addr; elements = { 192.0.2.7 } ; }", "set"),
    ("delete element inet lvsha_accept ipv4 { 192.0.2.100 }", ""),
    ("add element inet lvsha_accept ipv6 { 2001:db8::9 }", ""),
]


@pytest.mark.parametrize(("command", "words"), CHANGES)
async def test_a_change_by_hand_is_seen_and_put_right(command: str, words: str) -> None:
    """By the one who wrote it and by a later daemon alike, and once it is written again all is well."""
    rules = Nft()
    await rules.replace(ENTRIES)
    nft(command)
    state = await rules.observe()
    assert state == await Nft().observe()
    assert state != UnacceptedState(ENTRIES)
    assert words in state.altered
    await rules.replace(ENTRIES)
    assert await Nft().observe() == UnacceptedState(ENTRIES)


async def test_a_table_that_somebody_else_made_of_that_name_is_told() -> None:
    """It is not as lvsha writes it, whatever is in it."""
    nft("add table inet lvsha_accept { set ipv4 { type inet_service; elements = { 80 } ; } ; }")
    state = await Nft().observe()
    assert state.altered
    await Nft().replace(ENTRIES)
    assert await Nft().observe() == UnacceptedState(ENTRIES)


async def test_words_of_another_version_are_taken_for_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An nft that shows a table in words nobody knows does not lead to repairs without end."""

    def strange(_: bytes) -> UnacceptedState:
        return UnacceptedState(altered="not understood")

    monkeypatch.setattr(module, "_read", strange)
    rules = Nft()
    await rules.replace([FOUR])
    assert await rules.observe() == UnacceptedState(frozenset({FOUR}))
    nft("add", "rule", "inet", "lvsha_accept", "input", "accept")
    assert (await rules.observe()).altered == "not understood"


async def test_a_refusal_is_told_with_its_words_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel does not take is an error, and what was there stays."""
    rules = Nft()
    await rules.replace([FOUR])
    before = nft("list", "ruleset")
    monkeypatch.setattr(
        module, "table", lambda _: [{"chain": {"family": "inet", "table": "no", "name": "c"}}]
    )
    with pytest.raises(KernelError, match=r"nft refuses the table lvsha_accept: .*No such file"):
        await rules.replace([SIX])
    assert nft("list", "ruleset") == before


async def test_a_machine_without_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says which package is missing."""
    monkeypatch.setattr(program, "_PATH", "/nowhere")
    assert "install the package nftables" in await Nft.refusal()
