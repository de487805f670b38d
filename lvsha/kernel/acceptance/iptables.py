"""Accept mode by iptables, where the kernel has no nf_tables: in the table `filter` of each family

INPUT           -> LVSHA-ACCEPT, before anybody else's rules
LVSHA-ACCEPT    neighbour discovery returns; a line an address, -j DROP
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address

from lvsha.kernel.sourcenat import chains, iptables
from lvsha.kernel.sourcenat.chains import Table, Tables
from lvsha.model import Family, Unaccepted, UnacceptedState, family_of

_TABLE, _CHAIN = "filter", f"{chains.OWN}ACCEPT"
_DISCOVERY = [f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" for kind in (135, 136)]
"""Neighbour solicitation and advertisement (RFC 4861)."""
_LINE = re.compile(r"-d (?P<address>\S+)/\d+(?: -i (?P<interface>\S+))? -j DROP")


class Iptables:
    """The chains LVSHA-ACCEPT, of both families. Satisfies `Rules`."""

    def __init__(self) -> None:
        self._known: dict[Family, tuple[Tables, UnacceptedState]] = {}
        """What was found after the last change, and what had been asked for."""

    @staticmethod
    async def refusal() -> str:
        """Why this kernel or machine cannot do it; empty: it can."""
        return await iptables.refusal(_TABLE, "INPUT")

    async def observe(self) -> UnacceptedState:
        """What is there, of both families. Raises KernelError."""
        states = [await self._observe(family) for family in Family]
        altered = "; ".join(state.altered for state in states if state.altered)
        return UnacceptedState(frozenset().union(*(state.entries for state in states)), altered)

    async def replace(self, entries: Collection[Unaccepted]) -> None:
        """Put these in the place of what is there. Raises KernelError."""
        for family in Family:
            text = chains.script(tables(family, entries), await _saved(family))
            if not text:
                continue
            await iptables.restore(family, text)
            # What was written a moment ago is what is there, in whatever words another version shows it.
            mine = frozenset(entry for entry in entries if family_of(entry.address) is family)
            self._known[family] = (await _saved(family), UnacceptedState(mine))

    async def _observe(self, family: Family) -> UnacceptedState:
        there = await _saved(family)
        known = self._known.get(family)
        return known[1] if known is not None and known[0] == there else read(family, there)


async def _saved(family: Family) -> Tables:
    return chains.saved(await iptables.save(family), [_TABLE])


def tables(family: Family, entries: Iterable[Unaccepted]) -> Tables:
    """The table of one family."""
    mine = sorted(
        (e for e in entries if family_of(e.address) is family), key=lambda e: (int(e.address), e.interface)
    )
    if not mine:
        return {_TABLE: Table()}
    first = _DISCOVERY if family is Family.IPV6 else []
    return {_TABLE: Table([f"INPUT -j {_CHAIN}"], {_CHAIN: [*first, *map(_line, mine)]})}


def _line(entry: Unaccepted) -> str:
    interface = f" -i {entry.interface}" if entry.interface else ""
    return f"-d {entry.address}/{entry.address.max_prefixlen}{interface} -j DROP"


def read(family: Family, there: Tables) -> UnacceptedState:
    """The values that these chains were written from, and how they differ from `tables()`."""
    try:
        entries = frozenset(_entries(there[_TABLE].chains.get(_CHAIN, [])))
    except ValueError:
        entries = frozenset()
    return UnacceptedState(entries, chains.difference(there, tables(family, entries)))


def _entries(lines: Iterable[str]) -> Iterator[Unaccepted]:
    for line in lines:
        # Another line is not as lvsha writes it, which the comparison will tell.
        if (found := _LINE.fullmatch(line)) is not None:
            yield Unaccepted(ip_address(found["address"]), found["interface"] or "")
