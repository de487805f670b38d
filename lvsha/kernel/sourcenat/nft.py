"""Source NAT by nftables' own program: `nft -j`, one transaction a change.

A table is replaced by deleting and adding it in one transaction, which the kernel makes visible at
one stroke: no packet meets half of it. Connections that have their source NAT keep it, whatever the
new rules say, as long as there are some.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Collection

from lvsha.errors import KernelError
from lvsha.kernel.sourcenat import listing, program
from lvsha.kernel.sourcenat.pool import by_nft
from lvsha.kernel.sourcenat.ruleset import FAMILIES, NAME, Object, table
from lvsha.model import Family, SourceNat, SourceNatState

_PROBE = b"add table ip lvsha\nadd table ip6 lvsha\n"
_ABSENT = "No such file or directory"


class Nft:
    """The tables `ip lvsha` and `ip6 lvsha`. Satisfies `Rules`."""

    name = "nftables"
    share = staticmethod(by_nft)

    def __init__(self) -> None:
        self._there: dict[Family, bool] = dict.fromkeys(FAMILIES, True)
        """Whether the family's table may be there: only then is it removed."""
        self._known: dict[Family, tuple[str, SourceNatState]] = {}
        """What a listing, by its digest, was found to say."""

    @staticmethod
    async def refusal() -> str:
        """Why this kernel or machine cannot do it; empty: it can."""
        return await refusal(_PROBE)

    async def observe(self) -> SourceNatState:
        """What is there, of both families. Raises KernelError."""
        states = [await self._observe(family) for family in FAMILIES]
        altered = "; ".join(state.altered for state in states if state.altered)
        return SourceNatState(frozenset().union(*(state.entries for state in states)), altered)

    async def replace(self, entries: Collection[SourceNat]) -> None:
        """Put these in the place of what is there, at one stroke. Raises KernelError, and changes nothing."""
        commands = await asyncio.to_thread(self._commands, entries)
        await transact(commands, NAME)
        for family in FAMILIES:
            mine = frozenset(entry for entry in entries if entry.service.family is family)
            self._there[family] = bool(mine)
            # An nft of another version may show the same table in other words than were read here. What was
            # written a moment ago is what it says, whatever the words.
            if raw := await self._list(family):
                self._known[family] = (_digest(raw), SourceNatState(mine))

    def _commands(self, entries: Collection[SourceNat]) -> bytes:
        commands: list[Object] = []
        for family, name in FAMILIES.items():
            objects = table(family, entries)
            if objects or self._there[family]:
                old = {"table": {"family": name, "name": NAME}}
                # Deleting what is not there would fail, adding what is there does not.
                commands += [{"add": old}, {"delete": old}]
            commands += [{"add": each} for each in objects]
        return json.dumps({"nftables": commands}).encode()

    async def _observe(self, family: Family) -> SourceNatState:
        raw = await self._list(family)
        self._there[family] = raw is not None
        if raw is None:
            return SourceNatState()
        digest = _digest(raw)
        if (known := self._known.get(family)) is None or known[0] != digest:
            known = digest, await asyncio.to_thread(_read, family, raw)
            self._known[family] = known
        return known[1]

    async def _list(self, family: Family) -> bytes | None:
        return await listed(FAMILIES[family], NAME)


async def refusal(probe: bytes) -> str:
    """Why this kernel or machine cannot do what the commands of the probe say; empty: it can."""
    if program.find("nft") is None:
        return "there is no program `nft`: install the package nftables"
    done = await program.run(["nft", "--check", "--file", "-"], probe)
    return f"nft: {done.words}" if done.status else ""


async def transact(commands: bytes, name: str) -> None:
    """Carry out commands about a table, all or none. Raises KernelError."""
    done = await program.run(["nft", "--json", "--file", "-"], commands)
    if done.status:
        raise KernelError(f"nft refuses the table {name}: {done.words or f'status {done.status}'}")


async def listed(family: str, name: str) -> bytes | None:
    """The listing of a table; None: there is no such table. Raises KernelError."""
    done = await program.run(["nft", "--json", "list", "table", family, name])
    if done.status == 0:
        return done.output
    if _ABSENT in done.words:
        return None
    raise KernelError(f"nft cannot list the table {family} {name}: {done.words}")


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _read(family: Family, raw: bytes) -> SourceNatState:
    try:
        objects = json.loads(raw)["nftables"]
        return listing.read(family, objects)
    except (ValueError, LookupError, TypeError) as error:
        return SourceNatState(altered=f"nft's words about it cannot be read: {error}")
