"""Stories of rules in a firewall: source NAT and accept mode keep theirs alike, in nftables or iptables.

A test module says what its rules are, and has the stories as its tests:

    class TestRules(Stories):
        kept = Kept(NFT, Nft, UnacceptedState, ENTRIES, ...)
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import program


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True, slots=True)
class Firewall:
    """A firewall, as an operator deals with it."""

    package: str
    run: Callable[[str], str]
    """Carries out a command, which is given in one piece."""
    everything: Callable[[], str]
    """All that is there, without what is counted."""
    rules: Callable[[], str]
    """What somebody put there."""


def _nft_ruleset() -> str:
    return _run("nft", "list", "ruleset")


def _saved() -> str:
    """Rules and chains of both families."""
    text = _run("iptables-legacy-save") + _run("ip6tables-legacy-save")
    return "\n".join(line.split(" [")[0] for line in text.splitlines() if line[0] != "#")


def _saved_rules() -> str:
    """A table that has once been in use stays listed, empty."""
    return "\n".join(line for line in _saved().splitlines() if line.startswith("-A"))


NFT = Firewall("nftables", lambda words: _run("nft", words), _nft_ruleset, _nft_ruleset)
IPTABLES = Firewall("iptables", lambda words: _run(*words.split()), _saved, _saved_rules)


@dataclass(frozen=True, slots=True)
class Kept:
    """Rules of one kind in one firewall."""

    firewall: Firewall
    kind: Any
    """The class that keeps them."""
    state: Any
    """The class of what it sees."""
    entries: frozenset[Any]
    """One of every kind."""
    few: tuple[Any, Any]
    """Two of them, of different families."""
    other: Any
    """One more, of the first one's family."""
    afters: tuple[frozenset[Any], ...]
    """What may be wanted instead of all of them."""
    mark: str
    """What is in the firewall as long as there are any."""
    strangers: tuple[str, ...]
    """Commands that put up something of somebody else's."""
    changes: tuple[tuple[str, str], ...]
    """Commands by which somebody changes the rules, and words that have to be said about it."""
    touch: str
    """One of them that leaves something to be read."""
    reader: str
    """The function that reads rules back, by its path."""
    writer: tuple[str, Any]
    """The function that writes rules down, and what the kernel would refuse."""
    refusal: str
    """With which words it refuses that."""


class Stories:
    """What holds of rules, whatever they are for."""

    kept: ClassVar[Kept]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A story that is about one change or another is told of each."""
        for name in ("after", "change"):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, getattr(self.kept, f"{name}s"))

    async def test_what_is_put_there_is_seen(self) -> None:
        """Entries of every kind and both families, as a later daemon sees them too."""
        kept = self.kept
        assert await kept.kind.refusal() == ""
        rules = kept.kind()
        assert await rules.observe() == kept.state()
        await rules.replace(kept.entries)
        assert await rules.observe() == kept.state(kept.entries)
        assert await kept.kind().observe() == kept.state(kept.entries)

    async def test_one_takes_the_place_of_another(self, after: frozenset[Any]) -> None:
        """Nothing is left of what was there before, and without entries nothing at all."""
        kept = self.kept
        await kept.kind().replace(kept.entries)
        await kept.kind().replace(after)
        assert await kept.kind().observe() == kept.state(after)
        assert (kept.mark in kept.firewall.everything()) == bool(after)

    async def test_what_others_have_is_left_alone(self) -> None:
        """It stays to the letter while rules come and go."""
        kept = self.kept
        for command in kept.strangers:
            kept.firewall.run(command)
        before = kept.firewall.rules()
        rules = kept.kind()
        await rules.replace(kept.entries)
        assert kept.firewall.rules() != before
        await rules.replace(())
        assert kept.firewall.rules() == before

    async def test_a_change_by_hand_is_seen_and_put_right(self, change: tuple[str, str]) -> None:
        """By the one who wrote it and by a later daemon alike, and once it is written again all is well."""
        kept, (command, words) = self.kept, change
        rules = kept.kind()
        await rules.replace(kept.entries)
        before = kept.firewall.everything()
        kept.firewall.run(command)
        state = await rules.observe()
        assert state == await kept.kind().observe()
        assert state != kept.state(kept.entries)
        assert words in state.altered
        await rules.replace(kept.entries)
        assert await kept.kind().observe() == kept.state(kept.entries)
        assert _words(kept.firewall.everything()) == _words(before)

    async def test_words_of_another_version_are_taken_for_what_was_written(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A program that shows the rules in words nobody knows does not lead to repairs without end."""
        kept = self.kept
        monkeypatch.setattr(kept.reader, lambda *_: kept.state(altered="not understood"))
        rules = kept.kind()
        await rules.replace(kept.few)
        assert await rules.observe() == kept.state(frozenset(kept.few))
        kept.firewall.run(kept.touch)
        assert "not understood" in (await rules.observe()).altered

    async def test_a_refusal_is_told_with_its_words_and_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the kernel does not take is an error, and what was there stays."""
        kept, (path, refused) = self.kept, self.kept.writer
        rules = kept.kind()
        await rules.replace(kept.few[:1])
        before = kept.firewall.everything()
        monkeypatch.setattr(path, lambda *_: refused)
        with pytest.raises(KernelError, match=kept.refusal):
            await rules.replace([kept.other])
        assert kept.firewall.everything() == before

    async def test_a_machine_without_the_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The refusal says which package is missing."""
        monkeypatch.setattr(program, "_PATH", "/nowhere")
        assert f"install the package {self.kept.firewall.package}" in await self.kept.kind.refusal()


def _words(text: str) -> list[str]:
    """The elements of a set are listed in any order."""
    return sorted(re.findall(r"[^\s,]+", text))


class Choosing:
    """Which firewall is chosen, whatever for."""

    choose: ClassVar[Callable[[], Awaitable[Any]]]
    nft: ClassVar[Any]
    iptables: ClassVar[Any]
    needs: ClassVar[str]
    """How the error begins where there is none."""

    async def test_nftables_is_preferred(self) -> None:
        """Where the kernel has both, it is the newer one."""
        assert isinstance(await type(self).choose(), self.nft)

    async def test_iptables_where_the_kernel_has_no_nf_tables(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The program nft may be there without the kernel's part."""
        monkeypatch.setattr(program, "_PATH", f"{_no_nf_tables(tmp_path)}:{program._PATH}")
        assert isinstance(await type(self).choose(), self.iptables)

    async def test_neither(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The error tells what it is about and what each of them lacks."""
        monkeypatch.setattr(program, "_PATH", f"{_no_nf_tables(tmp_path)}:/nowhere")
        lacking = rf"{self.needs}.*: nft: Operation not supported; .*install the package iptables"
        with pytest.raises(KernelError, match=lacking):
            await type(self).choose()


def _no_nf_tables(directory: Path) -> Path:
    """A directory with an nft that finds no nf_tables in the kernel."""
    file = directory / "nft"
    file.write_text("#!/bin/sh\necho 'Operation not supported' >&2\nexit 1\n")
    file.chmod(0o755)
    return directory
