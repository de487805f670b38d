"""Tests of lvsha.kernel.acceptance.iptables, with iptables-legacy as it is here."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.acceptance import iptables as module
from lvsha.kernel.acceptance.iptables import Iptables
from lvsha.kernel.sourcenat import program
from lvsha.kernel.sourcenat.iptables import Iptables as SourceNatRules
from lvsha.model import Family, SourceNatState, Unaccepted, UnacceptedState
from tests.lab import source_nats
from tests.lab.network import Network, topology
from tests.lab.ping import answers
from tests.lab.unaccepted import ENTRIES, FOUR, LOCAL, OTHER, SIX

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
    """Addresses of every kind, as a later daemon sees them too."""
    assert await Iptables.refusal() == ""
    rules = Iptables()
    assert await rules.observe() == UnacceptedState()
    await rules.replace(ENTRIES)
    assert await rules.observe() == UnacceptedState(ENTRIES)
    assert await Iptables().observe() == UnacceptedState(ENTRIES)


@pytest.mark.parametrize("after", [{FOUR}, {SIX}, {LOCAL}, {OTHER, SIX}, set()])
async def test_one_takes_the_place_of_another(after: Collection[Unaccepted]) -> None:
    """Nothing is left of what was there before, and without addresses not even a chain."""
    await Iptables().replace(ENTRIES)
    await Iptables().replace(after)
    assert await Iptables().observe() == UnacceptedState(frozenset(after))
    assert ("LVSHA" in str(everything())) == bool(after)


async def test_rules_of_others_are_left_alone() -> None:
    """They stay to the letter, lvsha's come before them, and its source NAT is none the worse."""
    tool("iptables-legacy", "-A", "INPUT", "-s", "198.51.100.1", "-j", "ACCEPT")
    nat = SourceNatRules()
    await nat.replace(source_nats.ENTRIES)
    await nat.observe()
    before = everything()
    rules = Iptables()
    await rules.replace(ENTRIES)
    listed = tool("iptables-legacy", "-S", "INPUT").splitlines()
    assert listed[1:] == ["-A INPUT -j LVSHA-ACCEPT", "-A INPUT -s 198.51.100.1/32 -j ACCEPT"]
    assert await nat.observe() == await SourceNatRules().observe() == SourceNatState(source_nats.ENTRIES)
    await rules.replace(())
    assert [line for line in everything() if line.startswith("-A")] == [
        line for line in before if line.startswith("-A")
    ]


CHANGES = [
    "iptables-legacy -F",
    "iptables-legacy -D INPUT 1",
    "iptables-legacy -A LVSHA-ACCEPT -j ACCEPT",
    "iptables-legacy -D LVSHA-ACCEPT 1",
    "iptables-legacy -A LVSHA-ACCEPT -d no.such.thing -j DROP",
    "ip6tables-legacy -D LVSHA-ACCEPT 1",
    "ip6tables-legacy -A FORWARD -j LVSHA-ACCEPT",
    "ip6tables-legacy -N LVSHA-MINE",
]


@pytest.mark.parametrize("command", CHANGES)
async def test_a_change_by_hand_is_seen_and_put_right(command: str) -> None:
    """By the one who wrote it and by a later daemon alike, and once it is written again all is well."""
    rules = Iptables()
    await rules.replace(ENTRIES)
    before = everything()
    tool(*command.replace("no.such.thing", "192.0.2.7").split())
    state = await rules.observe()
    assert state == await Iptables().observe()
    assert state != UnacceptedState(ENTRIES)
    await rules.replace(ENTRIES)
    assert await Iptables().observe() == UnacceptedState(ENTRIES)
    assert everything() == before


async def test_words_of_another_version_are_taken_for_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An iptables that shows a rule in words nobody knows does not lead to repairs without end."""

    def strange(*_: object) -> UnacceptedState:
        return UnacceptedState(altered="not understood")

    monkeypatch.setattr(module, "read", strange)
    rules = Iptables()
    await rules.replace([FOUR, SIX])
    assert await rules.observe() == UnacceptedState(frozenset({FOUR, SIX}))
    tool("iptables-legacy", "-F")
    assert "not understood" in (await rules.observe()).altered


async def test_a_refusal_is_told_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no interface can have changes nothing of the table."""
    rules = Iptables()
    await rules.replace([FOUR])
    before = everything()
    monkeypatch.setattr(module, "_line", lambda _: "-j NOWHERE")
    with pytest.raises(KernelError, match=r"iptables-legacy-restore refuses the chains LVSHA-\*: .*NOWHERE"):
        await rules.replace([OTHER])
    assert everything() == before


def test_what_was_not_written_by_lvsha_is_no_entry() -> None:
    """A line that is not understood is no address, nor is one with an address that is none."""
    for line in ("-d 192.0.2.7/32 -p tcp -j DROP", "-d 192.0.2.999/32 -j DROP"):
        there = {"filter": module.Table(["INPUT -j LVSHA-ACCEPT"], {"LVSHA-ACCEPT": [line]})}
        state = module.read(Family.IPV4, there)
        assert (state.entries, bool(state.altered)) == (frozenset(), True)


async def test_packets_are_dropped_and_neighbours_answered() -> None:
    """The master's address answers no ping and every neighbour solicitation; another address is as ever."""
    async with topology(servers=0) as net:
        net["lb1"].ip("addr add 2001:db8:1::100/64 dev front nodad", "addr add 192.0.2.100/24 dev front")
        with net["lb1"].entered():
            await Iptables().replace(ENTRIES)
        client = net["client"]
        for refused, taken in (("192.0.2.100", "192.0.2.1"), ("2001:db8:1::100", "2001:db8:1::1")):
            assert answers(client, taken)
            assert not answers(client, refused, within=1.5)
            found = client.run("ip", "neighbour", "show", refused, "dev", "front")
            assert "REACHABLE" in found


async def test_a_machine_without_iptables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says which package is missing."""
    monkeypatch.setattr(program, "_PATH", "/nowhere")
    assert "install the package iptables" in await Iptables.refusal()
