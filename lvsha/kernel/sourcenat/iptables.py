"""Source NAT by iptables, where the kernel has no nf_tables: one restore a change.

The older firewall (`iptables-legacy`) replaces each of its tables at one stroke, raw and mangle first and
then nat: the guard stands before there is anything to guard. With --noflush nothing is touched but the
chains that the input names.
"""

from __future__ import annotations

from collections.abc import Collection

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import chains, program
from lvsha.kernel.sourcenat.chains import Tables
from lvsha.kernel.sourcenat.pool import by_iptables
from lvsha.model import Family, SourceNat, SourceNatState

PROGRAMS = {Family.IPV4: "iptables-legacy", Family.IPV6: "ip6tables-legacy"}
_LOCK = 10
"""Seconds to wait for another one at the table."""


class Iptables:
    """The chains LVSHA-*, of both families. Satisfies `Rules`."""

    name = "iptables"
    share = staticmethod(by_iptables)

    def __init__(self) -> None:
        self._known: dict[Family, tuple[Tables, SourceNatState]] = {}
        """What was found after the last change, and what had been asked for."""

    @staticmethod
    async def refusal() -> str:
        """Why this kernel or machine cannot do it; empty: it can."""
        return await refusal("nat", "POSTROUTING")

    async def observe(self) -> SourceNatState:
        """What is there, of both families. Raises KernelError."""
        states = [await self._observe(family) for family in PROGRAMS]
        altered = "; ".join(state.altered for state in states if state.altered)
        return SourceNatState(frozenset().union(*(state.entries for state in states)), altered)

    async def replace(self, entries: Collection[SourceNat]) -> None:
        """Put these in the place of what is there. Raises KernelError."""
        for family in PROGRAMS:
            text = chains.script(chains.tables(family, entries), await self._saved(family))
            if not text:
                continue
            await restore(family, text)
            # What was written a moment ago is what is there, in whatever words another version shows it.
            mine = frozenset(entry for entry in entries if entry.service.family is family)
            self._known[family] = (await self._saved(family), SourceNatState(mine))

    async def _observe(self, family: Family) -> SourceNatState:
        there = await self._saved(family)
        known = self._known.get(family)
        return known[1] if known is not None and known[0] == there else chains.read(family, there)

    async def _saved(self, family: Family) -> Tables:
        return chains.saved(await save(family))


async def refusal(table: str, chain: str) -> str:
    """Why this kernel or machine has no such table; empty: it has."""
    name = PROGRAMS[Family.IPV4]
    if program.find(f"{name}-restore") is None:
        return f"there is no program `{name}`: install the package iptables"
    done = await program.run([name, "-w", str(_LOCK), "-t", table, "-S", chain])
    return done.words if done.status else ""


async def save(family: Family) -> str:
    """Every table of a family that is in use; brings none into use. Raises KernelError."""
    done = await program.run([f"{PROGRAMS[family]}-save"])
    if done.status:
        raise KernelError(f"{PROGRAMS[family]}-save fails: {done.words}")
    return done.output.decode(errors="replace")


async def restore(family: Family, text: str) -> None:
    """Carry out a script, each of its tables at one stroke. Raises KernelError."""
    name = PROGRAMS[family]
    done = await program.run([f"{name}-restore", "--noflush", "-w", str(_LOCK)], text.encode())
    if done.status:
        raise KernelError(f"{name}-restore refuses the chains {chains.OWN}*: {done.words}")
