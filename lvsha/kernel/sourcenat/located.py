"""Which local address a connection has: worked out, for IPVS does not know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lvsha.kernel.ipvs.connections import Connection
from lvsha.kernel.sourcenat.pool import local_address
from lvsha.model import Address, AddressKey, FwmarkKey, ServerKey, SourceNat


def located(
    found: Iterable[Connection], entries: Iterable[SourceNat], client_bits: int
) -> Iterator[tuple[Connection, Address]]:
    """The connections of mode fullnat, each with its local address."""
    search = _Search(entries)
    chosen: dict[tuple[Address, tuple[Address, ...]], Address] = {}
    for one in found:
        # A template of persistence has no port of the client's, and no packets.
        if not one.client_port or (entry := search.entry(one)) is None:
            continue
        share = (one.client, entry.addresses)
        local = chosen.get(share)
        if local is None:
            local = chosen[share] = local_address(*share, bits=client_bits)
        yield one, local


class _Search:
    """Finds the source NAT of a connection. One of a firewall mark is known by its server alone."""

    def __init__(self, entries: Iterable[SourceNat]) -> None:
        self._services: dict[AddressKey, SourceNat] = {}
        self._marked: dict[ServerKey, SourceNat] = {}
        for entry in entries:
            if isinstance(entry.service, FwmarkKey):
                self._marked.update(dict.fromkeys(entry.servers, entry))
            else:
                self._services[entry.service] = entry

    def entry(self, one: Connection) -> SourceNat | None:
        """None: the connection is of another mode."""
        server, any_port = ServerKey(one.server, one.server_port), ServerKey(one.server, 0)
        for port in (one.port, 0):
            entry = self._services.get(AddressKey(one.protocol, one.address, port))
            if entry is not None:
                return entry if server in entry.servers or any_port in entry.servers else None
        return self._marked.get(server) or self._marked.get(any_port)
