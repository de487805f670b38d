"""What a listing of the table says: the values that it was written from, and whether it is as written.

A table is read in the same way whoever wrote it, so that a daemon that has just been started knows
what an earlier one left. What it takes for granted it proves: the values that were read are
written once more, on paper, and must give the table that is there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from lvsha.kernel.sourcenat.pool import Pool
from lvsha.kernel.sourcenat.ruleset import POOL, Object, table
from lvsha.model import (
    Address,
    AddressKey,
    Family,
    FwmarkKey,
    Protocol,
    ServerKey,
    ServiceKey,
    SourceNat,
    SourceNatState,
    source_nat,
)

_STRANGE = (LookupError, TypeError, ValueError, AttributeError)
"""What comes of a listing that is not as it should be."""


def read(family: Family, listing: Iterable[Object]) -> SourceNatState:
    """What a listing of the table (`nft -j list table ip lvsha`) holds, and how it differs from `table()`."""
    found = plain(listing)
    try:
        entries = frozenset(_entries(family, found))
    except _STRANGE:
        entries = frozenset()
    return SourceNatState(entries, difference(found, table(family, entries)))


def _entries(family: Family, objects: list[Object]) -> Iterator[SourceNat]:
    pools = dict(_pools(objects))
    servers: dict[tuple[ServiceKey, str], set[ServerKey]] = {}
    for each in objects:
        if "map" in each:
            for element in each["map"].get("elem", []):
                # What is not as lvsha writes it is passed over; the comparison will tell.
                with contextlib.suppress(*_STRANGE):
                    row, verdict = element
                    key, server = _KEYS[each["map"]["name"]](family, row["concat"])
                    servers.setdefault((key, verdict["goto"]["target"]), set()).add(server)
    for (key, chain), held in servers.items():
        if (pool := pools.get(chain)) is None:
            continue
        yield source_nat(key, pool.addresses, held, strip_timestamps=pool.strip_timestamps)


def _pools(objects: list[Object]) -> Iterator[tuple[str, Pool]]:
    for each in objects:
        if "rule" in each and each["rule"]["chain"].startswith(POOL):
            name: str = each["rule"]["chain"]
            addresses: tuple[Address, ...] = ()
            with contextlib.suppress(*_STRANGE):
                addresses = tuple(ip_address(text) for text in _targets(each["rule"]["expr"]))
            both = (Pool(addresses, strip_timestamps=True), Pool(addresses, strip_timestamps=False))
            yield from ((name, pool) for pool in both if name == f"{POOL}{pool.name}")


def _targets(expressions: list[Object]) -> list[str]:
    """The addresses of a pool's rule."""
    (snat,) = expressions
    target = snat["snat"]["addr"]
    return [target] if isinstance(target, str) else [text for _, text in target["map"]["data"]["set"]]


def _service(_: Family, row: list[Any]) -> tuple[ServiceKey, ServerKey]:
    protocol, address, port, server, server_port = row
    key = AddressKey(Protocol[protocol.upper()], ip_address(address), int(port))
    return key, ServerKey(ip_address(server), int(server_port))


def _service_of_every_port(_: Family, row: list[Any]) -> tuple[ServiceKey, ServerKey]:
    protocol, address, server = row
    return AddressKey(Protocol[protocol.upper()], ip_address(address), 0), ServerKey(ip_address(server), 0)


def _mark(family: Family, row: list[Any]) -> tuple[ServiceKey, ServerKey]:
    mark, server, *port = row
    return FwmarkKey(family, int(mark)), ServerKey(ip_address(server), int(port[0]) if port else 0)


_KEYS: Mapping[str, Callable[[Family, list[Any]], tuple[ServiceKey, ServerKey]]] = {
    "services": _service,
    "services_of_every_port": _service_of_every_port,
    "marks": _mark,
    "marks_of_every_port": _mark,
}


def plain(listing: Iterable[Object]) -> list[Object]:
    """The objects of a listing as `difference` compares them."""
    return [_plain(each) for each in listing if "metainfo" not in each]


def _plain(each: Object) -> Object:
    """An object without what the kernel adds, its unordered parts in order."""
    ((kind, content),) = each.items()
    kept = {key: value for key, value in content.items() if key != "handle"}
    if isinstance(elements := kept.get("elem"), list):
        kept["elem"] = sorted(elements, key=json.dumps)
    return {kind: kept}


def difference(there: list[Object], wanted: list[Object]) -> str:
    """The first thing that is other than it should be, in words; empty: nothing is."""
    have, want = _parts(there), _parts(plain(wanted))
    for name in want:
        if name not in have:
            return f"there is no {name}"
        if have[name] != want[name]:
            return f"{name} was changed"
    return next((f"nothing needs the {name}" for name in have if name not in want), "")


def _parts(objects: list[Object]) -> dict[str, list[Object]]:
    """Objects by a name for people; the rules of one chain, in their order, are one part."""
    parts: dict[str, list[Object]] = {}
    for each in objects:
        ((kind, content),) = each.items()
        name = f"{kind} {content.get('name')}" if kind != "rule" else f"rule in chain {content.get('chain')}"
        parts.setdefault(name, []).append(content)
    return parts
