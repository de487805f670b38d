"""Which local address a connection has: worked out, for IPVS does not know it.

There may be a million connections, of few services and servers: what only depends on those is looked up
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lvsha.kernel.ipvs.connections import Connection
from lvsha.kernel.sourcenat.pool import Share, local_address
from lvsha.model import Address, AddressKey, FwmarkKey, Protocol, ServerKey, SourceNat


def located(
    found: Iterable[Connection], entries: Iterable[SourceNat], share: Share
) -> Iterator[tuple[Connection, Address]]:
    """The connections of mode fullnat, each with its local address."""
    search = _Search(entries, share)
    for one in found:
        # A template of persistence has no port of the client's, and no packets.
        pool = search.pool(one) if one.client_port else None
        if pool is not None:
            yield one, pool.local(one.client)


class _Pool:
    """A pool, and who was found to have which address of it."""

    def __init__(self, addresses: tuple[Address, ...], share: Share) -> None:
        self._addresses, self._share = addresses, share
        self._known: dict[Address, Address] = {}

    def local(self, client: Address) -> Address:
        local = self._known.get(client)
        if local is None:
            local = self._known[client] = local_address(client, self._addresses, self._share)
        return local


class _Search:
    """Finds the pool of a connection. One of a firewall mark is known by its server alone."""

    def __init__(self, entries: Iterable[SourceNat], share: Share) -> None:
        self._services: dict[AddressKey, SourceNat] = {}
        self._marked: dict[ServerKey, SourceNat] = {}
        for entry in entries:
            if isinstance(entry.service, FwmarkKey):
                self._marked.update(dict.fromkeys(entry.servers, entry))
            else:
                self._services[entry.service] = entry
        every = {*self._services.values(), *self._marked.values()}
        self._pools = {addresses: _Pool(addresses, share) for addresses in {e.addresses for e in every}}
        self._known: dict[tuple[object, ...], _Pool | None] = {}
        """By all that tells connections apart, except the client."""

    def pool(self, one: Connection) -> _Pool | None:
        """None: the connection is of another mode."""
        ends = (one.protocol, one.address, one.port, one.server, one.server_port)
        if ends not in self._known:
            entry = self._entry(*ends)
            self._known[ends] = self._pools[entry.addresses] if entry is not None else None
        return self._known[ends]

    def _entry(
        self, protocol: Protocol, address: Address, port: int, server: Address, server_port: int
    ) -> SourceNat | None:
        keys = (ServerKey(server, server_port), ServerKey(server, 0))
        for known_port in (port, 0):
            entry = self._services.get(AddressKey(protocol, address, known_port))
            if entry is not None:
                return entry if entry.servers.intersection(keys) else None
        return self._marked.get(keys[0]) or self._marked.get(keys[1])
