"""Accept mode by nftables: one table of both families, replaced in one transaction.

    set ipv4, ipv6     addresses, whatever interface a packet comes in on
    set link_local     address . interface
    chain input        neighbour discovery passes; what is sent to one of the sets is dropped

An `accept` in this chain ends this chain alone: whatever else the machine filters has its say.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from typing import Any

from lvsha.kernel.sourcenat import listing, nft
from lvsha.kernel.sourcenat.ruleset import Object
from lvsha.model import Unaccepted, UnacceptedState

FAMILY, NAME = "inet", "lvsha_accept"

_CHAIN = "input"
_IPV4, _IPV6, _LINK_LOCAL = "ipv4", "ipv6", "link_local"
_DISCOVERY = ["nd-neighbor-solicit", "nd-neighbor-advert"]
"""ICMPv6 types 135 and 136 (RFC 4861)."""
_PROBE = f"add table {FAMILY} {NAME}\n".encode()


class Nft:
    """The table `inet lvsha_accept`. Satisfies `Rules`."""

    def __init__(self) -> None:
        self._known: tuple[bytes, UnacceptedState] | None = None
        """The listing after the last change, and what had been asked for."""

    @staticmethod
    async def refusal() -> str:
        """Why this kernel or machine cannot do it; empty: it can."""
        return await nft.refusal(_PROBE)

    async def observe(self) -> UnacceptedState:
        """What is there. Raises KernelError."""
        raw = await nft.listed(FAMILY, NAME)
        if raw is None:
            return UnacceptedState()
        return self._known[1] if self._known is not None and self._known[0] == raw else _read(raw)

    async def replace(self, entries: Collection[Unaccepted]) -> None:
        """Put these in the place of what is there, at one stroke. Raises KernelError, and changes nothing."""
        old = {"table": {"family": FAMILY, "name": NAME}}
        # Deleting what is not there would fail, adding what is there does not.
        commands: list[Object] = [{"add": old}, {"delete": old}, *({"add": each} for each in table(entries))]
        await nft.transact(json.dumps({"nftables": commands}).encode(), NAME)
        # Another version of nft may show it in other words than are read here.
        raw = await nft.listed(FAMILY, NAME)
        self._known = (raw, UnacceptedState(frozenset(entries))) if raw is not None else None


def table(entries: Collection[Unaccepted]) -> list[Object]:
    """Every object of the table, in an order in which they can be added; none for no entries."""
    return list(_objects(entries)) if entries else []


def _objects(entries: Collection[Unaccepted]) -> Iterator[Object]:
    everywhere = [entry.address for entry in entries if not entry.interface]
    ipv4 = [str(address) for address in everywhere if address.version == 4]
    ipv6 = [str(address) for address in everywhere if address.version == 6]
    link_local = [{"concat": [str(e.address), e.interface]} for e in entries if e.interface]
    destination = _payload("ip6", "daddr")
    yield {"table": {"family": FAMILY, "name": NAME}}
    yield _object("chain", name=_CHAIN, type="filter", hook="input", prio=0, policy="accept")
    yield _rule(_payload("icmpv6", "type"), {"set": _DISCOVERY}, {"accept": None})
    yield from _dropped(_IPV4, "ipv4_addr", ipv4, _payload("ip", "daddr"))
    yield from _dropped(_IPV6, "ipv6_addr", ipv6, destination)
    yield from _dropped(
        _LINK_LOCAL,
        ["ipv6_addr", "ifname"],
        link_local,
        {"concat": [destination, {"meta": {"key": "iifname"}}]},
    )


def _dropped(name: str, kind: str | list[str], elements: list[Any], left: Object) -> Iterator[Object]:
    if elements:
        yield _object("set", name=name, type=kind, elem=elements)
        yield _rule(left, f"@{name}", {"drop": None})


def _rule(left: Object, right: object, verdict: Object) -> Object:
    expressions = [{"match": {"op": "==", "left": left, "right": right}}, verdict]
    return _object("rule", chain=_CHAIN, expr=expressions)


def _object(kind: str, **content: object) -> Object:
    return {kind: {"family": FAMILY, "table": NAME, **content}}


def _payload(protocol: str, field: str) -> Object:
    return {"payload": {"protocol": protocol, "field": field}}


# --- and back -------------------------------------------------------------------------------------


def _read(raw: bytes) -> UnacceptedState:
    """What is not as lvsha writes it is told by comparing it with what these entries would give."""
    try:
        found = listing.plain(json.loads(raw)["nftables"])
        entries = frozenset(_entries(found))
        return UnacceptedState(entries, listing.difference(found, table(entries)))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return UnacceptedState(altered=f"nft's words about it cannot be read: {error}")


def _entries(objects: list[Object]) -> Iterator[Unaccepted]:
    for each in objects:
        if "set" not in each:
            continue
        for element in each["set"].get("elem", []):
            address, interface = element["concat"] if isinstance(element, dict) else (element, "")
            yield Unaccepted(ip_address(address), interface)
