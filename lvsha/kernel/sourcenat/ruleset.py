"""Source NAT as an nftables table: pure, in the objects of libnftables-json(5).

For each family that is in use one table, `ip lvsha` or `ip6 lvsha`, which is lvsha's alone:

    map services        protocol . VIP . port . server . port      goto the pool's chain
    chain source        postrouting, before anybody else's source NAT: looks in the maps
    chain pool_NAME     snat to jhash client mod N seed S map { 0 : LIP, 1 : LIP ... }
    chain guard         prerouting: drops what a server sends to a local address out of the blue
    chain strip         postrouting, after the source NAT: takes TCP timestamps out of a SYN
    chain absent        prerouting, before connection tracking: none for a service that is held elsewhere

IPVS has rewritten a packet's destination by the time it comes to postrouting, but never the
original direction of its conntrack entry (ip_vs_update_conntrack(), net/netfilter/ipvs/
ip_vs_nfct.c). So the original destination says which service it is, the destination which
server, and one look into a map finds the pool, however many services there are. Packets of a
service's other modes are not found and stay as they are.

The guard is for a failover. What a server says before its client does meets a director without a
conntrack entry; taken for something new it would be answered by a reset. Dropped, it is said
again, and by then the client has spoken.

So is the chain `absent`. While an address moves, its packets still come to the director that has
let it go, and to the other one before it is there (the kernel puts the local route of an IPv6 address
in place later, addrconf_dad_work() in net/ipv6/addrconf.c). Either would forward them: the first with the
source translated, as the entry says, so that the second takes them for another client's; the second
with an entry that says nothing of source NAT, which is the connection's for the rest of its life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lvsha.kernel.sourcenat.pool import SEED, Pool, pool_of, service_addresses
from lvsha.model import (
    Family,
    FwmarkKey,
    ServerKey,
    ServiceKey,
    SourceNat,
)

NAME = "lvsha"
FAMILIES = {Family.IPV4: "ip", Family.IPV6: "ip6"}

_TRANSPORT = ["tcp", "udp"]
_BEFORE_TRACKING = -300
"""NF_IP_PRI_RAW; NF_IP_PRI_CONNTRACK is -200."""
_BEFORE_SOURCE_NAT, _AFTER_SOURCE_NAT = 90, 110
"""NF_IP_PRI_NAT_SRC is 100: the first chain that has a say about a connection's source has it alone."""
_MANGLE = -150
POOL = "pool_"
"""The name of a pool's chain begins with it."""

Object = dict[str, Any]


def table(family: Family, entries: Iterable[SourceNat]) -> list[Object]:
    """Every object of the table, in an order in which they can be added; none for no entries."""
    mine = sorted((e for e in entries if e.service.family is family), key=lambda e: str(e.service))
    if not mine:
        return []
    return [{"table": {"family": FAMILIES[family], "name": NAME}}, *_Table(family, mine).objects()]


class _Table:
    """The objects of one family."""

    def __init__(self, family: Family, entries: list[SourceNat]) -> None:
        self._ip = FAMILIES[family]
        self._type = "ipv4_addr" if family is Family.IPV4 else "ipv6_addr"
        self._entries = entries
        self._pools = {pool.name: pool for pool in map(pool_of, entries)}

    def objects(self) -> Iterator[Object]:
        yield from (self._chain(f"{POOL}{name}") for name in sorted(self._pools))
        yield self._hook("source", "nat", "postrouting", _BEFORE_SOURCE_NAT)
        yield self._hook("guard", "filter", "prerouting", _MANGLE)
        stripped = [pool for pool in self._pools.values() if pool.strip_timestamps]
        if stripped:
            yield self._hook("strip", "filter", "postrouting", _AFTER_SOURCE_NAT)
            yield self._set("stripped", (a for pool in stripped for a in pool.addresses))
        yield self._set("locals", (a for pool in self._pools.values() for a in pool.addresses))
        yield self._set("servers", (server.address for e in self._entries for server in e.servers))
        services = service_addresses(self._entries)
        if services:
            yield self._hook("absent", "filter", "prerouting", _BEFORE_TRACKING)
            yield self._set("addresses", services)
            yield self._rule("absent", *self._absent())
        yield from self._dispatch()
        yield from (self._rule(f"{POOL}{name}", self._snat(pool)) for name, pool in self._pools.items())
        yield self._rule("guard", *self._guard())
        if stripped:
            yield self._rule("strip", *self._strip())

    def _dispatch(self) -> Iterator[Object]:
        """The maps that are in use, each with the rule that looks into it."""
        for name, (types, fields, row) in self._maps().items():
            rows = [
                [{"concat": key}, {"goto": {"target": f"{POOL}{pool_of(e).name}"}}]
                for e in self._entries
                for server in sorted(e.servers, key=str)
                if (key := row(e.service, server)) is not None
            ]
            if rows:
                yield self._object("map", name, type=types, map="verdict", elem=rows)
                yield self._rule(
                    "source",
                    _match({"meta": {"key": "l4proto"}}, {"set": _TRANSPORT}),
                    {"vmap": {"key": {"concat": fields}, "data": f"@{name}"}},
                )

    def _maps(
        self,
    ) -> Mapping[str, tuple[list[str], list[Object], Callable[[ServiceKey, ServerKey], list[Any] | None]]]:
        ip, port, proto = self._type, "inet_service", "inet_proto"
        original = {"ct": {"key": f"{self._ip} daddr", "dir": "original"}}
        original_port = {"ct": {"key": "proto-dst", "dir": "original"}}
        protocol, mark = {"meta": {"key": "l4proto"}}, {"meta": {"key": "mark"}}
        server, server_port = _payload(self._ip, "daddr"), _payload("th", "dport")
        return {
            "services": (
                [proto, ip, port, ip, port],
                [protocol, original, original_port, server, server_port],
                _by_port,
            ),
            "services_of_every_port": ([proto, ip, ip], [protocol, original, server], _by_address),
            "marks": (["mark", ip, port], [mark, server, server_port], _by_mark_and_port),
            "marks_of_every_port": (["mark", ip], [mark, server], _by_mark),
        }

    def _snat(self, pool: Pool) -> Object:
        if len(pool.addresses) == 1:
            return {"snat": {"addr": str(pool.addresses[0])}}
        client = _payload(self._ip, "saddr")
        place = {"jhash": {"mod": len(pool.addresses), "seed": SEED, "expr": client}}
        places = [[number, str(address)] for number, address in enumerate(pool.addresses)]
        return {"snat": {"addr": {"map": {"key": place, "data": {"set": places}}}}}

    def _guard(self) -> Iterator[Object]:
        yield _match({"meta": {"key": "l4proto"}}, {"set": _TRANSPORT})
        yield _match(_payload(self._ip, "daddr"), "@locals")
        yield _match(_payload(self._ip, "saddr"), "@servers")
        yield {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["invalid", "new"]}}
        yield {"drop": None}

    def _absent(self) -> Iterator[Object]:
        yield _match(_payload(self._ip, "daddr"), "@addresses")
        kind = {"fib": {"result": "type", "flags": ["daddr"]}}
        yield {"match": {"op": "!=", "left": kind, "right": "local"}}
        yield {"notrack": None}

    def _strip(self) -> Iterator[Object]:
        flags = {"&": [_payload("tcp", "flags"), ["fin", "syn", "rst", "ack"]]}
        yield _match(flags, "syn")
        yield _match(_payload(self._ip, "saddr"), "@stripped")
        yield _match(_payload(self._ip, "daddr"), "@servers")
        yield {"reset": {"tcp option": {"name": "timestamp"}}}

    def _chain(self, name: str, **more: object) -> Object:
        return self._object("chain", name, **more)

    def _hook(self, name: str, kind: str, hook: str, priority: int) -> Object:
        return self._chain(name, type=kind, hook=hook, prio=priority, policy="accept")

    def _set(self, name: str, addresses: Iterable[object]) -> Object:
        return self._object("set", name, type=self._type, elem=sorted({str(a) for a in addresses}))

    def _rule(self, chain: str, *expressions: Object) -> Object:
        return {
            "rule": {"family": self._ip, "table": NAME, "chain": chain, "expr": [*expressions]},
        }

    def _object(self, kind: str, name: str, **more: object) -> Object:
        return {kind: {"family": self._ip, "table": NAME, "name": name, **more}}


def _by_port(key: ServiceKey, server: ServerKey) -> list[Any] | None:
    if isinstance(key, FwmarkKey) or not key.port:
        return None
    return [key.protocol.name.lower(), str(key.address), key.port, str(server.address), server.port]


def _by_address(key: ServiceKey, server: ServerKey) -> list[Any] | None:
    if isinstance(key, FwmarkKey) or key.port:
        return None
    return [key.protocol.name.lower(), str(key.address), str(server.address)]


def _by_mark_and_port(key: ServiceKey, server: ServerKey) -> list[Any] | None:
    return (
        [key.mark, str(server.address), server.port] if isinstance(key, FwmarkKey) and server.port else None
    )


def _by_mark(key: ServiceKey, server: ServerKey) -> list[Any] | None:
    return [key.mark, str(server.address)] if isinstance(key, FwmarkKey) and not server.port else None


def _match(left: Object, right: object) -> Object:
    return {"match": {"op": "==", "left": left, "right": right}}


def _payload(protocol: str, field: str) -> Object:
    return {"payload": {"protocol": protocol, "field": field}}
